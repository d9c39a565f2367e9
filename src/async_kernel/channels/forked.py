"""Whether this process is a fork of the one in which an object was made.

A forked child has the parent's objects but none of its threads: nobody would ever send what it queues, and a lock that
another thread held stays locked for ever. What must not go on in a child remembers :func:`generation` and compares.
"""

from __future__ import annotations

import functools

from async_kernel.platforms.forks import at_fork

__all__ = ["generation", "watch"]

_forks = 0


def generation() -> int:
    """How many forks lie between this process and the one that asked first; cheap enough for every print."""
    return _forks


@functools.cache
def watch() -> None:
    """Begin to count. There is no way back: the hook of the interpreter cannot be removed; it adds one to a number."""
    at_fork(after_in_child=_count)


def _count() -> None:
    global _forks
    _forks += 1

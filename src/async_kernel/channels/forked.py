"""Whether this process is a fork of the one in which an object was made.

A forked child has the parent's objects but none of its threads: nobody would ever send what it queues, and a lock that
another thread held stays locked for ever. What must not go on in a child remembers :data:`forks` and compares.
"""

from __future__ import annotations

import functools

from async_kernel.platforms.forks import at_fork

__all__ = ["forks", "watch"]

forks: int = 0
"""How many forks lie between this process and the one that watched first. A print reads it: a call took 3 % of one."""


@functools.cache
def watch() -> None:
    """Begin to count. There is no way back: the hook of the interpreter cannot be removed; it adds one to a number."""
    at_fork(after_in_child=_count)


def _count() -> None:
    global forks
    forks += 1

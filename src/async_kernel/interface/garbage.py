"""Garbage collection in a process that a command started: not while it starts, and never over what starting made.

Imports make some 95,000 objects and next to no garbage. Looking through them took 18 ms of a start, and the
interpreter's last collections took 120 ms of every end (measured: a shutdown of 151 ms became 25). So collection
waits until the kernel has started, and what is there then is taken to stay. What user code makes is collected as
ever, during the kernel's life and at its end.

Only :mod:`async_kernel.interface.launch` calls :func:`postpone`: a process that embeds a kernel is its program's.
"""

from __future__ import annotations

import gc

__all__ = ["postpone", "resume"]

_postponed = False


def postpone() -> None:
    """Collect nothing until :func:`resume`; for a process that will start a kernel and do nothing else."""
    global _postponed
    _postponed = gc.isenabled()
    gc.disable()


def resume() -> None:
    """Collect again, all but what is there now; nothing if it was not postponed."""
    global _postponed
    if _postponed:
        _postponed = False
        gc.freeze()
        gc.enable()

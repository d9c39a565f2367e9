"""Terminals and files behind descriptors: what may block who writes there."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress

__all__ = ["always_has_room", "open_again"]


def open_again(descriptor: int) -> int | None:
    """A descriptor for the same terminal that is non-blocking and nobody else's; None where there is none."""
    if sys.platform == "win32":
        return None
    with suppress(OSError):
        if os.isatty(descriptor):
            return os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    return None


def always_has_room(descriptor: int) -> bool:
    """Whether writing never waits for anybody, or nobody can be asked whether there is room: a file, Windows."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return True
    return sys.platform == "win32" or not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor))

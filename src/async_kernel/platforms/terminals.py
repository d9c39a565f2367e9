"""Terminals, files and pipes behind descriptors: what may block who writes there, and terminals of nobody's."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from typing import Final

__all__ = ["PIPES_CAN_BE_WAITED_FOR", "always_has_room", "open_again", "open_pseudo_terminal"]

PIPES_CAN_BE_WAITED_FOR: Final = sys.platform != "win32"
"""Whether a loop can wait until there is something in a pipe: on Windows it waits for sockets only."""


def open_again(descriptor: int) -> int | None:
    """A descriptor for the same terminal that is non-blocking and nobody else's; None where there is none."""
    if sys.platform == "win32":
        return None
    with suppress(OSError):
        if os.isatty(descriptor):
            return os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    return None


def open_pseudo_terminal() -> tuple[int, int]:
    """What reads and what writes: a terminal of 24 lines of 80 characters, which end as they were written. POSIX."""
    import pty  # noqa: PLC0415 -- as the next two, of POSIX
    import termios  # noqa: PLC0415
    import tty  # noqa: PLC0415

    reading, writing = pty.openpty()
    tty.setraw(writing)
    termios.tcsetwinsize(writing, (24, 80))
    return reading, writing


def always_has_room(descriptor: int) -> bool:
    """Whether writing never waits for anybody, or nobody can be asked whether there is room: a file, Windows."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return True
    return sys.platform == "win32" or not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor))

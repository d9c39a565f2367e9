"""What Linux has to wake a loop by one system call, and to ask what is readable by another: eventfd and epoll."""

from __future__ import annotations

import select
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["HAVE_EVENTFD", "make_probe", "open_event", "read_event", "set_event"]

HAVE_EVENTFD: Final = sys.platform == "linux"
"""Whether the functions for events work. There is epoll then, too."""

if sys.platform == "linux":
    from os import EFD_CLOEXEC, EFD_NONBLOCK, eventfd
    from os import eventfd_read as read_event
    from os import eventfd_write as _write

    def open_event() -> int:
        """A descriptor that is readable when it was set."""
        return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)

    def set_event(descriptor: int) -> None:
        """Make it readable; from any thread."""
        _write(descriptor, 1)

else:

    def open_event() -> int:
        """Nothing."""
        raise NotImplementedError

    def set_event(descriptor: int) -> None:
        """Nothing."""
        raise NotImplementedError

    def read_event(descriptor: int) -> int:
        """Nothing."""
        raise NotImplementedError


def make_probe(descriptors: Iterable[int]) -> select.epoll | None:
    """What tells, in any thread and in a third of a microsecond, whether there is something to read; None: try."""
    if sys.platform != "linux":
        return None
    probe = select.epoll()
    for descriptor in descriptors:
        probe.register(descriptor, select.EPOLLIN)
    return probe

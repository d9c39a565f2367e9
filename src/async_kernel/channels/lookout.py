"""The lookout: lets threads that run code put out messages without waking the I/O loop for each of them.

Waking a thread costs a system call here and a switch there, and then both want the GIL: for a cell of half a
millisecond, which puts out four messages and a reply, a fifth of all its CPU time. But whoever has handed a request to
another thread knows that something will come. So the shell channel, when it has done that, has the I/O loop look by
itself a millisecond later (:meth:`Lookout.expect`). Until then nobody rings for messages and replies, but for what
somebody may wait for: ``idle``, which comes after all else, and the messages of comms. A cell that takes longer than
the millisecond has its ``busy`` seen then, whatever it does, and what it shows afterwards rings again. (Text has rules
of its own, see :mod:`~async_kernel.channels.iopub`.)

Nothing stays behind: while ``coming`` is true, the owner of iopub sleeps, and once woken, by this or anything else, it
first calls :meth:`Lookout.look` and then looks for replies of the shell channel and for output. A thread puts something
in its place first, and reads ``coming`` afterwards: if it reads true, that look is still to come.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Lookout"]

LOOK_S: Final = 0.001
"""Seconds after which the I/O loop looks: longer than most small cells take, and too short for anybody to notice."""


class Lookout:
    """Whether the I/O loop will look for messages by itself.

    Attributes:
        coming: whether it will, so that nobody needs to wake it; for any thread. All else is for the I/O loop.
    """

    def __init__(self) -> None:
        self.coming: bool = False
        self._sleeper: Callable[[], object] | None = None
        self._alarm: trio.CancelScope | None = None

    async def serve(self) -> None:
        """Wake whoever sleeps when it is time to look; until cancelled."""
        while True:
            with trio.CancelScope() as self._alarm:
                await trio.sleep_forever()
            if self._sleeper is not None:
                self._sleeper()

    def sleep(self, wake: Callable[[], object]) -> None:
        """The owner of iopub goes to sleep until ``wake`` is called, if not for something else; then it looks."""
        self._sleeper = wake

    def expect(self) -> None:
        """Something will come soon, which need not wake anybody: look a millisecond from now."""
        if self._sleeper is not None and self._alarm is not None and not self.coming:
            self._alarm.deadline = trio.current_time() + LOOK_S
            self.coming = True

    def look(self) -> None:
        """The owner of iopub is awake and will look now."""
        self._sleeper = None
        if self.coming and self._alarm is not None:
            self.coming = False
            self._alarm.deadline = math.inf

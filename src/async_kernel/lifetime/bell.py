"""A bell: other threads wake one task of a loop, again and again.

Under trio on Linux it is an eventfd that the task itself waits for: a ring is one system call, and the task runs in the
loop's next turn. What goes through a loop's own queue of calls wakes a task that wakes this task, a turn later: a sixth
of a small cell's round trip. Elsewhere a ring goes that way (see :class:`~async_kernel.lifetime.loop_token.Wake`).

Rings do not count: many before the task runs are one. The task must look for work after every wait.

Importable without trio.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Protocol

import anyio

from async_kernel.lifetime.loop_token import Wake
from async_kernel.typing import Backend

if TYPE_CHECKING:
    from async_kernel.lifetime.loop_token import LoopToken

__all__ = ["Bell", "make_bell"]


class Bell(Protocol):
    """Wakes one task; made, waited for and closed in its loop."""

    def ring(self) -> None:
        """Make the present, or the next, wait return. Any thread; after :meth:`close` it does nothing."""
        ...

    async def wait(self) -> None:
        """Sleep until a ring. A checkpoint."""
        ...

    def close(self) -> None:
        """Give up what this has opened; idempotent."""
        ...


def make_bell(token: LoopToken) -> Bell:
    """The best bell for a task of that loop, which runs here."""
    if sys.platform == "linux" and token.backend is Backend.trio:
        return EventBell()
    return TokenBell(token)


if sys.platform == "linux":

    class EventBell:
        """An eventfd that a task of trio's waits for."""

        def __init__(self) -> None:
            import trio  # noqa: PLC0415 -- asyncio needs none

            self._wait_readable = trio.lowlevel.wait_readable
            self._notify_closing = trio.lowlevel.notify_closing
            self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            # A thread must not ring a number that means another file by now. Reentrant: signal handlers ring, too.
            self._lock = threading.RLock()
            self._rung = False
            self._closed = False

        def ring(self) -> None:
            if self._rung:
                return
            self._rung = True
            try:
                with self._lock:
                    if not self._closed:
                        os.eventfd_write(self._event, 1)
            except BaseException:  # an interrupt in this thread: the next call must ring
                self._rung = False
                raise

        async def wait(self) -> None:
            # Without the lock, for which it would have to wait: whoever rings has it still when this wakes.
            await self._wait_readable(self._event)
            os.eventfd_read(self._event)
            self._rung = False  # after the reading: nothing is noted that was read already

        def close(self) -> None:
            with self._lock:
                if self._closed:
                    return
                self._closed = True
                self._notify_closing(self._event)
                os.close(self._event)


class TokenBell:
    """An event that is set through the loop's queue of calls."""

    def __init__(self, token: LoopToken) -> None:
        self._wake = Wake(token, self._set)
        self._event = anyio.Event()

    def ring(self) -> None:
        self._wake.set()

    def _set(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()
        self._event = anyio.Event()

    def close(self) -> None:
        """Nothing is open; who rings now sets an event that nobody waits for."""

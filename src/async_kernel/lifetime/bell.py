"""A bell: other threads wake one task of a loop, again and again.

On Linux it is an eventfd that the loop watches for the task: a ring is one system call, and the task runs in the loop's
next turn. What goes through a loop's own queue of calls takes a pipe of the loop's and, under trio, a task that wakes
this task a turn later: a tenth of a small cell's round trip. Elsewhere, and in a loop that watches no descriptors, a
ring goes that way (see :class:`~async_kernel.lifetime.loop_token.Wake`).

Rings do not count: many before the task runs are one. The task must look for work after every wait.

Importable without trio.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import anyio
import anyio.lowlevel

from async_kernel.lifetime.loop_token import Wake
from async_kernel.platforms.events import HAVE_EVENTFD, open_event, read_event, set_event
from async_kernel.typing import Backend

if TYPE_CHECKING:
    import asyncio

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
    if HAVE_EVENTFD:
        if token.backend is Backend.trio:
            return TrioBell()
        with suppress(NotImplementedError):
            return AsyncioBell()
    return TokenBell(token)


class _EventBell:
    """An eventfd; how a task waits for it is its loop's affair."""

    def __init__(self) -> None:
        self._event = open_event()
        # A thread must not ring a number that means another file by now. Reentrant: signal handlers ring, too.
        # Whoever waits does without it: he would have to wait for the ringing thread just when that has woken him.
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
                    set_event(self._event)
        except BaseException:  # an interrupt in this thread: the next call must ring
            self._rung = False
            raise

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                self._forget()
                os.close(self._event)

    def _forget(self) -> None:
        """Tell the loop that it is about to be closed."""
        raise NotImplementedError


class TrioBell(_EventBell):
    """One that trio watches while the task waits."""

    def __init__(self) -> None:
        import trio  # noqa: PLC0415 -- asyncio needs none

        self._wait_readable = trio.lowlevel.wait_readable
        self._notify_closing = trio.lowlevel.notify_closing
        super().__init__()

    async def wait(self) -> None:
        await self._wait_readable(self._event)
        read_event(self._event)
        self._rung = False  # after the reading: nothing is noted that was read already

    def _forget(self) -> None:
        self._notify_closing(self._event)


class AsyncioBell(_EventBell):
    """One that an asyncio loop watches all the time.

    Raises:
        NotImplementedError: if it cannot.
    """

    def __init__(self) -> None:
        import asyncio  # noqa: PLC0415 -- trio needs none

        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._has_come = False
        try:
            self._loop.add_reader(self._event, self._come)
        except NotImplementedError:
            os.close(self._event)
            raise

    def _come(self) -> None:
        read_event(self._event)
        self._has_come = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        if self._has_come:
            await anyio.lowlevel.checkpoint()
        else:
            self._waiter = self._loop.create_future()
            await self._waiter
        self._has_come = self._rung = False

    def _forget(self) -> None:
        self._loop.remove_reader(self._event)


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

"""How other threads wake the task that owns a socket, while it waits for that socket.

On Linux an eventfd and the socket's descriptor are watched through one epoll descriptor, and the task waits for that:
a ring is one system call in the ringing thread, and one step of the task. Elsewhere a ring goes through trio's entry
queue and cancels the wait, which does the same at more than twice the cost (measured: 130 µs against 55 µs).

Rings do not count: many before the task wakes are one. The task must look for work after every wait.
"""

from __future__ import annotations

import math
import os
import select
import threading
from typing import TYPE_CHECKING, Protocol

import trio

from async_kernel.platforms.events import HAVE_EVENTFD, open_event, read_event, set_event

if TYPE_CHECKING:
    from trio.lowlevel import TrioToken

__all__ = ["Doorbell", "make_doorbell"]


class Doorbell(Protocol):
    """Wakes one waiting task; made and closed in its loop.

    Attributes:
        descriptor: readable when a wait would return; None where the system has no such thing.
    """

    descriptor: int | None

    def ring(self) -> None:
        """Make the present, or the next, wait return. Any thread, signal handlers; nothing after :meth:`close`."""
        ...

    async def wait(self, deadline: float, *, bell_only: bool = False) -> None:
        """Sleep until a ring or (unless ``bell_only``) until the descriptor is readable, ``deadline`` at the latest."""
        ...

    def close(self) -> None:
        """Give up what this has opened; idempotent. Before the descriptor is closed."""
        ...


def make_doorbell(descriptor: int, token: TrioToken, *, often: bool = True) -> Doorbell:
    """The best that the system has, for a task that waits for ``descriptor``; without descriptors if not rung often."""
    if HAVE_EVENTFD and often:
        return EventDoorbell(descriptor)
    return TokenDoorbell(descriptor, token)


class EventDoorbell:
    """An eventfd beside the descriptor, in an epoll that the task waits for."""

    def __init__(self, descriptor: int) -> None:
        self._event = open_event()
        self._both = select.epoll()
        self._both.register(descriptor, select.EPOLLIN)
        self._both.register(self._event, select.EPOLLIN)
        self.descriptor: int | None = self._both.fileno()
        # A thread must not ring a number that means another file by now. Reentrant: finalizers print anywhere.
        self._lock = threading.RLock()
        self._closed = False

    def ring(self) -> None:
        with self._lock:
            if not self._closed:
                set_event(self._event)

    async def wait(self, deadline: float, *, bell_only: bool = False) -> None:
        descriptor = self._event if bell_only else self._both.fileno()
        if deadline == math.inf:
            await trio.lowlevel.wait_readable(descriptor)
        else:
            with trio.move_on_at(deadline):
                await trio.lowlevel.wait_readable(descriptor)
        try:
            read_event(self._event)
        except BlockingIOError:
            return  # it was the descriptor

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for descriptor in (self._event, self._both.fileno()):
                trio.lowlevel.notify_closing(descriptor)
            self._both.close()
            os.close(self._event)


class TokenDoorbell:
    """A cancel scope around the wait, cancelled through the loop's token."""

    def __init__(self, descriptor: int, token: TrioToken) -> None:
        self.descriptor: int | None = None
        self._descriptor = descriptor
        self._token = token
        self._wait: trio.CancelScope | None = None
        self._rung = False

    def ring(self) -> None:
        try:
            self._token.run_sync_soon(self._ring, idempotent=True)
        except trio.RunFinishedError:
            return

    def _ring(self) -> None:
        self._rung = True
        if self._wait is not None:
            self._wait.cancel()

    async def wait(self, deadline: float, *, bell_only: bool = False) -> None:
        with trio.CancelScope(deadline=deadline) as scope:
            if self._rung:
                await trio.lowlevel.checkpoint()
            else:
                self._wait = scope
                try:
                    if bell_only:
                        await trio.sleep_forever()
                    await trio.lowlevel.wait_readable(self._descriptor)
                finally:
                    self._wait = None
        self._rung = False

    def close(self) -> None:
        trio.lowlevel.notify_closing(self._descriptor)

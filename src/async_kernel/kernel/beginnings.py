"""In which order the cells of a shell begin.

They begin in the order in which they were sent, each when the one before has run to its first await; but concurrent
cells pass by those of the queue that wait for a cell to end. So a cell of the queue is not begun before the concurrent
cells that were sent earlier (:meth:`Beginnings.before`), and a concurrent one not before the cell of the queue that is
about to begin (:meth:`Beginnings.start` is told so), nor before another one (:meth:`Beginnings.turn`). Expected in any
thread, all else in the loop.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable

    from async_kernel.protocol.request import Request

__all__ = ["Beginnings"]


class Beginnings:
    """Lets the concurrent cells of one shell begin, one after another.

    Args:
        begin: starts a task for a concurrent cell, which waits for its :meth:`turn` and calls :meth:`has_begun`.
    """

    def __init__(self, begin: Callable[[Request], object]) -> None:
        self._begin = begin
        self._expected: dict[Request, None] = {}  # not by their msg_id: clients may use one twice
        self._row: deque[Request] = deque()
        self._deferred: deque[Request] = deque()
        self._too_early: dict[Request, anyio.Event] = {}
        self._one_more = anyio.Event()

    def expect(self, request: Request) -> None:
        """A concurrent cell was sent, and :meth:`start` will be called for it. From any thread."""
        self._expected[request] = None

    def start(self, request: Request, *, after_another: bool) -> None:
        """Start the task of a concurrent cell.

        Args:
            request: asks for the cell.
            after_another: a cell of the queue is about to begin before it, which :meth:`release` will say.
        """
        self.expect(request)
        if after_another:
            self._deferred.append(request)
        else:
            self._row.append(request)
            self._begin(request)

    def release(self, *, before: float = math.inf) -> None:
        """The cells of the queue that were sent earlier have begun, or will not.

        Args:
            before: only for those received before, seconds of ``time.monotonic``.
        """
        while self._deferred and self._deferred[0].received < before:
            self.start(self._deferred.popleft(), after_another=False)

    async def turn(self, request: Request) -> None:
        """Wait until the concurrent cells that were started before this one have begun."""
        while self._row[0] is not request:
            event = self._too_early[request] = anyio.Event()
            await event.wait()

    def has_begun(self, request: Request) -> None:
        """A concurrent cell runs now, or will not; the next one has its turn at its first await. Idempotent."""
        if request not in self._expected:
            return
        del self._expected[request]
        self._row.remove(request)  # the first one, unless it was cancelled
        self._too_early.pop(request, None)
        if self._row and self._row[0] in self._too_early:
            # trio runs what is ready in this order or in the opposite one: all may come, so that a long row needs but a
            # few turns of the loop.
            for each in self._row:
                if (event := self._too_early.pop(each, None)) is not None:
                    event.set()
        self._one_more.set()

    async def before(self, request: Request) -> None:
        """Wait until all concurrent cells that were sent before this cell of the queue have begun."""
        if not self._expected:
            return  # as nearly always
        self.release(before=request.received)
        while any(cell.received < request.received for cell in list(self._expected)):
            self._one_more = anyio.Event()
            await self._one_more.wait()

"""A lane serves requests one after another, in one long-lived task of one loop.

Requests are handed in from any thread (:meth:`Lane.submit`) and served in order. Because it is always the same
task, context variables that one cell sets are there in the next. Whoever wants to abort what waits may take it out,
from any thread: at every moment a request is found in the queue or as the one that is being served.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel

from async_kernel.lifetime.bell import make_bell
from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.typing import MsgType

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskStatus

    from async_kernel.lifetime.bell import Bell
    from async_kernel.lifetime.loop_token import LoopToken
    from async_kernel.protocol.request import Request

__all__ = ["Lane"]

TURN_S: Final = 0.001
"""Seconds that a row of requests other than cells may keep the loop's other tasks waiting: a dozen comm messages."""


class Lane:
    """A queue of requests and the task that serves them.

    Args:
        name: for people.
        serve: awaited for each request; an exception that it lets out ends the lane and goes to its nursery.

    Attributes:
        serving: the request that is being served.
    """

    def __init__(self, name: str, serve: Callable[[Request], Awaitable[None]]) -> None:
        self.name = name
        self._serve = serve
        self._queue: deque[Request] = deque()
        self._taking = threading.Lock()
        self.serving: Request | None = None
        self._token: LoopToken | None = None
        self._bell: Bell | None = None
        self._stopped = False

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def token(self) -> LoopToken:
        """The loop that it runs in.

        Raises:
            RuntimeError: before :meth:`run` has begun.
        """
        if self._token is None:
            msg = f"lane {self.name!r} does not run yet"
            raise RuntimeError(msg)
        return self._token

    def submit(self, request: Request) -> None:
        """Queue a request; from any thread, also before the lane runs."""
        self._queue.append(request)
        if self._bell is not None:
            self._bell.ring()

    def stop(self) -> None:
        """Serve nothing more after what is being served; from any thread. What waits stays in the queue."""
        self._stopped = True

    def queued(self) -> list[Request]:
        """What waits at this moment."""
        return list(self._queue)

    def withdraw(self, request: Request) -> bool:
        """Take one request out of the queue; False if it has left it already."""
        with self._taking:
            try:
                self._queue.remove(request)
            except ValueError:
                return False
        return True

    def take_queued(self) -> list[Request]:
        """Remove and return all that waits."""
        with self._taking:
            taken = list(self._queue)
            for _ in taken:  # what is queued meanwhile stays
                self._queue.popleft()
        return taken

    def _take_next(self) -> Request | None:
        with self._taking:
            self.serving = self._queue[0] if self._queue and not self._stopped else None
            if self.serving is not None:
                self._queue.popleft()
        return self.serving

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        self._token = current_loop_token()
        bell = self._bell = make_bell(self._token)
        task_status.started()
        try:
            while True:
                await self._serve_all()
                await bell.wait()
        finally:
            bell.close()

    async def _serve_all(self) -> None:
        """Serve what waits."""
        yielded = time.monotonic()
        while (request := self._take_next()) is not None:
            try:
                await self._serve(request)
            finally:
                self.serving = None
            # A row of synchronous requests must not starve the loop's other tasks. They have a turn after each cell;
            # between others, comm messages above all, one now and then is enough. After the last one comes the wait.
            if self._queue and (request.msg_type == MsgType.execute_request or time.monotonic() - yielded > TURN_S):
                await anyio.lowlevel.checkpoint()
                yielded = time.monotonic()

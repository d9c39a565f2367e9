"""The helper lane: a thread that answers questions about code while cells run or block.

It serves one request after another. Its thread is a task of the kernel's nursery and ends when that is cancelled, after
the answer at hand.
"""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING

import anyio

from async_kernel.lifetime.owned_thread import run_in_owned_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskStatus

    from async_kernel.protocol.request import Request

__all__ = ["HelperLane"]


class HelperLane:
    """A queue of requests served by a thread of their own."""

    def __init__(self, serve: Callable[[Request], None]) -> None:
        self._serve = serve
        self._queue: queue.SimpleQueue[Request | None] = queue.SimpleQueue()

    def __len__(self) -> int:
        return self._queue.qsize()

    def submit(self, request: Request) -> None:
        """Queue a request; from any thread, also before the lane runs."""
        self._queue.put(request)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        task_status.started()
        await run_in_owned_thread(self._work, name="helper", cancel=lambda: self._queue.put(None), no_debug=True)

    def _work(self) -> None:
        while (request := self._queue.get()) is not None:
            self._serve(request)

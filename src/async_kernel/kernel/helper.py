"""Helper lanes: threads that answer questions about code while cells run or block.

A lane serves one request after another. Its thread is a task of the kernel's nursery and ends when that is cancelled,
after the answer at hand and those that wait for theirs. Other work (:meth:`HelperLane.call_soon`) is left out then.
"""

from __future__ import annotations

import queue
from functools import partial
from typing import TYPE_CHECKING

import anyio

from async_kernel.lifetime.owned_thread import run_in_owned_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskStatus

    from async_kernel.protocol.request import Request

__all__ = ["HelperLane"]


class HelperLane:
    """A queue of requests served by a thread of their own.

    Args:
        serve: answers a request; must not raise.
        name: of the thread.

    Attributes:
        stopping: whether the lane is to end, also while other work runs.
    """

    def __init__(self, serve: Callable[[Request], None], name: str = "helper") -> None:
        self._serve = serve
        self._name = name
        self._queue: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self.stopping: bool = False

    def __len__(self) -> int:
        return self._queue.qsize()

    def submit(self, request: Request) -> None:
        """Queue a request; from any thread, also before the lane runs."""
        self._queue.put(partial(self._serve, request))

    def call_soon(self, fn: Callable[[], object]) -> None:
        """Queue other work, which must not raise; from any thread, also before the lane runs."""
        self._queue.put(lambda: None if self.stopping else fn())

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        task_status.started()
        await run_in_owned_thread(self._work, name=self._name, cancel=self._stop, no_debug=True)

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            work()

    def _stop(self) -> None:
        self.stopping = True
        self._queue.put(None)

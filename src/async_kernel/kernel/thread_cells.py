"""Cells in threads: each has a loop of its own, so that it may block, and ``await`` works in it.

A cell alone gets a thread that ends with it (and with the background tasks that it started). Cells that name a thread
share its loop, where they run beside each other; it stays until the kernel ends. The threads are tasks of the nursery
that reads requests.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from async_kernel.kernel.execution import abort
from async_kernel.lifetime.owned_thread import run_loop_in_owned_thread
from async_kernel.protocol.errors import RequestError

if TYPE_CHECKING:
    from async_kernel.kernel.kernel import Kernel
    from async_kernel.kernel.run_mode import RunMode
    from async_kernel.kernel.shell_lane import ShellLane
    from async_kernel.protocol.request import Request
    from async_kernel.typing import Backend

__all__ = ["ThreadCells"]


class ThreadCells:
    """The threads of cells. :meth:`submit` belongs to the loop that reads requests."""

    def __init__(self, kernel: Kernel[Any]) -> None:
        self._kernel = kernel
        self._lanes: dict[str, ShellLane] = {}
        self._backends: dict[str, Backend] = {}

    def lanes(self) -> list[ShellLane]:
        """Those that run now."""
        return list(self._lanes.values())

    def submit(self, request: Request, mode: RunMode) -> None:
        """Run a cell in a thread.

        A thread that was named with another backend before is refused.
        """
        backend = mode.backend or (self._backends.get(mode.name) if mode.name else None) or self._kernel.backend
        if mode.name is None:
            name = f"cell {uuid.uuid4()}"
            lane = self._lanes[name] = self._kernel.make_lane(name)
            lane.expect(request)
            self._kernel.beside.start_soon(self._run_alone, name, lane, request, backend)
        elif (there := self._backends.setdefault(mode.name, backend)) is not backend:
            error = RequestError(f"the thread {mode.name!r} runs {there.value}; name another for {backend.value}")
            self._kernel.serving.refuse(request, error)
        elif mode.name in self._lanes:
            self._lanes[mode.name].queue.submit(request)
        else:
            lane = self._lanes[mode.name] = self._kernel.make_lane(mode.name, beside=True)
            lane.queue.submit(request)
            self._kernel.beside.start_soon(self._run_named, mode.name, lane, backend)

    async def _run_named(self, name: str, lane: ShellLane, backend: Backend) -> None:
        async def serve() -> None:
            async with lane.open():
                await lane.serve()

        reason = None
        try:
            await run_loop_in_owned_thread(serve, name=name, backend=backend)
        except Exception as exc:  # as for subshells: no thread left, and the kernel lives on
            self._kernel.log.exception("The thread %s of cells has failed", name)
            reason = f"the thread has failed: {exc!r}"
        finally:
            del self._lanes[name], self._backends[name]
            for request in lane.take_waiting():
                abort(self._kernel, request, reason=reason)

    async def _run_alone(self, name: str, lane: ShellLane, request: Request, backend: Backend) -> None:
        async def serve() -> None:
            async with lane.open():
                await lane.serve_beside(request)
                await lane.session.all_ended()

        reason = None
        try:
            await run_loop_in_owned_thread(serve, name=name, backend=backend)
        except Exception as exc:
            self._kernel.log.exception("A thread of a cell has failed")
            reason = f"the thread has failed: {exc!r}"
        finally:
            del self._lanes[name]
            for waiting in lane.take_waiting():
                abort(self._kernel, waiting, reason=reason)

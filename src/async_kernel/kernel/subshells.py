"""Subshells (JEP 91): more shell lanes, each in a thread and a loop of its own, with the main shell's namespace.

Their threads are tasks of the nursery that reads requests, not of the shell's loop, so that one is made, interrupted
and deleted while the main shell blocks. Deleting one cuts short what runs in it and is answered when its thread has
ended.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import anyio

from async_kernel.kernel.execution import abort
from async_kernel.lifetime.owned_thread import run_loop_in_owned_thread
from async_kernel.protocol.errors import RequestError
from async_kernel.protocol.fields import field

if TYPE_CHECKING:
    from async_kernel.kernel.kernel import Kernel
    from async_kernel.kernel.shell_lane import ShellLane
    from async_kernel.protocol.request import Request
    from async_kernel.typing import Content

__all__ = ["Subshells", "create", "delete", "listing"]


class Subshells:
    """The subshells of a kernel. Its methods belong to the loop that reads requests."""

    def __init__(self, kernel: Kernel[Any]) -> None:
        self._kernel = kernel
        self._lanes: dict[str, ShellLane] = {}
        self._ended: dict[str, anyio.Event] = {}
        self._scopes: dict[str, anyio.CancelScope] = {}

    def __iter__(self) -> Any:
        return iter(list(self._lanes))

    def get(self, subshell_id: str) -> ShellLane:
        """The lane of a subshell.

        Raises:
            RequestError: if there is none of this id.
        """
        # A client may have put anything into its header.
        lane = self._lanes.get(subshell_id) if isinstance(subshell_id, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]
        if lane is None:
            msg = f"there is no subshell {subshell_id!r}: it was never created, or it was deleted"
            raise RequestError(msg)
        return lane

    def lanes(self) -> list[ShellLane]:
        """All lanes."""
        return list(self._lanes.values())

    def create(self) -> str:
        """Start a subshell and return its id; cells may be submitted to it at once."""
        subshell_id = str(uuid.uuid4())
        self._lanes[subshell_id] = self._kernel.make_lane(subshell_id)
        self._ended[subshell_id] = anyio.Event()
        self._kernel.beside.start_soon(self._run, subshell_id)
        return subshell_id

    async def _run(self, subshell_id: str) -> None:
        lane = self._lanes[subshell_id]

        async def serve() -> None:
            async with lane.open():
                await lane.serve()

        try:
            with anyio.CancelScope() as self._scopes[subshell_id]:
                await run_loop_in_owned_thread(serve, name=lane.queue.name, backend=self._kernel.backend)
        finally:
            self._lanes.pop(subshell_id, None)
            self._scopes.pop(subshell_id, None)
            for request in lane.queue.take_queued():
                abort(self._kernel, request)
            self._ended.pop(subshell_id).set()

    async def delete(self, subshell_id: str) -> None:
        """End a subshell, and return when its thread has ended.

        Raises:
            RequestError: if there is none of this id.
        """
        lane = self.get(subshell_id)
        del self._lanes[subshell_id]  # nothing more is submitted to it
        ended = self._ended[subshell_id]
        for cell in list(lane.cells):
            self._kernel.cut(lane, cell, "shutdown", "the subshell was deleted")
        self._scopes[subshell_id].cancel()
        await ended.wait()


def create(kernel: Kernel[Any], request: Request) -> Content:
    """create_subshell_request."""
    return {"status": "ok", "subshell_id": kernel.subshells.create()}


async def delete(kernel: Kernel[Any], request: Request) -> Content:
    """delete_subshell_request."""
    await kernel.subshells.delete(field(request, "subshell_id", str))
    return {"status": "ok"}


def listing(kernel: Kernel[Any], request: Request) -> Content:
    """list_subshell_request."""
    return {"status": "ok", "subshell_id": list(kernel.subshells)}

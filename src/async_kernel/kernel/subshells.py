"""Subshells (JEP 91): more shell lanes, each in a thread and a loop of its own, with the main shell's namespace.

Their threads are tasks of the nursery that reads requests, not of the shell's loop, so that one is made, interrupted
and deleted while the main shell blocks. Deleting one cuts short what runs in it and is answered when its thread has
ended.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import anyio

from async_kernel.kernel.blocked import blocking_tasks
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


class _Subshell:
    """A subshell from its creation to the end of its thread."""

    def __init__(self, lane: ShellLane) -> None:
        self.lane = lane
        self.ended = anyio.Event()
        self.scope: anyio.CancelScope | None = None
        self.deleted = False


class Subshells:
    """The subshells of a kernel. Its methods belong to the loop that reads requests."""

    def __init__(self, kernel: Kernel[Any]) -> None:
        self._kernel = kernel
        self._subshells: dict[str, _Subshell] = {}

    def __iter__(self) -> Any:
        return iter([each for each, subshell in list(self._subshells.items()) if not subshell.deleted])

    def __contains__(self, subshell_id: object) -> bool:
        return subshell_id in list(self)

    def get(self, subshell_id: str) -> ShellLane:
        """The lane of a subshell.

        Raises:
            RequestError: if there is none of this id.
        """
        return self._get(subshell_id).lane

    def _get(self, subshell_id: object) -> _Subshell:
        # A client may have put anything into its header.
        subshell = self._subshells.get(subshell_id) if isinstance(subshell_id, str) else None
        if subshell is None or subshell.deleted:
            msg = f"there is no subshell {subshell_id!r}: it was never created, or it was deleted"
            raise RequestError(msg)
        return subshell

    def lanes(self) -> list[ShellLane]:
        """All lanes, those included that are ending."""
        return [subshell.lane for subshell in list(self._subshells.values())]

    def create(self) -> str:
        """Start a subshell and return its id; cells may be submitted to it at once."""
        if len(self._subshells) >= self._kernel.max_subshells:
            msg = f"there are {len(self._subshells)} subshells already, the most that this kernel allows"
            raise RequestError(msg)
        subshell_id = str(uuid.uuid4())
        subshell = self._subshells[subshell_id] = _Subshell(self._kernel.make_lane(subshell_id))
        self._kernel.beside.start_soon(self._run, subshell_id, subshell)
        return subshell_id

    async def _run(self, subshell_id: str, subshell: _Subshell) -> None:
        lane, reason = subshell.lane, None

        async def serve() -> None:
            async with lane.open(), anyio.create_task_group() as group:
                group.start_soon(lane.messages.run)
                await lane.serve()

        try:
            with anyio.CancelScope() as subshell.scope:
                if not subshell.deleted:
                    await run_loop_in_owned_thread(serve, name=lane.queue.name, backend=self._kernel.backend)
        except Exception as exc:  # no thread or no descriptors left: the other shells live on
            self._kernel.log.exception("Subshell %s has failed", subshell_id)
            reason = f"the subshell has failed: {exc!r}"
        finally:
            self._subshells.pop(subshell_id, None)
            for request in lane.take_waiting():
                abort(self._kernel, request, cause="shutdown", reason=reason or "the subshell was deleted")
            for request in lane.messages.take_queued():  # their comms are the main shell's from now on
                self._kernel.router.submit(request)
            subshell.ended.set()

    async def delete(self, subshell_id: str) -> None:
        """End a subshell, and return when its thread has ended.

        Raises:
            RequestError: if there is none of this id.
        """
        subshell = self._get(subshell_id)
        subshell.deleted = True  # nothing more is submitted to it; it may not have begun
        lane = subshell.lane
        lane.queue.stop()  # or what waits would begin when what runs has ended
        for each in (*list(lane.cells), *blocking_tasks(lane)):
            self._kernel.interrupts.cut(lane, each, "shutdown", "the subshell was deleted")
        if subshell.scope is not None:
            subshell.scope.cancel()
        await subshell.ended.wait()


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

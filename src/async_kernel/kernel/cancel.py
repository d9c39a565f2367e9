"""cancel_request: stop exactly one thing, or several: cells, background tasks, all that runs in a subshell.

An extension of the messaging protocol, on the control channel. Content: ``msg_ids``, ``cell_ids`` (the ``cellId`` of
a request's metadata), ``task_ids``, ``subshell_ids`` (lists of str, all optional) and ``reason`` (str). The reply
says what was found and what it did at that moment; ids of things that do not exist, or have ended, are listed as
unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from async_kernel.kernel.execution import abort
from async_kernel.lifetime.pending import Pending
from async_kernel.protocol.errors import RequestError
from async_kernel.protocol.fields import field, list_field

if TYPE_CHECKING:
    from async_kernel.kernel.kernel import Kernel
    from async_kernel.kernel.shell_lane import ShellLane
    from async_kernel.protocol.request import Request
    from async_kernel.shell.cells.cell import Cell
    from async_kernel.typing import Content

__all__ = ["cancel", "cancel_any", "cancel_ids"]


async def cancel(kernel: Kernel[Any], request: Request) -> Content:
    """cancel_request; what was sent before it on the shell channel and has arrived is found."""
    arrived: Pending[None] = Pending()
    kernel.barrier(lambda: arrived.set_result(None))
    await arrived
    wishes = {name: _ids(request, name) for name in ("msg_ids", "cell_ids", "task_ids", "subshell_ids")}
    return {"status": "ok", **cancel_ids(kernel, reason=field(request, "reason", str, default=None), **wishes)}


def _ids(request: Request, name: str) -> list[str]:
    ids = list_field(request, name)
    if not all(isinstance(each, str) for each in ids):
        msg = f"{name!r} of {request.msg_type} must be a list of strings"
        raise RequestError(msg)
    return ids


def cancel_ids(
    kernel: Kernel[Any],
    *,
    msg_ids: list[str],
    cell_ids: list[str],
    task_ids: list[str],
    subshell_ids: list[str],
    reason: str | None,
) -> Content:
    """Cancel what these ids name; from any thread.

    Returns:
        ``cancelled``, a list of ``{"id", "kind", "state"}``, and ``unknown``, the ids that name nothing.
    """
    cancelled: list[Content] = []
    unknown: list[str] = []
    for ids, find in ((msg_ids, _by_msg_id), (cell_ids, _by_cell_id)):
        for each in dict.fromkeys(ids):
            ends = [_cancel_cell(kernel, lane, request, reason) for lane, request in find(kernel, each)]
            found = [cell for cell in ends if cell is not None]
            cancelled += found
            if not found:
                unknown.append(each)
    for task_id in task_ids:
        if (found_task := _cancel_by_task_id(kernel, task_id, reason)) is not None:
            cancelled.append(found_task)
        else:
            unknown.append(task_id)
    for subshell_id in subshell_ids:
        try:
            lane = kernel.subshells.get(subshell_id)
        except RequestError:
            unknown.append(subshell_id)
        else:
            cancelled.append(_cancel_all(kernel, subshell_id, lane, reason))
    return {"cancelled": cancelled, "unknown": unknown}


def cancel_any(kernel: Kernel[Any], ids: list[str], reason: str | None) -> Content:
    """Cancel what these ids name, whatever kind of id each is."""
    answer: Content = {"cancelled": [], "unknown": []}
    for each in ids:
        for kind in ("msg_ids", "cell_ids", "task_ids", "subshell_ids"):
            wishes = {"msg_ids": [], "cell_ids": [], "task_ids": [], "subshell_ids": []} | {kind: [each]}
            found = cancel_ids(kernel, reason=reason, **wishes)["cancelled"]
            if found:
                answer["cancelled"] += found
                break
        else:
            answer["unknown"].append(each)
    return answer


Found = list[tuple["ShellLane", "Request"]]


def _by_msg_id(kernel: Kernel[Any], msg_id: str) -> Found:
    return [(lane, request) for lane, request in _cells(kernel) if request.msg_id == msg_id]


def _by_cell_id(kernel: Kernel[Any], cell_id: str) -> Found:
    return [(lane, request) for lane, request in _cells(kernel) if request.metadata.get("cellId") == cell_id]


def _cells(kernel: Kernel[Any]) -> Found:
    """All cells, each once: those that wait, then those that have begun; what moves meanwhile is found there."""
    found = [(request, lane) for lane in kernel.lanes() for request in _cells_of(lane)]
    return [(lane, request) for request, lane in dict(found).items()]


def _cells_of(lane: ShellLane) -> list[Request]:
    waiting = lane.waiting()
    return list(dict.fromkeys([*waiting, *lane.begun()]))


def _cancel_cell(kernel: Kernel[Any], lane: ShellLane, request: Request, reason: str | None) -> Content | None:
    """Cancel a cell, whether it waits, is about to begin or runs; None if it has ended."""
    state: str = "queued"
    cell = _running(lane, request)
    if cell is None:
        request.aborted = ("cancel", reason)  # it reads this when it can be found
        if lane.withdraw(request):
            abort(kernel, request, cause="cancel", reason=reason)
        else:
            cell = _running(lane, request)
    if cell is not None:
        state = kernel.interrupts.cut(lane, cell, "cancel", reason)
    elif request.ended:
        state = "ended"
    return None if state == "ended" else {"id": request.msg_id, "kind": "cell", "state": state}


def _running(lane: ShellLane, request: Request) -> Cell | None:
    return next((cell for cell in list(lane.cells) if cell.request is request), None)


def _cancel_by_task_id(kernel: Kernel[Any], task_id: str, reason: str | None) -> Content | None:
    """Cancel a task of ours, or one that a cell has made with asyncio, by its name."""
    for lane in kernel.lanes():
        for task in lane.tasks():
            if task.id == task_id and (state := kernel.interrupts.cut(lane, task, "cancel", reason)) != "ended":
                return {"id": task.id, "kind": "task", "state": state}
    return None


def _cancel_all(kernel: Kernel[Any], subshell_id: str, lane: ShellLane, reason: str | None) -> Content:
    cells = [_cancel_cell(kernel, lane, request, reason) for request in _cells_of(lane)]
    states = [cell["state"] for cell in cells if cell is not None]
    states += [kernel.interrupts.cut(lane, task, "cancel", reason) for task in lane.tasks()]
    state = next((each for each in ("blocking", "awaiting", "queued") if each in states), "awaiting")
    return {"id": subshell_id, "kind": "subshell", "state": state}

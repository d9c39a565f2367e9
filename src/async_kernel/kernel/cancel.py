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
    from async_kernel.shell.cells.task import Task
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
    cancelled: list[dict[str, str]] = []
    unknown: list[str] = []
    for ids, find in ((msg_ids, _by_msg_id), (cell_ids, _by_cell_id)):
        for each in dict.fromkeys(ids):
            found = [_cancel_cell(kernel, lane, cell, reason) for lane, cell in find(kernel, each)]
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


Found = list[tuple["ShellLane", "Cell | Request"]]


def _by_msg_id(kernel: Kernel[Any], msg_id: str) -> Found:
    return [(lane, cell) for lane, cell in _cells(kernel) if _request(cell).msg_id == msg_id]


def _by_cell_id(kernel: Kernel[Any], cell_id: str) -> Found:
    return [(lane, cell) for lane, cell in _cells(kernel) if _request(cell).metadata.get("cellId") == cell_id]


def _cells(kernel: Kernel[Any]) -> Found:
    """All cells: those that run, then the requests that wait."""
    return [(lane, cell) for lane in kernel.lanes() for cell in (*list(lane.cells), *lane.waiting())]


def _request(cell: Cell | Request) -> Request:
    return getattr(cell, "request", cell)  # pyright: ignore[reportReturnType]


def _cancel_cell(kernel: Kernel[Any], lane: ShellLane, cell: Cell | Request, reason: str | None) -> dict[str, str]:
    request = _request(cell)
    state = "queued"
    if cell is request:
        if lane.withdraw(request):
            abort(kernel, request, cause="cancel", reason=reason)
    else:
        state = kernel.cut(lane, cell, "cancel", reason)  # pyright: ignore[reportArgumentType] -- a Cell
    return {"id": request.msg_id, "kind": "cell", "state": state}


def _tasks(lane: ShellLane) -> list[Task]:
    """The background tasks of a lane, and the children of its cells."""
    if not lane.is_open:
        return []
    nurseries = [cell.children for cell in list(lane.cells) if cell.children is not None]
    return [
        task for tasks in (lane.session.tasks, *(each.tasks for each in nurseries)) for task in list(tasks.values())
    ]


def _cancel_by_task_id(kernel: Kernel[Any], task_id: str, reason: str | None) -> dict[str, str] | None:
    """Cancel a task of ours, or one that a cell has made with asyncio, by its name."""
    for lane in kernel.lanes():
        for task in _tasks(lane):
            if task.id == task_id:
                return _cancel_task(kernel, lane, task, reason)
    for lane in kernel.lanes():
        for foreign in list(lane.session.made_by) if lane.is_open else ():
            if foreign.get_name() == task_id and foreign in lane.session.foreign_tasks:
                return _cancel_foreign(lane, foreign)
    return None


def _cancel_task(kernel: Kernel[Any], lane: ShellLane, task: Task, reason: str | None) -> dict[str, str]:
    return {"id": task.id, "kind": "task", "state": kernel.cut(lane, task, "cancel", reason)}


def _cancel_foreign(lane: ShellLane, task: Any) -> dict[str, str]:
    lane.token.call_soon(task.cancel)
    return {"id": task.get_name(), "kind": "task", "state": "awaiting"}


def _cancel_all(kernel: Kernel[Any], subshell_id: str, lane: ShellLane, reason: str | None) -> dict[str, str]:
    states = [_cancel_cell(kernel, lane, cell, reason)["state"] for cell in (*lane.waiting(), *list(lane.cells))]
    states += [_cancel_task(kernel, lane, task, reason)["state"] for task in _tasks(lane)]
    state = next((each for each in ("blocking", "awaiting", "queued") if each in states), "awaiting")
    return {"id": subshell_id, "kind": "subshell", "state": state}

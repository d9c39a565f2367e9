"""Which loop does not turn: since when, by which cell, and where its thread stands.

A cell or a background task that keeps its loop is known by its gate, at once. What runs without a gate (a child in a
nursery of the user's own, the callback of a comm message, the program around the kernel) is found by asking the loop
to turn, from the loop that reads requests.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anyio

from async_kernel.kernel.stacks import thread_stack
from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.shell.cells.children import child_on_stack

if TYPE_CHECKING:
    from async_kernel.kernel.kernel import Kernel
    from async_kernel.kernel.shell_lane import ShellLane
    from async_kernel.protocol.request import Request
    from async_kernel.shell.cells.foreign import ForeignTask
    from async_kernel.shell.cells.task import Task

__all__ = ["BLOCKED_S", "blocked", "blocking_tasks", "owner_on_stack"]

BLOCKED_S = 1.0
"""Seconds after which a loop that has not turned counts as blocked."""


def blocking_tasks(lane: ShellLane) -> list[Task | ForeignTask]:
    """The tasks of a lane whose code, or a child of whose code, keeps the loop at this moment; from any thread."""
    return [task for task in lane.tasks() if task.state == "blocking" or _child_blocks(lane, task)]


def _child_blocks(lane: ShellLane, task: Task | ForeignTask) -> bool:
    return task.state != "ended" and child_on_stack(task, lane.session) is not None


def owner_on_stack(lane: ShellLane) -> Request | None:
    """The cell a child of which, or of whose task, keeps the loop; from any thread."""
    for each in (*list(lane.cells), *lane.tasks()):
        if child_on_stack(each, lane.session) is not None:
            return each.request
    return None


async def blocked(kernel: Kernel[Any]) -> dict[str, Any] | None:
    """``{"seconds", "cell", "stack"}`` of a loop that has not turned for a second; None if all turn.

    Called in the loop that reads requests. Returns at once, unless code without a gate may block a loop: then
    when that has turned, or after a second.
    """
    to_ask: list[ShellLane] = []
    for lane in kernel.lanes():
        if not lane.is_open:
            continue
        inside = False
        for each in (*list(lane.cells), *lane.tasks()):
            seconds = each.gate.inside_for
            inside = inside or seconds > 0
            if seconds >= BLOCKED_S:
                return _found(lane, seconds, each.request)
        if not inside and kernel.reads_beside:
            to_ask.append(lane)
    return await _first_blocked(kernel, to_ask)


def _found(lane: ShellLane, seconds: float, request: Request | None) -> dict[str, Any]:
    cell = None if request is None else request.msg_id
    return {"seconds": round(seconds, 3), "cell": cell, "stack": thread_stack(lane)}


async def _first_blocked(kernel: Kernel[Any], lanes: list[ShellLane]) -> dict[str, Any] | None:
    """Ask loops to turn, and see whether one does not."""
    asked = [(lane, *_ask(kernel, lane)) for lane in lanes]
    for lane, began, turned in asked:
        with anyio.move_on_after(BLOCKED_S - (time.monotonic() - began)):
            await turned.wait()
        if not turned.is_set():
            return _found(lane, time.monotonic() - began, owner_on_stack(lane))
    return None


def _ask(kernel: Kernel[Any], lane: ShellLane) -> tuple[float, anyio.Event]:
    began = (kernel.watchdog.asked if lane is kernel.main else None) or time.monotonic()
    turned = anyio.Event()
    if not lane.token.call_soon(current_loop_token().call_soon, turned.set):
        turned.set()  # it has ended
    return began, turned

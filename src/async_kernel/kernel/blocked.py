"""Which loop does not turn: since when, by which cell, and where its thread stands.

A cell or a background task that keeps its loop is known by its gate, at once. What runs in the main loop without a gate
(the callback of a comm message, or the program around the kernel) is found by asking the loop to turn: from the loop
that reads requests, and only when there may be such code.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anyio

from async_kernel.kernel.stacks import thread_stack
from async_kernel.lifetime.loop_token import current_loop_token

if TYPE_CHECKING:
    from async_kernel.kernel.kernel import Kernel

__all__ = ["BLOCKED_S", "blocked"]

BLOCKED_S = 1.0
"""Seconds after which a loop that has not turned counts as blocked."""


async def blocked(kernel: Kernel[Any]) -> dict[str, Any] | None:
    """``{"seconds", "cell", "stack"}`` of a loop that has not turned for a second; None if all turn.

    Called in the loop that reads requests. Returns at once, unless code without a gate may block the main loop: then
    when that has turned, or after a second.
    """
    inside = False
    for lane in kernel.lanes():
        if not lane.is_open:
            continue
        owners = (lane.session, *(cell.children for cell in list(lane.cells)))
        tasks = [task for owner in owners if owner is not None for task in list(owner.tasks.values())]
        for each in (*list(lane.cells), *tasks):
            seconds = each.gate.inside_for
            inside = inside or (lane is kernel.main and seconds > 0)
            if seconds >= BLOCKED_S:
                cell = None if each.request is None else each.request.msg_id
                return {"seconds": round(seconds, 3), "cell": cell, "stack": thread_stack(lane)}
    if inside or not kernel.reads_beside or not (kernel.embedded or kernel.watchdog.handled):
        return None
    return await _asked(kernel)


async def _asked(kernel: Kernel[Any]) -> dict[str, Any] | None:
    """Ask the main loop to turn, and see for how long it does not."""
    began = kernel.watchdog.asked or time.monotonic()
    turned = anyio.Event()
    if not kernel.main.is_open or not kernel.main.token.call_soon(current_loop_token().call_soon, turned.set):
        return None
    with anyio.move_on_after(BLOCKED_S - (time.monotonic() - began)):
        await turned.wait()
    if turned.is_set():
        return None
    return {"seconds": round(time.monotonic() - began, 3), "cell": None, "stack": thread_stack(kernel.main)}

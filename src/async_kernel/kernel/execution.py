"""execute_request: from the lane into a cell and back.

A request becomes a :class:`~async_kernel.shell.cell.Cell`, the shell runs it behind the cell's gate, and what became of
it is the reply. When a cell fails and its client asked for it (``stop_on_error``), everything that is queued at that
moment is answered ``aborted``.
"""

from __future__ import annotations

import datetime
import os
import time
from typing import TYPE_CHECKING, Any

import outcome

from async_kernel.lifetime.pending import Pending
from async_kernel.protocol.errors import RequestError, error_content
from async_kernel.protocol.fields import field
from async_kernel.protocol.request import current_request
from async_kernel.shell.cell import Cell

if TYPE_CHECKING:
    from async_kernel.kernel.kernel import Kernel
    from async_kernel.kernel.shell_lane import ShellLane
    from async_kernel.protocol.request import Request
    from async_kernel.typing import Content

__all__ = ["execute"]


async def execute(kernel: Kernel[Any], lane: ShellLane, request: Request) -> None:
    """Run a cell and answer."""
    began = datetime.datetime.now(datetime.UTC)
    code = field(request, "code", str)
    silent = field(request, "silent", bool, default=False)
    stop_on_error = field(request, "stop_on_error", bool, default=True)
    if request.received < lane.abort_until and not silent:
        _reply_aborted(kernel, request)
        return
    request.content["code"] = code
    cell = Cell(request, token=lane.token, timeout=kernel.shell.timeout)
    content = await run_cell(kernel, lane, cell)
    if os.getpid() != kernel.pid:
        # The cell forked, and this is the child at the end of its code: the kernel is the parent's.
        os._exit(0)
    metadata: dict[str, Any] = {
        "started": began.isoformat().replace("+00:00", "Z"),
        "dependencies_met": True,
        "engine": kernel.ident,
        "status": content["status"],
    }
    if cell.cause is not None:
        metadata |= {"cause": cell.cause, "reason": cell.reason, "elapsed_s": cell.elapsed}
    kernel.wire.reply(request, content, metadata=metadata)
    if content["status"] == "error" and stop_on_error and not silent:
        await abort_queued(kernel, lane)


async def run_cell(kernel: Kernel[Any], lane: ShellLane, cell: Cell) -> Content:
    """Run the cell behind its gate, as the one that an interrupt is for."""
    result: outcome.Outcome[Content] | None = None

    async def body() -> None:
        nonlocal result
        try:
            result = outcome.Value(await kernel.shell.execute(cell))
        except BaseException as exc:  # noqa: BLE001 -- the gate's contract; unwrapped below
            result = outcome.Error(exc)

    lane.interrupter.foreground = cell
    try:
        with cell.running():
            await cell.gate.drive(body())
    finally:
        lane.interrupter.foreground = None
    try:
        return (result or outcome.Error(KeyboardInterrupt())).unwrap()  # None: interrupted before its first line
    except BaseException as exc:
        # The shell shows errors of the user's code itself. This is one from around it: a cancellation that is
        # not the cell's own goes on, an interrupt in IPython's own code or a fault is shown here.
        error = cell.translate(exc)
        if error is None:
            kernel.reply_cut_short(cell)
            raise
        content = kernel.shell.format_error(error)
        kernel.wire.publish("error", content, parent=cell.request.header)
        return {"status": "error", "execution_count": kernel.shell.execution_count, "user_expressions": {}, "payload": [], **content}


async def abort_queued(kernel: Kernel[Any], lane: ShellLane) -> None:
    """Answer ``aborted`` to every cell that waits now, those included that are still in the socket."""
    arrived: Pending[None] = Pending()
    kernel.barrier(lambda: arrived.set_result(None))
    await arrived
    lane.abort_until = time.monotonic() + kernel.shell.stop_on_error_time_offset
    for request in lane.queue.take_queued():
        abort(kernel, request)


def abort(kernel: Kernel[Any], request: Request) -> None:
    """Answer a cell that will not run."""
    token = current_request.set(request)
    try:
        with kernel.busy(request):
            _reply_aborted(kernel, request)
    finally:
        current_request.reset(token)


def _reply_aborted(kernel: Kernel[Any], request: Request) -> None:
    content: Content = {
        "status": "aborted",
        "execution_count": kernel.shell.execution_count,
        **error_content(RequestError("not run, because an earlier cell failed or the kernel is closing")),
    }
    metadata = {"status": "aborted", "engine": kernel.ident, "dependencies_met": True}
    kernel.wire.reply(request, content, metadata=metadata)

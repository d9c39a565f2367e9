"""execute_request: from the lane into a cell and back.

A request becomes a :class:`~async_kernel.shell.cells.cell.Cell`, the shell runs it behind the cell's gate, and what
became of it is the reply. When a cell fails and its client asked for it (``stop_on_error``), everything that is
queued at that moment is answered ``aborted``.
"""

from __future__ import annotations

import datetime
import os
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import anyio
import outcome

from async_kernel.kernel.leftovers import leftovers_line
from async_kernel.kernel.lifecycle import leave
from async_kernel.kernel.run_mode import tags_of, timeout_of
from async_kernel.lifetime.pending import Pending
from async_kernel.protocol.errors import RequestError, error_content
from async_kernel.protocol.fields import field
from async_kernel.protocol.request import current_request
from async_kernel.protocol.tags import tag_value
from async_kernel.shell.cells.cell import Cancelled, Cell

if TYPE_CHECKING:
    from collections.abc import Generator

    from async_kernel.kernel.kernel import Kernel
    from async_kernel.kernel.shell_lane import ShellLane
    from async_kernel.protocol.request import Request
    from async_kernel.typing import Content

__all__ = ["execute"]


async def execute(kernel: Kernel[Any], lane: ShellLane, request: Request, *, foreground: bool = True) -> None:
    """Run a cell and answer.

    Args:
        kernel: whose cell it is.
        lane: runs it.
        request: asks for it.
        foreground: it is the cell of its serial lane, which interrupts are for; concurrent cells are not, and neither
            abort others nor are aborted.
    """
    began = datetime.datetime.now(datetime.UTC)
    field(request, "code", str)
    silent = field(request, "silent", bool, default=False)
    if kernel.shell.exit_now or (foreground and request.received < lane.abort_until and not silent):
        _reply_aborted(kernel, request)
        return
    cell = Cell(request, token=lane.token, timeout=timeout_of(request, kernel.shell.timeout))
    stops_on_error = _stops_on_error(request)
    request.beside = not foreground
    if (debugger := kernel.debugger_in_use) is not None:
        await debugger.before_cell()
    with lane.running(cell, foreground=foreground):
        if request.aborted is not None:  # it was cancelled after it had left the queue, and was no cell yet
            _reply_aborted(kernel, request, *request.aborted)
            return
        with _deadline(kernel, lane, cell) if cell.timeout > 0 else nullcontext():
            try:
                content = await run_cell(kernel, cell)
            finally:
                request.ended = True
                if (debugger := kernel.debugger_in_use) is not None:
                    debugger.after_cell()
    if kernel.shell.report_leftovers and (left := leftovers_line(lane, request)):
        kernel.wire.stream("stderr", left, parent=request.header)
    kernel.flush_output()
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
    failed = content["status"] == "error" and cell.cause not in ("cancel", "shutdown")
    queued: list[Request] = []
    try:
        if foreground and failed and not silent and stops_on_error:
            # Before the reply: what its client sends when it has read the reply is not aborted.
            queued = await _take_queued(kernel, lane)
    finally:
        kernel.wire.reply(request, content, metadata=metadata)
        for each in queued:
            abort(kernel, each)
        if kernel.shell.exit_now:
            leave(kernel)


def _stops_on_error(request: Request) -> bool:
    """Whether a failure of this cell aborts what is queued; tags say more than the request.

    Raises:
        RequestError: if the tag is neither true nor false.
    """
    wish = field(request, "stop_on_error", bool, default=True)
    for tag in tags_of(request):
        if tag == "raises-exception":
            return False
        if "=" in tag:
            try:
                wish = tag_value([tag], "stop-on-error", wish)
            except ValueError:
                msg = f"the tag {tag!r} is neither true nor false"
                raise RequestError(msg) from None
    return wish


@contextmanager
def _deadline(kernel: Kernel[Any], lane: ShellLane, cell: Cell) -> Generator[None]:
    """Have a cell that blocks its loop stopped at its deadline, too; its scope does that for one that awaits."""
    over: Pending[None] = Pending()

    async def watch() -> None:
        with anyio.move_on_after(cell.timeout):
            await over
            return
        kernel.interrupts.cut(lane, cell, "deadline")

    kernel.beside.start_soon(watch)
    try:
        yield
    finally:
        over.set_result(None)


async def run_cell(kernel: Kernel[Any], cell: Cell) -> Content:
    """Run the cell behind its gate."""
    result: outcome.Outcome[Content] | None = None

    async def body() -> None:
        nonlocal result
        try:
            result = outcome.Value(await kernel.shell.execute(cell))
        except BaseException as exc:  # noqa: BLE001 -- the gate's contract; unwrapped below
            result = outcome.Error(exc)

    with cell.running():
        await cell.gate.drive(body())
    try:
        return (result or outcome.Error(KeyboardInterrupt())).unwrap()  # None: interrupted before its first line
    except BaseException as exc:
        # The shell shows errors of the user's code itself. This is one from around it: a cancellation that is
        # not the cell's own goes on, an interrupt in IPython's own code or a fault is shown here.
        error = cell.translate(exc)
        if error is None:
            kernel.reply_cut_short(cell)
            raise
        content = kernel.error_content(error)
        kernel.wire.publish("error", content, parent=cell.request.header)
        count = kernel.shell.last_count
        return {"status": "error", "execution_count": count, "user_expressions": {}, "payload": [], **content}


async def _take_queued(kernel: Kernel[Any], lane: ShellLane) -> list[Request]:
    """Every cell that waits now, those included that are still in the socket."""
    arrived: Pending[None] = Pending()
    kernel.barrier(lambda: arrived.set_result(None))
    await arrived
    lane.abort_until = time.monotonic() + kernel.shell.stop_on_error_time_offset
    return lane.queue.take_queued()


def abort(kernel: Kernel[Any], request: Request, *, cause: str | None = None, reason: str | None = None) -> None:
    """Answer a cell that will not run.

    Args:
        kernel: whose it is.
        request: the cell's.
        cause: why, for the reply's metadata; None: an earlier cell failed, or the kernel closes.
        reason: words that came with the cause.
    """
    token = current_request.set(request)
    try:
        with kernel.serving.busy(request):
            _reply_aborted(kernel, request, cause, reason)
    finally:
        current_request.reset(token)


def _reply_aborted(kernel: Kernel[Any], request: Request, cause: str | None = None, reason: str | None = None) -> None:
    error: BaseException
    if cause == "cancel":
        error = Cancelled(reason or "cancelled")
    else:
        error = RequestError(reason or "not run, because an earlier cell failed or the kernel is closing")
    content: Content = {
        "status": "aborted",
        "execution_count": kernel.shell.last_count,
        **error_content(error),
    }
    metadata: dict[str, Any] = {"status": "aborted", "engine": kernel.ident, "dependencies_met": True}
    if cause is not None:
        metadata |= {"cause": cause, "reason": reason, "elapsed_s": 0.0}
    kernel.wire.reply(request, content, metadata=metadata)

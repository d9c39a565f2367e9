"""Running a piece of code beside the cell it stands in: as a background task, in a thread, on the other async library.

What ``%%task``, ``%%thread``, ``%%trio`` and ``%%asyncio`` do. Output, errors and displays go to the cell that the
magic is in. A task outlives it; a thread is waited for and, when its cell is cut short, is cut short with it.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import outcome

from async_kernel.lifetime.owned_thread import run_loop_in_owned_thread
from async_kernel.lifetime.pending import Pending
from async_kernel.protocol.request import current_request
from async_kernel.shell.background.names import current_session
from async_kernel.shell.background.session import Session
from async_kernel.shell.cells.cell import Cancelled, current_cell
from async_kernel.shell.cells.gate import Gate
from async_kernel.shell.running.evaluating import value_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from async_kernel.protocol.request import Request
    from async_kernel.shell.ipshell import IPShell
    from async_kernel.typing import Backend

__all__ = ["TaskHandle", "run_in_thread", "start_task"]


class TaskHandle:
    """A piece of code that runs as a background task.

    ``await handle`` waits for it: the value of its last expression, or its error.

    Attributes:
        id: what ``%cancel`` and ``%tasks`` call it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.id: str = ""
        self._result: Pending[Any] = Pending()
        self._cancel: Callable[[], object] = bool
        self._was_cut: Callable[[], bool] = bool

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._result.__await__()

    def done(self) -> bool:
        """Whether it has ended."""
        return self._result.done()

    def cancel(self) -> None:
        """End it; from any thread."""
        self._cancel()

    def __repr__(self) -> str:
        return f"<{'ended' if self.done() else 'running'} {self.id}: {self.name}>"

    def start(self, fn: Callable[[], Awaitable[Any]]) -> None:
        """Start the task, in the session of this loop."""
        own = current_session.get()
        if own is None:
            msg = "background tasks are started in cells of a kernel and in what they start"
            raise RuntimeError(msg)
        task = own.nursery.start_named(self._run, (fn,), self.name)
        self.id, self._cancel = task.id, partial(own.nursery.cancel, task)
        self._was_cut = lambda: task.cause is not None

    async def _run(self, fn: Callable[[], Awaitable[Any]]) -> None:
        """Be the task."""
        try:
            self._result.set_result(await fn())
        except anyio.get_cancelled_exc_class():
            self._result.set_exception(Cancelled(f"{self.id} was cancelled"))
            raise
        except BaseException as exc:
            cut = isinstance(exc, KeyboardInterrupt) and self._was_cut()
            self._result.set_exception(Cancelled(f"{self.id} was cancelled") if cut else exc)
            raise  # to the session, which shows it


def start_task(shell: IPShell[Any], code: str) -> TaskHandle:
    """Start code as a background task of the session."""
    handle = TaskHandle(code.strip().splitlines()[0][:60] if code.strip() else "nothing")
    handle.start(lambda: value_of(shell, code))
    return handle


async def run_in_thread(shell: IPShell[Any], code: str, *, backend: Backend, name: str) -> Any:
    """Run code in a thread with a loop of its own, and wait for it; the value of its last expression.

    Raises:
        BaseException: what the code raised.
    """
    cell, request = current_cell.get(), current_request.get()
    gates: list[Gate] = []

    async def main() -> outcome.Outcome[Any]:
        current_request.set(request)
        current_cell.set(None)
        gate = Gate(threading.get_ident())
        gates.append(gate)
        if cell is not None:
            cell.gates_beside.add(gate)
        results: list[outcome.Outcome[Any]] = []

        async def body() -> None:
            results.append(await outcome.acapture(value_of, shell, code))

        async with Session.open(lambda exc, of: _report(shell, exc, of)) as own:
            current_session.set(own)
            await gate.drive(body())
            await own.all_ended()
        return results[0] if results else outcome.Error(KeyboardInterrupt())

    try:
        result = await run_loop_in_owned_thread(main, name=name, backend=backend)
    finally:
        if cell is not None:
            cell.gates_beside.difference_update(gates)
    return result.unwrap()


def _report(shell: IPShell[Any], exc: BaseException, request: Request | None) -> None:
    shell.wire.publish("error", shell.format_error(exc), parent=request.header if request else None)

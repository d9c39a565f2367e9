"""One cell: one request to run code, in one cancel scope, with a reason when it is cut short.

The scope is entered exactly around the user's code (:meth:`Cell.boundary`), by the shell that runs it, and it
is the only thing that absorbs the cell's own cancellation. Whatever cuts a cell short says why first
(:meth:`Cell.cut`); the error that the user is shown follows from that cause (:meth:`Cell.translate`), so
that nobody ever reads a traceback of the machinery.

A cell belongs to the thread whose loop runs it. ``cut`` may be called from any thread; the rest may not.
"""

from __future__ import annotations

import contextlib
import threading
import time
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import anyio

from async_kernel.shell.cells.cancellation import without
from async_kernel.shell.cells.gate import Gate
from async_kernel.shell.cells.machinery import is_machinery
from async_kernel.shell.cells.native import native_task

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from async_kernel.lifetime.loop_token import LoopToken
    from async_kernel.protocol.request import Request
    from async_kernel.shell.cells.nursery import CellNursery

__all__ = ["Cancelled", "Cause", "Cell", "chained", "current_cell", "user_traceback"]

Cause = Literal["interrupt", "deadline", "cancel", "shutdown"]
State = Literal["queued", "running", "awaiting", "blocking", "ended"]


class Cancelled(BaseException):
    """A cell was cancelled by request, or because its kernel closes; the message is the reason given."""


class Cell:
    """A request to run code, while it is queued, runs and ends.

    Attributes:
        request: what asked for it.
        timeout: seconds that the code may take; 0 is for ever.
        cause: why it was cut short, None if it was not.
        reason: words that came with the cause.
        native: the task object of the async library that runs it.
        is_showing: whether its code has ended and its error is being shown.
        must_end: whether it was cut short because its kernel ends.
        gate: knows whether the cell's code is on its thread's stack; interrupts go through it.
        gates_beside: of code that the cell waits for: its children, and what its magics run in threads.
    """

    def __init__(self, request: Request, *, token: LoopToken, timeout: float = 0.0) -> None:
        self.request = request
        self.timeout = timeout
        self.token = token
        self.gate: Gate = Gate(token.thread_id)
        self.gates_beside: set[Gate] = set()
        self.cause: Cause | None = None
        self.reason: str | None = None
        self.began: float | None = None
        self.ended: float | None = None
        self.native: Any = None
        self.is_showing: bool = False
        self.must_end = False
        self.children: CellNursery | None = None
        self.child_error: BaseException | None = None
        self._scope: anyio.CancelScope | None = None
        self._waits: list[Callable[[BaseException], object]] = []
        self._waits_lock = threading.Lock()
        self._told = False

    # -- running ---------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """What it does at this moment, seen from any thread."""
        if self.ended is not None:
            return "ended"
        if self.began is None:
            return "queued"
        blocks = self.gate.inside or any(gate.inside for gate in list(self.gates_beside))
        return "blocking" if blocks else "awaiting"

    @property
    def elapsed(self) -> float:
        """Seconds since it began to run, until its end."""
        return 0.0 if self.began is None else (self.ended or time.monotonic()) - self.began

    @contextlib.contextmanager
    def running(self) -> Generator[Self]:
        """The time from the cell's begin to its end; sets the context variable."""
        self.native = native_task()
        self.began = time.monotonic()
        token = current_cell.set(self)
        try:
            yield self
        finally:
            self.ended = time.monotonic()
            current_cell.reset(token)

    @contextlib.contextmanager
    def boundary(self) -> Generator[None]:
        """The cell's cancel scope, around the user's code and nothing else.

        Entered again from inside (``%run``, ``run_cell``) it does nothing: the outermost one counts.
        """
        if self._scope is not None:
            yield
            return
        with anyio.CancelScope() as scope:
            self._scope = scope
            if self.timeout > 0:
                scope.deadline = anyio.current_time() + self.timeout
            if self.cause is not None:
                scope.cancel()
            try:
                yield
            finally:
                self.gate.seal()
                if scope.cancel_called and self.cause is None and self.child_error is None:
                    self.cause = "deadline"

    @property
    def cancelled(self) -> bool:
        """Whether its scope was cancelled, by a cause or by its deadline."""
        return self._scope is not None and self._scope.cancel_called

    @property
    def nursery(self) -> CellNursery:
        """Children that the cell waits for."""
        if self.children is None:
            from async_kernel.shell.background.names import session  # noqa: PLC0415
            from async_kernel.shell.cells.nursery import CellNursery  # noqa: PLC0415 -- most cells have no children

            self.children = CellNursery(self, session.start_host)
        return self.children

    def child_failed(self, exc: BaseException) -> None:
        """A child ended with ``exc``: that is the error of the cell, and its code is cancelled."""
        self.child_error = exc
        self._cancel_scope()

    # -- cutting short ---------------------------------------------------------------------------------------

    def cut(self, cause: Cause, reason: str | None = None) -> None:
        """Cut the cell short; safe from any thread, harmless when it has ended. The first cause stands."""
        if self.ended is not None:
            return
        if self.cause is None:
            self.cause, self.reason = cause, reason
        with self._waits_lock:
            waits, self._waits = self._waits, []
            self._told = self._told or bool(waits)
        for give_up in waits:
            give_up(KeyboardInterrupt())
        self.token.call_soon(self._cancel_scope)

    def _cancel_scope(self) -> None:
        if self._scope is not None and self.ended is None:
            self._scope.cancel()

    @contextlib.contextmanager
    def waiting(self, give_up: Callable[[BaseException], object]) -> Generator[None]:
        """While synchronous code of the cell waits for something of ours: ``give_up(exc)`` ends that wait.

        In a cell that was cut short, the first wait ends with KeyboardInterrupt. Code that goes on asking all the same
        gets EOFError: loops that take the one for "start the line again" take the other for the end.
        """
        with self._waits_lock:
            cut, told = self.cause is not None, self._told
            if cut:
                self._told = True
            else:
                self._waits.append(give_up)
        if cut:
            give_up(EOFError("the cell was stopped") if told else KeyboardInterrupt())
        try:
            yield
        finally:
            with self._waits_lock, contextlib.suppress(ValueError):
                self._waits.remove(give_up)

    @contextlib.contextmanager
    def showing(self) -> Generator[None]:
        """While the cell's error is formatted and shown: its code has ended, there is nothing left to interrupt."""
        self.is_showing = True
        try:
            yield
        finally:
            self.is_showing = False

    # -- what the user sees ----------------------------------------------------------------------------------

    def translate(self, exc: BaseException) -> BaseException | None:
        """The exception to show for ``exc``.

        Returns:
            ``exc`` itself when it is the user's own; the error of the cause when the cell was cut short;
            None when ``exc`` is a cancellation that belongs to somebody else and must go on as it is.
        """
        cancelled_class = anyio.get_cancelled_exc_class()
        if self.cause is None and self.child_error is not None and isinstance(exc, cancelled_class):
            return self.child_error
        if self.cause is None and self.cancelled and self.child_error is None:
            self.cause = "deadline"
        machinery: tuple[type[BaseException], ...] = (cancelled_class,)
        if self.cause is not None:
            machinery = (cancelled_class, KeyboardInterrupt)
        own = without(exc, machinery)
        if own is not None:
            return own
        if self.cause is None:
            return None
        return self._error_of_cause().with_traceback(user_traceback(_deepest(exc).__traceback__))

    def _error_of_cause(self) -> BaseException:
        if self.cause == "deadline":
            return TimeoutError(f"the cell ran longer than its deadline of {self.timeout:g} s")
        if self.cause == "interrupt":
            return KeyboardInterrupt(*((self.reason,) if self.reason else ()))
        return Cancelled(self.reason or ("the kernel is shutting down" if self.cause == "shutdown" else "cancelled"))


def _deepest(exc: BaseException) -> BaseException:
    """The first leaf of a group: where the user's code stood."""
    while isinstance(exc, BaseExceptionGroup):
        exc = cast("BaseExceptionGroup[Any]", exc).exceptions[0]
    return exc


def user_traceback(tb: TracebackType | None) -> TracebackType | None:
    """``tb`` without the frames of the machinery at its end, so that it stops where the user's code stood."""
    entries: list[TracebackType] = []
    while tb is not None:
        entries.append(tb)
        tb = tb.tb_next
    while entries and is_machinery(entries[-1].tb_frame.f_code.co_filename):
        entries.pop()
    return chained(entries)


def chained(entries: Sequence[TracebackType]) -> TracebackType | None:
    """A traceback of these entries, outermost first."""
    kept: TracebackType | None = None
    for entry in reversed(entries):
        line: int | None = entry.tb_lineno  # None in code of a function's that stands for no line
        kept = TracebackType(kept, entry.tb_frame, entry.tb_lasti, line or entry.tb_frame.f_code.co_firstlineno)
    return kept


current_cell: ContextVar[Cell | None] = ContextVar("async_kernel_current_cell", default=None)

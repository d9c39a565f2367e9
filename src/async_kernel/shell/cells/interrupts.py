"""Raising KeyboardInterrupt in a cell, and nowhere else.

A cell's coroutine is driven through its :class:`Gate`, which therefore knows at every moment whether the
cell's code is on the stack of its thread. An :class:`Interrupter` cuts a cell short from any thread:

1. the cell is told the cause, what it waits for in our own code gives up, its cancel scope is cancelled as soon as
   its loop turns: enough for every cell that awaits, or waits for input;
2. for code that blocks the loop, KeyboardInterrupt is raised in the thread. In the main thread with our SIGINT handler
   installed, by that signal: it also ends system calls such as a sleep, and the handler sees the very frame that it
   interrupted. Elsewhere by CPython's asynchronous exception, at the next bytecode; a blocking C call cannot be
   interrupted there.

An interrupt never leaves its cell. The handler raises only while the gate is entered and the interrupted frame is
not the gate's own; an asynchronous exception is only set while the gate is entered, under the gate's lock, and is
withdrawn when the gate is left. What strikes in between is kept and thrown into the cell when it continues.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import signal
import sys
import threading
import time
import types
from typing import TYPE_CHECKING, Any, Literal

import anyio

from async_kernel.lifetime.pending import Pending

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from async_kernel.lifetime.loop_token import LoopToken
    from async_kernel.shell.cells.cell import Cause, Cell

__all__ = ["Gate", "Interrupted", "Interrupter"]

RESEND_S = 0.02
"""Seconds after which an unhandled signal is sent again: longer than the main thread needs for its next bytecode,
which with several threads can be a switch interval (5 ms) or two; shorter than a person notices."""

Interrupted = Literal["awaiting", "blocking", "queued", "ended"]
"""How an interrupt found its cell."""


class Gate:
    """Where a cell's code is entered and left, step by step.

    Only the thread that runs the cell drives it; ``inside`` may be read and :meth:`strike` called from any thread.
    """

    __slots__ = ("_armed", "_entered", "_lock", "_thread_id", "inside", "pending", "sealed")

    def __init__(self, thread_id: int) -> None:
        self._thread_id = thread_id
        self._lock = threading.Lock()
        self._armed = False
        self._entered = 0.0
        self.inside = False
        self.pending = False
        self.sealed = False

    @types.coroutine
    def drive(self, coro: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
        """Await ``coro`` step by step. It must catch everything itself and return None.

        A step is made inside ``list.extend(map(...))`` so that what it yields is stored before the interpreter
        can raise an asynchronous exception in this frame: a lost trap would leave the task asleep for ever.
        """
        step: Callable[[Any], Any] = coro.send
        value: Any = None
        while True:
            if self.pending:
                # Asleep, it is woken by its scope's cancellation, which says the same: once is enough.
                self.pending = False
                if step == coro.send:
                    step, value = coro.throw, KeyboardInterrupt()
            trap: list[Any] = []
            try:
                self._enter()
                trap.extend(map(step, (value,)))
            except KeyboardInterrupt:
                # coro raises nothing, so this struck in a frame of ours.
                self.pending = True
            finally:
                self._leave()
            if not trap:
                if getattr(coro, "cr_frame", None) is None:
                    return
                step, value = coro.send, None  # struck before the step: make it, with the interrupt
                continue
            try:
                value = yield trap[0]
                step = coro.send
            except BaseException as exc:  # noqa: BLE001 -- whatever the loop throws in goes to the cell
                value, step = exc, coro.throw

    def _enter(self) -> None:
        self._entered = time.monotonic()
        self.inside = True

    @property
    def inside_for(self) -> float:
        """Seconds that the step at hand has taken so far; 0 outside."""
        return time.monotonic() - self._entered if self.inside else 0.0

    def _leave(self) -> None:
        while True:
            try:
                with self._lock:
                    self.inside = False
                    if self._armed:
                        self._take_back()
            except KeyboardInterrupt:
                self.pending = True
            else:
                return

    def owns_frame(self, frame: types.FrameType | None) -> bool:
        """Whether the frame is the gate's own code, where nothing may be raised."""
        return frame is not None and frame.f_code in _GATE_CODES

    def strike(self, exc: type[KeyboardInterrupt] = KeyboardInterrupt) -> bool:
        """Raise KeyboardInterrupt in the cell at its thread's next bytecode; False if it is not on the stack.

        Then it is raised at the cell's next step, if it makes one.
        """
        with self._lock:
            if self.sealed:
                return False
            if not self.inside:
                self.pending = True
                return False
            if not self._armed:
                self._armed = True
                _set_async_exc(self._thread_id, exc)
            return True

    def seal(self) -> None:
        """The user's code has ended: let nothing strike the code around it, such as the exit of the cell's scope."""
        with self._lock:
            self.sealed = True
            self.pending = False
        self.withdraw()

    def withdraw(self) -> None:
        """Take back a strike that has not been raised yet; in the gate's thread."""
        with contextlib.suppress(KeyboardInterrupt), self._lock:
            if self._armed:
                self._take_back()

    def _take_back(self) -> None:
        """Replace the strike by an exception that is caught here.

        Merely unset, it would leave the interpreter's note that there is something to raise, which CPython 3.11 and
        3.12 clear only by raising: each call and loop would look for it from then on, and in 3.11 code that is profiled
        or debugged would look for ever.

        Raises:
            KeyboardInterrupt: if it has struck already.
        """
        try:
            _set_async_exc(self._thread_id, _TakenBack)
            while True:
                pass  # it is raised at the first jump
        except _TakenBack:
            self._armed = False


class _TakenBack(BaseException):
    """Stands for a strike that came too late."""


_GATE_CODES = frozenset(vars(Gate)[name].__code__ for name in ("drive", "_enter", "_leave", "withdraw", "_take_back"))


def _set_async_exc(thread_id: int, exc: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(exc) if exc else None)


class Interrupter:
    """Interrupts the cells of one loop.

    Args:
        token: the loop whose cells these are.
        by_signal: whether our SIGINT handler is installed and the loop runs in the main thread.
    """

    def __init__(self, token: LoopToken, *, by_signal: bool = False) -> None:
        self.token = token
        self.by_signal = by_signal
        self.foreground: Cell | None = None
        self._signalled: Cell | None = None
        self._handled: Pending[None] = Pending()
        self._handled_at = -math.inf

    def interrupt(self, cell: Cell | None = None, cause: Cause = "interrupt", reason: str | None = None) -> Interrupted:
        """Cut ``cell`` (the foreground cell when None) short; from any thread.

        With a signal, :meth:`insist` must follow.

        Returns:
            what it was doing: ``blocking`` means that it holds the loop, so that a C call which does not
            return cannot be interrupted outside the main thread.
        """
        cell = cell or self.foreground
        if cell is None or cell.state == "ended":
            return "ended"
        state = cell.state
        if cell.is_showing or cell.gate.sealed:
            return "ended"
        if self.by_signal:
            self._handled, self._signalled = Pending(), cell
        cell.cut(cause, reason)
        if state == "queued":
            cell.gate.pending = True  # it is thrown in at the first line
            return "queued"
        if self.by_signal:
            raise_sigint_in_main_thread()
        else:
            cell.gate.strike()
        return "blocking" if state == "blocking" else "awaiting"

    async def insist(self, cell: Cell, also: Callable[[], object]) -> None:
        """Make sure that the signal for ``cell`` was handled; a task of another loop.

        CPython looks for signals before it gives the GIL away, not after it has it back. One that is sent in between
        lies there unhandled if the main thread enters a C call that blocks next, until the next signal ends that
        call. And a C call may ignore SIGINT, as ``system(3)`` does: then it is raised when that call returns, by an
        asynchronous exception.

        Args:
            cell: the one that was signalled for.
            also: called each time before the signal is sent again, with the exception set already.
        """
        if not self.by_signal:
            return
        handled = self._handled
        while True:
            with anyio.move_on_after(RESEND_S):
                await handled
            if handled.done() or cell.state == "ended":
                return
            # Whichever comes first is the one: the handler withdraws the exception, the exception counts as handled.
            cell.gate.strike(_interrupt_that_tells(lambda: self._note_handled(handled)))
            also()
            raise_sigint_in_main_thread()

    def _note_handled(self, handled: Pending[None]) -> None:
        self._handled_at = time.monotonic()
        handled.set_result(None)

    async def insist_on_noticing(self, cell: Cell) -> None:
        """The same for a signal that somebody else has sent; the handler has run when the cell has noticed."""
        await anyio.sleep(RESEND_S)
        while not cell.noticed and cell.state == "blocking":
            raise_sigint_in_main_thread()
            await anyio.sleep(RESEND_S)

    def on_sigint(self, frame: types.FrameType | None) -> None:
        """Our SIGINT handler's work: called in the main thread, at the frame that the signal interrupted.

        Raises:
            KeyboardInterrupt: exactly when that frame belongs to the cell that is meant: the one that
                :meth:`interrupt` has signalled for, otherwise (Control-C in a terminal) the foreground cell.
            asyncio.CancelledError: the same, in a child task of the cell on asyncio, whose loop a KeyboardInterrupt
                would end.
        """
        target = self._signalled
        cell = target or self.foreground
        if cell is None or cell.state == "ended" or cell.is_showing or cell.gate.sealed:
            self._noticed(cell)
            return
        if target is None and cell.cause is not None and time.monotonic() - self._handled_at < 2 * RESEND_S:
            return  # it was sent again at the moment in which it was handled
        if cell.gate.inside and not cell.gate.owns_frame(frame) and _trio_protects(frame):
            return  # raised here, it would break trio's state; it is sent again
        self._noticed(cell)
        cell.gate.withdraw()
        if cell.cause is None:
            cell.cut("interrupt")
        if not cell.gate.inside and _in_child_of(cell):
            _raise_in_child(cell, frame)
        if not cell.gate.inside or cell.gate.owns_frame(frame):
            # Asleep, its scope is being cancelled. Between two steps, it comes at the next one.
            cell.gate.pending = True
            return
        raise KeyboardInterrupt

    def _noticed(self, cell: Cell | None) -> None:
        self._signalled = None
        if cell is not None:
            cell.noticed = True
        self._note_handled(self._handled)


def _interrupt_that_tells(raised: Callable[[], object]) -> type[KeyboardInterrupt]:
    """A KeyboardInterrupt that calls ``raised`` when the interpreter makes an instance of it, to raise it."""

    def init(_: KeyboardInterrupt) -> None:
        raised()

    return type("KeyboardInterrupt", (KeyboardInterrupt,), {"__init__": init, "__module__": "builtins"})


def raise_sigint_in_main_thread() -> None:
    """Send this process's main thread SIGINT, ending a system call that it is in."""
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGINT)  # there the handler's event also ends time.sleep
    else:
        ident = threading.main_thread().ident
        if ident is not None:
            signal.pthread_kill(ident, signal.SIGINT)


def _in_child_of(cell: Cell) -> bool:
    """Whether what runs now is a task of the cell's own: a nursery child of its code."""
    from async_kernel.shell.cells.cell import current_cell  # noqa: PLC0415 -- cell imports this module

    if current_cell.get() is not cell:
        return False
    try:
        return anyio.get_current_task().id != cell.task_id
    except (RuntimeError, anyio.NoEventLoopError):
        return False


def _raise_in_child(cell: Cell, frame: types.FrameType | None) -> None:
    if cell.token.backend == "trio":
        if not _trio_protects(frame):
            raise KeyboardInterrupt
    elif _in_asyncio_task():
        raise sys.modules["asyncio"].CancelledError


def _in_asyncio_task() -> bool:
    """Whether a step of a task is on the stack, so that an exception ends that task and not the loop."""
    asyncio = sys.modules.get("asyncio")
    try:
        return asyncio is not None and asyncio.current_task() is not None
    except RuntimeError:
        return False


def _trio_protects(frame: types.FrameType | None) -> bool:
    """Whether trio has marked the interrupted code as one where KeyboardInterrupt would break its state."""
    trio = sys.modules.get("trio")
    if trio is None or frame is None:
        return False
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return bool(trio.lowlevel.currently_ki_protected())

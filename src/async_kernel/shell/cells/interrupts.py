"""Raising KeyboardInterrupt in a cell, and nowhere else.

A cell's coroutine is driven through its :class:`~async_kernel.shell.cells.gate.Gate`, which therefore knows at every
moment whether the cell's code is on the stack of its thread. An :class:`Interrupter` cuts a cell short from any thread:

1. the cell is told the cause, what it waits for in our own code gives up, its cancel scope is cancelled as soon as
   its loop turns: enough for every cell that awaits, or waits for input;
2. for code that blocks the loop, KeyboardInterrupt is raised in the thread. In the main thread with our SIGINT handler
   installed, by that signal: it also ends system calls such as a sleep, and the handler sees the very frame that it
   interrupted. Elsewhere by CPython's asynchronous exception, at the next bytecode; a blocking C call cannot be
   interrupted there.

An interrupt never leaves its cell. The handler raises only while the gate is entered and the interrupted frame is
not the gate's own; an asynchronous exception is only set while the gate is entered, under the gate's lock, and is
withdrawn when the gate is left. What strikes in between is kept, and raised when the cell's code goes on.

A signal that nothing becomes of is sent again. Looking whether it was handled, and sending, is one step under a lock
that the handler takes, too: a signal sent after the handling would be a second interrupt, in a cell that cleans up. The
interpreter may still be on its way to the handler then, which so runs once more. It can tell: it counts the signals
that have arrived and those that were sent here, and when there are no others, nobody has asked for a second interrupt.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Literal, Protocol

import anyio

from async_kernel.lifetime.pending import Pending
from async_kernel.platforms.signals import raise_sigint_in_main_thread
from async_kernel.shell.cells.children import child_on_stack, runs_in_child, strike_child_on_stack
from async_kernel.shell.cells.gate import BLOCKS_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from async_kernel.lifetime.loop_token import LoopToken
    from async_kernel.shell.background.session import Session
    from async_kernel.shell.cells.cell import Cause, Cell
    from async_kernel.shell.cells.foreign import ForeignTask
    from async_kernel.shell.cells.gate import Gate
    from async_kernel.shell.cells.task import Task

    Stoppable = Cell | Task | ForeignTask

__all__ = ["Interrupted", "Interrupter", "SigintCounts", "exception_for_stopped", "insist_on_striking"]

RESEND_S = 0.02
"""Seconds after which an unhandled signal is sent again: longer than the main thread needs for its next bytecode,
which with several threads can be a switch interval (5 ms) or two; shorter than a person notices."""

Interrupted = Literal["awaiting", "blocking", "queued", "ended"]
"""How an interrupt found its cell."""


class SigintCounts(Protocol):
    """Counts the SIGINTs of the process, whoever has sent them."""

    def arrived(self) -> int:
        """How many have come; Python's handler, when it begins, is for all of them."""
        ...

    def note_handled(self, arrived: int) -> None:
        """Python's handler is done with the first so many: they need not be sent again."""
        ...

    def unhandled(self) -> int:
        """How many are known to have come that Python's handler is not done with."""
        ...


class Interrupter:
    """Interrupts the cells of one loop.

    Args:
        token: the loop whose cells these are.
        by_signal: whether our SIGINT handler is installed and the loop runs in the main thread.
        session: of that loop.
    """

    def __init__(self, token: LoopToken, *, by_signal: bool = False, session: Session | None = None) -> None:
        self.token = token
        self.session = session
        self.by_signal = by_signal
        self.foreground: Cell | None = None
        self._signalled: Stoppable | None = None
        self._aims: dict[Stoppable, Pending[None]] = {}
        self._sent = False
        self._sends = 0
        self._seen = 0, 0
        self._handled: Pending[None] = Pending()
        # Reentrant, for the handler may run in the middle of what its thread does under it.
        self._sending = threading.RLock()

    def begin(self, cell: Cell) -> None:
        """Interrupts are for this cell from now on, until ``foreground`` says otherwise; in the loop's thread."""
        self.foreground = cell
        self._settle()

    def interrupt(
        self, cell: Stoppable | None = None, cause: Cause = "interrupt", reason: str | None = None
    ) -> Interrupted:
        """Cut ``cell`` (the foreground cell when None) short; from any thread.

        :meth:`insist` must follow.

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
        # A deadline is its scope's, too: code that blocks when it comes is about to await, or it is struck by insist.
        asleep = cell.gate.strike_asleep() or cause == "deadline"
        for gate in _gates_beside(cell):
            gate.strike_asleep()
        handled = self._aims[cell] = Pending()
        with self._sending:
            if self.by_signal and not (asleep and self._strikes_another(cell)):
                self._handled, self._signalled, self._sent = handled, cell, not asleep
        if self.by_signal and not asleep:
            # First: code that comes to its next await is cancelled there, and would be struck while it handles that.
            if cell.cause is None:
                cell.cause, cell.reason = cause, reason
            self._send()
        cell.cut(cause, reason)
        # When the loop turns, its scope is cancelled. If it does not, it or a child of it blocks the loop: see insist.
        self.token.call_soon(self._turned, handled)
        if asleep:
            if state == "awaiting" and child_on_stack(cell, self.session) is not None:
                state = "blocking"
            return "queued" if state == "queued" else "blocking" if state == "blocking" else "awaiting"
        if not self.by_signal:
            cell.gate.strike()
        return "blocking"

    def _strikes_another(self, cell: Stoppable) -> bool:
        """Whether a signal is on its way to another cell: when that lets the loop turn, ``cell`` is cancelled."""
        target = self._signalled
        return self._sent and target is not None and target is not cell and target.state != "ended"

    async def insist(self, cell: Stoppable, also: Callable[[], object]) -> None:
        """Make sure that the interrupt of ``cell`` reaches it; a task of another loop.

        CPython looks for signals before it gives the GIL away, not after it has it back. One that is sent in between
        lies there unhandled if the main thread enters a C call that blocks next, until the next signal ends that
        call. And a C call may ignore SIGINT, as ``system(3)`` does: then it is raised when that call returns, by an
        asynchronous exception.

        Args:
            cell: the one that was signalled for.
            also: called each time before the signal is sent again, with the exception set already.
        """
        handled = self._aims.get(cell)
        if handled is None:
            return  # it was interrupted twice, and is insisted on already
        try:
            async with anyio.create_task_group() as group:
                for gate in _gates_beside(cell):
                    if not (self.by_signal and gate.thread_id == self.token.thread_id):  # the handler sees to children
                        group.start_soon(insist_on_striking, gate)
                if self.by_signal:
                    await self._insist_on_signalling(cell, handled, also)
                else:
                    group.start_soon(self._insist_on_striking_children, cell)
                    if cell.cause == "deadline":
                        await anyio.sleep(RESEND_S)
                    await insist_on_striking(cell.gate)
        finally:
            if self._aims.get(cell) is handled:
                del self._aims[cell]

    async def _insist_on_striking_children(self, cell: Stoppable) -> None:
        """Strike a child in a nursery of the user's own if it keeps the loop from turning."""
        turned: Pending[None] = Pending()
        if not self.token.call_soon(turned.set_result, None):
            return
        began = time.monotonic()
        with anyio.CancelScope(shield=True):  # also while the kernel closes, for it waits for the thread
            while cell.state != "ended":
                with anyio.move_on_after(RESEND_S):
                    await turned
                    return
                blocked_s = time.monotonic() - began
                if blocked_s > BLOCKS_S and strike_child_on_stack(cell, self.session, blocked_s):
                    return

    async def _insist_on_signalling(self, cell: Stoppable, handled: Pending[None], also: Callable[[], object]) -> None:
        while True:
            with anyio.move_on_after(RESEND_S):
                await handled

            def is_over() -> bool:
                return handled.done() or cell.gate.delivered or cell.state == "ended"

            # Whichever comes first is the one: the handler withdraws the exception, the exception counts as handled.
            if cell.gate.strike(_interrupt_that_tells(lambda: self._struck(handled)), unless=is_over):
                also()
            with self._sending:
                if is_over():
                    return
                if not self._strikes_another(cell):
                    self._handled, self._signalled = handled, cell
                self._sent = True
                self._send()

    def _turned(self, handled: Pending[None]) -> None:
        with self._sending:
            if handled is self._handled and not self._sent:
                self._signalled = None  # otherwise the handler will see whom the signal is for
            handled.set_result(None)

    def _note_handled(self, handled: Pending[None]) -> None:
        with self._sending:
            handled.set_result(None)

    def _struck(self, handled: Pending[None]) -> None:
        """The exception from another thread was faster than any signal."""
        self._settle()
        self._note_handled(handled)

    def _settle(self) -> None:
        """In the loop's thread: what was sent has come, or never will: a C call ignored it, or two became one."""
        with self._sending:
            self._seen = self._seen[0], self._sends

    def _send(self) -> None:
        with self._sending:
            self._sends += 1
            raise_sigint_in_main_thread()

    async def insist_on_handling(self, cell: Cell, counts: SigintCounts) -> None:
        """The same for signals that somebody else has sent, however many there are until ``cell`` has ended."""
        while waiting := counts.unhandled():
            turned: Pending[None] = Pending()
            self.token.call_soon(turned.set_result, None)
            with anyio.move_on_after(RESEND_S):
                await turned
            with self._sending:
                if cell.state == "ended" or (turned.done() and counts.unhandled() <= waiting):
                    return
                if not turned.done() and counts.unhandled():
                    self._signalled = cell
                    self._send()

    def on_sigint(self, frame: FrameType | None, counts: SigintCounts) -> None:
        """Our SIGINT handler's work: called in the main thread, at the frame that the signal interrupted.

        Where nothing may be raised, the cell is struck when it goes on. Should it block before that, the signal is to
        be sent again: it stays unhandled in ``counts``.

        Raises:
            KeyboardInterrupt: exactly when that frame belongs to the cell that is meant: the one that
                :meth:`interrupt` has signalled for, otherwise (Control-C in a terminal) the foreground cell.
            asyncio.CancelledError: the same, in a child task of the cell on asyncio, whose loop a KeyboardInterrupt
                would end.
        """
        with self._sending:
            arrived, sends = seen = counts.arrived(), self._sends
            only_ours = arrived - self._seen[0] <= sends - self._seen[1]
            self._seen = seen
            target = self._target()
            if target is self._signalled:
                self._signalled = None  # whoever sends it again says so anew, and the next may be somebody else's

        def done() -> None:
            with self._sending:
                counts.note_handled(arrived)
                handled = self._handled if cell is None else self._aims.get(cell, self._handled)
                if handled is self._handled:
                    self._signalled = None
                handled.set_result(None)

        cell = target or self.foreground
        if cell is None or cell.state == "ended" or cell.is_showing or cell.gate.sealed:
            return done()
        if target is not None and cell.gate.delivered:
            return done()  # its scope's cancellation was faster
        if target is None and only_ours:
            return counts.note_handled(arrived)  # sent again while it was handled, or its cell has ended since
        if cell.cause is None:
            cell.cut("interrupt")
        if not cell.gate.inside or cell.gate.owns_frame(frame):
            # Asleep, its scope is cancelled when the loop turns. Between two steps, it comes at the next one.
            cell.gate.pending = True
            if (
                not cell.gate.inside
                and runs_in_child(cell, self.session)
                and (raised := _exception_for_child(cell, frame))
            ):
                done()
                raise raised
            return None
        if _trio_protects(frame) or not cell.gate.may_raise_at(frame):
            # Raised here, it would break the state of an async library. It comes when that is through with it.
            cell.gate.pending = True
            return None
        done()
        cell.gate.withdraw()
        raise KeyboardInterrupt

    def _target(self) -> Stoppable | None:
        """Whom a signal of ours is for; of several, the one whose code it has interrupted."""
        target = self._signalled
        if target is None or target.gate.inside:
            return target
        return next((each for each in list(self._aims) if each.gate.inside), target)


async def insist_on_striking(gate: Gate) -> None:
    """Strike code in another thread, as soon as that does no harm; a task of another loop than its own.

    Also while the kernel closes, for it waits for the thread.
    """
    with anyio.CancelScope(shield=True):
        while gate.inside and not (gate.delivered or gate.sealed or gate.strike()):  # noqa: ASYNC110 -- CPython tells nobody
            await anyio.sleep(RESEND_S)  # asleep, it would be cancelled, or struck when it goes on


def exception_for_stopped(cell: Cell, frame: FrameType) -> BaseException | None:
    """What ends a cell that a debugger has stopped at this frame and lets go; in the cell's thread.

    Returns:
        None where nothing may be raised, and for code in another thread than the cell's.
    """
    if threading.get_ident() != cell.gate.thread_id or cell.is_showing or cell.gate.sealed:
        return None
    if _trio_protects(frame) or not cell.gate.may_raise_at(frame):
        return None
    if cell.gate.inside:
        return KeyboardInterrupt()
    return _exception_for_child(cell, frame) if runs_in_child(cell, None) else None


def _gates_beside(cell: Stoppable) -> list[Gate]:
    """The gates of what a cell waits for; a task has none."""
    return list(getattr(cell, "gates_beside", ()))


def _interrupt_that_tells(raised: Callable[[], object]) -> type[KeyboardInterrupt]:
    """A KeyboardInterrupt that calls ``raised`` when the interpreter makes an instance of it, to raise it."""

    def init(_: KeyboardInterrupt) -> None:
        raised()

    return type("KeyboardInterrupt", (KeyboardInterrupt,), {"__init__": init, "__module__": "builtins"})


def _exception_for_child(cell: Stoppable, frame: FrameType | None) -> BaseException | None:
    """What ends a child of the cell that blocks the loop; None where nothing may be raised."""
    if cell.token.backend == "trio":
        return None if _trio_protects(frame) else KeyboardInterrupt()
    return sys.modules["asyncio"].CancelledError() if _in_asyncio_task() else None


def _in_asyncio_task() -> bool:
    """Whether a step of a task is on the stack, so that an exception ends that task and not the loop."""
    asyncio = sys.modules.get("asyncio")
    try:
        return asyncio is not None and asyncio.current_task() is not None
    except RuntimeError:
        return False


def _trio_protects(frame: FrameType | None) -> bool:
    """Whether trio has marked the interrupted code as one where KeyboardInterrupt would break its state."""
    trio = sys.modules.get("trio")
    if trio is None or frame is None:
        return False
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return bool(trio.lowlevel.currently_ki_protected())

"""What cuts cells and tasks short: an interrupt, a signal, and the end of the kernel; and sees to it that they notice.

Called in any thread. How one of them is struck is the lane's (:mod:`~async_kernel.shell.cells.interrupts`); here is
decided which, and the debugger is made to let go of what it has stopped.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from async_kernel.kernel.blocked import blocking_tasks
from async_kernel.kernel.children import interrupt_children

if TYPE_CHECKING:
    from types import FrameType

    from async_kernel.kernel.kernel import Kernel
    from async_kernel.kernel.shell_lane import ShellLane
    from async_kernel.shell.cells.cell import Cause, Cell
    from async_kernel.shell.cells.foreign import ForeignTask
    from async_kernel.shell.cells.interrupts import Interrupted, SigintCounts
    from async_kernel.shell.cells.task import Task

    Stoppable = Cell | Task | ForeignTask

__all__ = ["Interrupts"]

AGAIN_S = 2.0
"""Seconds in which a second interrupt means all cells: long enough for two presses, too short for two thoughts."""


class Interrupts:
    """Cuts short what runs in a kernel.

    Args:
        kernel: whose lanes they are.
    """

    def __init__(self, kernel: Kernel[Any]) -> None:
        self._kernel = kernel
        self._closing = threading.RLock()

    def interrupt(self, subshell_id: str | None = None) -> Interrupted:
        """Cut the foreground cell of the main shell, or of a subshell, short; from any thread.

        A second interrupt of the same shell within two seconds is for its concurrent cells, too, wherever they run, and
        for background tasks that block.

        Raises:
            RequestError: if there is no such subshell.
        """
        lane = self._kernel.main if subshell_id is None else self._kernel.subshells.get(subshell_id)
        now = time.monotonic()
        again, lane.interrupted_at = now - lane.interrupted_at < AGAIN_S, now
        foreground = lane.foreground
        state = "ended" if foreground is None else self.cut(lane, foreground, "interrupt")
        if again:
            for task in blocking_tasks(lane):
                self.cut(lane, task, "interrupt")
            for where in self._kernel.lanes():
                for cell in list(where.cells):
                    if cell is not foreground and cell.request.subshell_id == subshell_id:
                        self.cut(where, cell, "interrupt")
        return state

    def cut(self, lane: ShellLane, cell: Stoppable, cause: Cause, reason: str | None = None) -> Interrupted:
        """Cut one cell or task short, and see to it that it notices; from any thread."""
        if (debugger := self._kernel.debugger_in_use) is not None:
            if self._condemned(lane, cell, cause, reason):
                debugger.let_go(bool)
                return "blocking"
            if debugger.let_go(lambda: self.cut(lane, cell, cause, reason)):
                return "blocking"
        state = lane.interrupter.interrupt(cell, cause, reason)
        self._kernel.beside.start_soon(lane.interrupter.insist, cell, lambda: interrupt_children(self._kernel.log))
        return state

    def _condemned(self, lane: ShellLane, cell: Stoppable, cause: Cause, reason: str | None) -> bool:
        """Have a cell that the debugger has stopped end where it stands; False if it is not stopped."""
        debugger = self._kernel.debugger_in_use
        if debugger is None or not debugger.condemn(cell, lambda: self.cut(lane, cell, cause, reason)):
            return False
        cell.cut(cause, reason)
        return True

    def cut_all(self, cause: Cause = "shutdown", reason: str | None = None) -> None:
        """Cut short whatever cell runs, each once, and let none begin; from any thread, any number of times.

        A cell that was cut may be cleaning up by the time of the next call, and must not be struck again.
        """
        for lane in self._kernel.lanes():
            lane.queue.stop()
        with self._closing:
            running = [(lane, cell) for lane in self._kernel.lanes() for cell in list(lane.cells) if not cell.must_end]
            if (debugger := self._kernel.debugger_in_use) is not None:
                for lane, cell in running:
                    cell.must_end = self._condemned(lane, cell, cause, reason)
                debugger.let_go(bool, for_good=True)
            for lane, cell in running:
                if not cell.must_end:
                    cell.must_end = True
                    self.cut(lane, cell, cause, reason)  # raises if it is the caller: the next call sees to the rest
            for lane in self._kernel.lanes():
                for task in blocking_tasks(lane):
                    if task.cause is None:
                        self.cut(lane, task, cause, reason)

    def on_sigint(self, frame: FrameType | None, counts: SigintCounts) -> None:
        """Work of the SIGINT handler: raises KeyboardInterrupt if ``frame`` belongs to the foreground cell.

        Args:
            frame: the interrupted one.
            counts: counts the signals.
        """
        if not self._kernel.started or self._debugger_takes_sigint():
            counts.note_handled(counts.arrived())
        else:
            self._kernel.main.interrupter.on_sigint(frame, counts)

    def _debugger_takes_sigint(self) -> bool:
        """Whether it stood at a breakpoint, and what it has stopped is let go and interrupted."""
        debugger, main = self._kernel.debugger_in_use, self._kernel.main
        if debugger is None:
            return False
        if (cell := main.foreground) is not None and self._condemned(main, cell, "interrupt", None):
            debugger.let_go(bool)
            return True
        return debugger.let_go(self.interrupt)

    async def insist_on_sigint(self, counts: SigintCounts) -> None:
        """A SIGINT has come: make sure that a blocking cell notices it; a task of another loop."""
        main = self._kernel.main
        if self._kernel.started and (cell := main.foreground) is not None:
            await main.interrupter.insist_on_handling(cell, counts)

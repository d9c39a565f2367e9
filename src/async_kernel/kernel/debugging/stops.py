"""Which cells stand where the debugger has stopped them, and cutting one of them short at that very line.

pydevd keeps a thread that it has stopped inside of its trace function (``PyDB.do_wait_suspend``), in the context of the
code that is debugged; what that function raises is raised at the line where the code stands. So a cell that is cut
short is marked first (:meth:`Stops.condemn`), then the debugger lets go of it, and it is struck on its way out, before
another line of it runs. An exception that was raised from outside would come too early, in the midst of pydevd, or too
late, when the last lines have run.

:meth:`Stops.watch` is called once for a connection; the rest from any thread.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from async_kernel.lifetime.late_import import late_import
from async_kernel.shell.cells.cell import current_cell
from async_kernel.shell.cells.interrupts import exception_for_stopped

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from async_kernel.shell.cells.cell import Cell

__all__ = ["Stops"]


class Stops:
    """The cells that are stopped.

    Args:
        missed: called, in the thread that was stopped, with what :meth:`condemn` was given for a cell that could not
            be struck where it stood.
    """

    def __init__(self, missed: Callable[[Callable[[], object]], object]) -> None:
        self._missed = missed
        self._lock = threading.RLock()  # a signal handler may run in the middle
        self._standing: list[Cell] = []
        self._condemned: dict[Cell, Callable[[], object]] = {}

    def watch(self) -> None:
        """Be told by pydevd of each stop, which asks its debugger's attribute."""
        debugger: Any = late_import("_pydevd_bundle.pydevd_constants").get_global_debugger()
        wait: Callable[..., object] = debugger.do_wait_suspend

        def do_wait_suspend(thread: object, frame: FrameType, *args: Any, **kwargs: Any) -> None:
            cell = current_cell.get()
            if cell is None:
                wait(thread, frame, *args, **kwargs)
                return
            with self._lock:
                self._standing.append(cell)
            try:
                wait(thread, frame, *args, **kwargs)
            finally:
                otherwise = self._leave(cell)
            if otherwise is not None:
                if (exc := exception_for_stopped(cell, frame)) is not None:
                    raise exc
                self._missed(otherwise)

        debugger.do_wait_suspend = do_wait_suspend

    def condemn(self, cell: object, otherwise: Callable[[], object]) -> bool:
        """Have a cell struck when the debugger lets go of it.

        Args:
            cell: the cell.
            otherwise: what to do if nothing may be raised where it stands; it has gone on by then.

        Returns:
            Whether it is stopped; if not, nothing was done.
        """
        with self._lock:
            for each in self._standing:
                if each is cell:
                    self._condemned[each] = otherwise
                    return True
        return False

    def _leave(self, cell: Cell) -> Callable[[], object] | None:
        with self._lock:
            self._standing.remove(cell)
            return self._condemned.pop(cell, None)

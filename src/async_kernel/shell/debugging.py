"""Debuggers in a cell: ``%debug``, ``breakpoint()``, ``pdb``. An interrupt ends them together with the cell.

Python's own debugger swallows an interrupt and prompts again, so that a cell that is in it could not be ended;
IPython's leaves itself but lets the cell go on. While a shell lives, ``pdb.set_trace`` (which ``breakpoint()``
calls) and ``pdb.post_mortem`` start :func:`cell_pdb` in the context of a cell; elsewhere they are what they were.
Its prompt is an ``input()`` of the cell.
"""

from __future__ import annotations

import inspect
import pdb
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from async_kernel.protocol.request import current_request

if TYPE_CHECKING:
    from collections.abc import Generator

    from async_kernel.shell.ipshell import IPShell

__all__ = ["cell_pdb", "debuggers_of_cells"]


def cell_pdb() -> type[Any]:
    """The debugger of cells; IPython's is imported when it is first wanted."""
    global _cell_pdb
    if _cell_pdb is None:
        from IPython.core import debugger  # noqa: PLC0415 -- few sessions debug

        base: Any = debugger.InterruptiblePdb

        class CellPdb(base):
            """IPython's debugger; an interrupt at its prompt ends the code that is debugged, too."""

            interrupted = False

            def cmdloop(self, intro: Any = None) -> None:
                try:
                    base: Any = super()
                    base.cmdloop(intro)
                except KeyboardInterrupt:
                    self.interrupted = True
                    raise

            def interaction(self, *args: Any, **kwargs: Any) -> None:
                base: Any = super()
                base.interaction(*args, **kwargs)
                if self.interrupted:
                    self.interrupted = False
                    raise KeyboardInterrupt

        _cell_pdb = CellPdb
    return _cell_pdb


_cell_pdb: type[Any] | None = None


@contextmanager
def debuggers_of_cells(shell: IPShell[Any]) -> Generator[None]:
    """Have cells debugged with IPython's debugger, while open."""
    module: Any = pdb
    original_trace, original_post_mortem = module.set_trace, module.post_mortem

    def set_trace(*args: Any, header: str | None = None, commands: list[str] | None = None, **kwargs: Any) -> None:
        """Stop here and debug."""
        if current_request.get() is None:
            given = {"header": header, "commands": commands}
            original_trace(*args, **{name: value for name, value in given.items() if value is not None}, **kwargs)
            return
        debugger: Any = shell.debugger_cls()
        if header is not None:
            debugger.message(header)
        debugger.rcLines.extend(commands or ())
        debugger.set_trace(inspect.currentframe().f_back)  # pyright: ignore[reportOptionalMemberAccess] -- CPython has frames

    def post_mortem(t: Any = None) -> None:
        """Debug a traceback, by default that of the exception being handled."""
        if current_request.get() is None:
            original_post_mortem(t)
            return
        if t is None:
            exc = sys.exc_info()[1]
            t = exc.__traceback__ if exc is not None else None
        if t is None:
            msg = "A valid traceback must be passed if no exception is being handled"
            raise ValueError(msg)
        debugger: Any = shell.debugger_cls()
        debugger.reset()
        debugger.interaction(None, t)

    module.set_trace, module.post_mortem = set_trace, post_mortem
    try:
        yield
    finally:
        module.set_trace, module.post_mortem = original_trace, original_post_mortem

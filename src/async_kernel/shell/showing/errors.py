"""Showing errors: the messages and replies that tell a client what went wrong.

Every error of a cell is sent as iopub ``error`` once, where it was caught, and noted in the run, whose reply says
the same.
"""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from async_kernel.protocol.errors import error_content
from async_kernel.shell.ipython import ShellPart
from async_kernel.shell.running.runs import current_run
from async_kernel.shell.showing.traceback import CellTB, trim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from async_kernel.shell.showing.display import Outlet
    from async_kernel.typing import Content

__all__ = ["ShowsErrors"]


class ShowsErrors(ShellPart):
    """How a kernel's shell shows errors."""

    InteractiveTB: CellTB
    _errors: Outlet

    def init_traceback_handlers(self, custom_exceptions: Any) -> None:
        """Set up the formatting of errors."""
        base: Any = super()
        base.init_traceback_handlers(custom_exceptions)
        self.InteractiveTB = CellTB(mode=self.xmode, theme_name=self.colors)

    def format_error(self, exc: BaseException) -> Content:
        """The error fields of a message, with the traceback as IPython formats it."""
        lines = self.InteractiveTB.structured_traceback(type(exc), exc, exc.__traceback__)
        return {**error_content(exc), "traceback": lines}

    def note_error(self, exc: BaseException, lines: Sequence[str]) -> Content:
        """Remember, for the reply of the run, that ``exc`` was shown as ``lines``."""
        content: Content = {
            "ename": type(exc).__name__,
            "evalue": error_content(exc)["evalue"],
            "traceback": [str(line) for line in lines],
        }
        run = current_run.get()
        if run is not None:
            run.error = content
        return content

    def showtraceback(
        self,
        exc_tuple: Any = None,
        filename: str | None = None,
        tb_offset: int | None = None,
        exception_only: bool = False,
        running_compiled_code: bool = False,
    ) -> None:
        """Show an error, by default the one being handled, to the client of the cell."""
        try:
            etype, value, tb = self._get_exc_info(exc_tuple)
        except ValueError:
            print("No traceback available to show.", file=sys.stderr)
            return
        if isinstance(value, SyntaxError):
            self.showsyntaxerror(filename, running_compiled_code)
        elif etype is UsageError:
            self.show_usage_error(value)
        else:
            if exception_only:
                lines = ["An exception has occurred, use %tb to see the full traceback.\n"]
                lines += self.InteractiveTB.get_exception_only(etype, value)
            else:
                lines = self._own_rendering(value) or self.InteractiveTB.structured_traceback(
                    etype, value, tb, tb_offset
                )
            self._showtraceback(etype, value, lines)
            if self.call_pdb and not exception_only:
                self.debugger(force=True)

    @staticmethod
    def _own_rendering(exc: BaseException) -> list[str] | None:
        """What the error's own ``_render_traceback_`` returns, if it has one that works."""
        render = getattr(exc, "_render_traceback_", None)
        if render is None:
            return None
        try:
            lines = render()
        except (Exception, SystemExit):  # noqa: BLE001 -- the user's method; the error is formatted like any other then
            return None
        return [str(line) for line in lines] if isinstance(lines, list | tuple) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] -- anything

    def showsyntaxerror(self, filename: str | None = None, running_compiled_code: bool = False) -> None:
        """Show a SyntaxError; with the frames that lead to it when it came from running code."""
        etype, value, tb = self._get_exc_info()
        if filename and isinstance(value, SyntaxError):
            value.filename = filename
        frames: Any = traceback.extract_tb(trim(tb)) if running_compiled_code else []
        self._showtraceback(etype, value, self.SyntaxTB.structured_traceback(etype, value, frames))

    def show_usage_error(self, exc: Any) -> None:
        """Show, in one line, that a magic was used wrongly."""
        line = f"UsageError: {exc}"
        self.note_error(exc, [line])
        print(line, file=sys.stderr)

    def _showtraceback(self, etype: type[BaseException], evalue: BaseException, stb: list[str]) -> None:
        self._errors.send("error", self.note_error(evalue, stb))

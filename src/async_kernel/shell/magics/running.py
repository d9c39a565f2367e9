"""Magics that run code of the user's, which may await: %time, %%capture; and %autoawait."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from async_kernel.shell.ipython import (
    DisplayHook,
    Magics,
    cell_magic,
    line_cell_magic,
    line_magic,
    magic_arguments,
    magics_class,
    needs_local_scope,
    no_var_expand,
)
from async_kernel.shell.magics.timing import seconds_text, timeit_awaiting, timeit_options
from async_kernel.shell.running.capture import captured
from async_kernel.shell.running.evaluating import compiled, evaluate
from async_kernel.shell.running.runs import AwaitedMagic, may_wait

if TYPE_CHECKING:
    from async_kernel.shell.ipshell import IPShell

__all__ = ["RunningMagics"]

_AWAITS = 0x80  # inspect.CO_COROUTINE
_QUIET = "--no-raise-error"


@magics_class
class RunningMagics(Magics):
    """IPython's %time and %%capture, for code that may await."""

    shell: IPShell[Any]

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def time(self, line: str = "", cell: str | None = None, local_ns: dict[str, Any] | None = None) -> Any:
        """Time a statement or, as %%time, a cell; both may await.

        CPU and wall clock times are printed, and the value of the last expression is the value of the magic. While it
        awaits, other tasks run, and their CPU time counts too.

        Options:
          --no-raise-error   show the error of the code without failing the cell.
        """
        if may_wait() and self._awaits(line, cell):
            return AwaitedMagic(self._time_awaiting(line, cell))
        timed = self.shell.magics_manager.registry["ExecutionMagics"]
        return timed.time(line, cell, local_ns)

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def timeit(self, line: str = "", cell: str | None = None, local_ns: dict[str, Any] | None = None) -> Any:
        """Time a statement by running it many times: %timeit [options] STATEMENT; as %%timeit, a cell.

        In the form of a cell the first line is set-up code, which is not timed. Both may await: other tasks run
        meanwhile, and what they take counts too.

        Options:
          -n N   run it N times in a loop; by default as often as takes 0.2 s.
          -r R   repeat the loop R times (7); the mean and standard deviation of the repetitions are printed.
          -t     measure with time.time.
          -c     measure the CPU time of the process.
          -p P   print P significant digits (3).
          -q     print nothing.
          -o     the result is the value of the magic, a TimeitResult.
          -v V   the result goes into the variable V.
        """
        options, statement = timeit_options(self, line)
        if may_wait() and self._awaits(statement, cell):
            return AwaitedMagic(timeit_awaiting(self.shell, options, statement, cell))
        timed = self.shell.magics_manager.registry["ExecutionMagics"]
        return timed.timeit(line, cell, local_ns)

    def _awaits(self, line: str, cell: str | None) -> bool:
        if cell:
            return _mentions_await(cell)  # the magic is the whole cell, so that it can be waited for in any case
        if not _mentions_await(line):
            return False
        line = line.replace(_QUIET, "", 1)
        return self.shell.should_run_async(line, transformed_cell=self.shell.transform_cell(line))

    async def _time_awaiting(self, line: str, cell: str | None) -> Any:
        raises = _QUIET not in line.split()
        code = line if raises else line.replace(_QUIET, "", 1).strip()
        if code.strip() and cell:
            msg = "Can't use statement directly after '%%time'!"
            raise UsageError(msg)
        codes = compiled(self.shell, cell or code)
        wall, cpu = time.perf_counter(), time.process_time()
        value: Any = None
        try:
            value = await evaluate(self.shell, codes)
        except Exception:
            if raises:
                raise
            self.shell.showtraceback()
        finally:
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            print(f"CPU time: {seconds_text(cpu)}\nWall time: {seconds_text(wall)}")
        return value

    @magic_arguments.magic_arguments()
    @magic_arguments.argument("output", type=str, default="", nargs="?", help="The variable to keep the output in.")
    @magic_arguments.argument("--no-stderr", action="store_true", help="Don't capture stderr.")
    @magic_arguments.argument("--no-stdout", action="store_true", help="Don't capture stdout.")
    @magic_arguments.argument("--no-display", action="store_true", help="Don't capture what is displayed.")
    @cell_magic
    def capture(self, line: str, cell: str) -> Any:
        """Run the cell, keeping what it writes and displays instead of showing it."""
        args = magic_arguments.parse_argstring(self.capture, line)
        options = {"stdout": not args.no_stdout, "stderr": not args.no_stderr, "display": not args.no_display}
        if may_wait() and _mentions_await(cell):
            return AwaitedMagic(self._capture_awaiting(args.output, cell, options))
        with captured(self.shell, **options) as kept:
            self.shell.run_cell(cell)
        self._keep(args.output, cell, kept)
        return None

    async def _capture_awaiting(self, name: str, cell: str, options: dict[str, bool]) -> None:
        with captured(self.shell, **options) as kept:
            await self.shell.run_cell_async(cell)
        self._keep(name, cell, kept)

    def _keep(self, name: str, cell: str, kept: Any) -> None:
        if not name:
            return
        ipython: Any = DisplayHook
        if ipython.semicolon_at_end_of_expression(cell):
            self.shell.user_ns.pop(name, None)
        else:
            self.shell.user_ns[name] = kept

    @line_magic
    def autoawait(self, parameter_s: str) -> None:
        """Say whether cells may await, or turn it on or off: %autoawait [on|off].

        There is one loop, the kernel's: which one cannot be chosen here (see the option --backend).
        """
        wanted = parameter_s.strip().lower()
        if wanted in ("on", "true"):
            self.shell.autoawait = True
        elif wanted in ("off", "false"):
            self.shell.autoawait = False
        elif wanted:
            msg = f"%autoawait takes on or off; cells run in the kernel's own loop, not in {wanted!r}."
            raise UsageError(msg)
        else:
            state = "on" if self.shell.autoawait else "off"
            print(f"Autoawait is {state}: cells run in the kernel's {self.shell.backend} loop.")


def _mentions_await(code: str) -> bool:
    return "await" in code or "async" in code

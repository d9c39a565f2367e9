"""%%script, %%bash and their like: a cell as the input of a program.

In the foreground the program's output reaches the cell while it runs, other tasks go on, and an interrupt of the cell
ends it. With
``--bg`` it runs beside the cells until it ends, %killbgscripts, or the kernel's end.
"""

from __future__ import annotations

import atexit
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from IPython.core.magics import script as ipython

from async_kernel.platforms.commands import HAVE_SESSIONS, split_words
from async_kernel.shell.ipython import cell_magic, line_magic, magic_arguments, magics_class
from async_kernel.shell.running.runs import AwaitedMagic, may_wait

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import IO

    from async_kernel.shell.ipshell import IPShell

__all__ = ["CellScriptMagics"]


_ipython: Any = ipython
_Base: Any = _ipython.ScriptMagics


@contextmanager
def _script(cell: str) -> Generator[IO[bytes]]:
    """The text of a cell as a file to be read."""
    with tempfile.TemporaryFile() as script:
        script.write((cell if cell.endswith("\n") else f"{cell}\n").encode("utf-8", "replace"))
        script.seek(0)
        yield script


@contextmanager
def _named(command: list[str]) -> Generator[None]:
    """Say which program there is not."""
    try:
        yield
    except FileNotFoundError:
        print(f"Couldn't find program: {command[0]!r}" if command else "%%script needs a program")


@magics_class
class CellScriptMagics(_Base):
    """IPython's script magics, without an event loop and a thread of their own."""

    shell: IPShell[Any]
    bg_processes: list[subprocess.Popen[bytes]]

    def __init__(self, shell: Any = None) -> None:
        base: Any = super()
        base.__init__(shell=shell)
        atexit.unregister(self.kill_bg_processes)
        self.shell.at_close(self.kill_bg_processes)

    def __del__(self) -> None:
        """Nothing: the shell ends what still runs when it closes."""

    @magic_arguments.magic_arguments()
    @_ipython.script_args
    @cell_magic("script")
    def shebang(self, line: str, cell: str) -> AwaitedMagic | None:
        """Run the cell with a program: %%script PROGRAM [ARGUMENTS].

        Raises:
            CalledProcessError: if it fails, unless --no-raise-error is given.
        """
        words = split_words(line)
        args, command = self.shebang.parser.parse_known_args(words)
        if args.bg:
            with _script(cell) as script, _named(command):
                self._start(args, command, script)
        elif may_wait() and HAVE_SESSIONS:
            return AwaitedMagic(self._await(args, command, cell))
        else:
            with _script(cell) as script, _named(command):
                self._note_exit(args, command, self._run(args, command, script))
        return None

    def _run(self, args: Any, command: list[str], script: IO[bytes]) -> int:
        out, err = self._sink(args.out, "stdout"), self._sink(args.err, "stderr")
        if not HAVE_SESSIONS:
            done = subprocess.run(command, stdin=script, capture_output=True, check=False)  # noqa: S603 -- the user's
            out(done.stdout.decode("utf-8", "replace"))
            err(done.stderr.decode("utf-8", "replace"))
            return done.returncode
        from async_kernel.shell.commands.system import run_child  # noqa: PLC0415 -- POSIX

        return run_child(command, out=out, err=err, stdin=script)

    async def _await(self, args: Any, command: list[str], cell: str) -> None:
        from async_kernel.shell.commands.system import await_child  # noqa: PLC0415 -- POSIX

        out, err = self._sink(args.out, "stdout"), self._sink(args.err, "stderr")
        with _script(cell) as script, _named(command):
            self._note_exit(args, command, await await_child(command, out=out, err=err, stdin=script))

    def _note_exit(self, args: Any, command: list[str], code: int) -> None:
        self.shell.user_ns["_exit_code"] = code
        if args.raise_error and code != 0:
            raise subprocess.CalledProcessError(code, command)

    def _sink(self, variable: str | None, stream: str) -> Callable[[str], object]:
        """Where output goes: the cell's stream, or a variable that grows."""
        namespace = self.shell.user_ns
        if not variable:
            return lambda text: getattr(sys, stream).write(text)
        namespace[variable] = ""

        def add(text: str) -> None:
            namespace[variable] += text

        return add

    def _start(self, args: Any, command: list[str], script: IO[bytes]) -> None:
        """Start it in the background; --out, --err and --proc name variables for its pipes and itself."""
        process = subprocess.Popen(  # noqa: S603 -- as above
            command,
            stdin=script,
            stdout=subprocess.PIPE if args.out else subprocess.DEVNULL,
            stderr=subprocess.PIPE if args.err else subprocess.DEVNULL,
            start_new_session=True,
        )
        self._gc_bg_processes()
        self.bg_processes.append(process)
        for variable, value in ((args.out, process.stdout), (args.err, process.stderr), (args.proc, process)):
            if variable:
                self.shell.user_ns[variable] = value

    @line_magic("killbgscripts")
    def killbgscripts(self, _nouse_: str = "") -> None:
        """End all programs that %%script --bg started."""
        self.kill_bg_processes()
        print("All background processes were killed.")

    def kill_bg_processes(self) -> None:
        """End what still runs, with its children."""
        processes, self.bg_processes = self.bg_processes, []
        for process in processes:
            if not HAVE_SESSIONS:
                process.kill()
                process.wait()
            else:
                from async_kernel.shell.commands.system import end_group  # noqa: PLC0415 -- as above

                end_group(process)

    def _gc_bg_processes(self) -> None:
        self.bg_processes = [process for process in self.bg_processes if process.poll() is None]

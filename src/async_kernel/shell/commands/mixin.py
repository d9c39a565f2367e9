"""``!command`` and ``x = !command``: system commands in a cell."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

from IPython.utils.text import LSString, SList

from async_kernel.platforms.commands import HAVE_SESSIONS
from async_kernel.shell.ipython import ShellPart
from async_kernel.shell.running.runs import AwaitedMagic

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RunsCommands"]


class RunsCommands(ShellPart):
    """How a kernel's shell runs system commands; on Windows as IPython does."""

    def system(self, cmd: str) -> None:
        """Run a command line, with its output in the cell while it runs; its exit code is ``_exit_code``.

        Python variables in it are expanded (``$x``, ``{x}``). It has nothing to read. An interrupt of the cell ends it.
        Called as a function it blocks its thread; ``!command`` in a cell lets other tasks go on.

        Raises:
            OSError: if it is to run in the background: that would belong to nobody.
            CalledProcessError: if it fails and ``system_raise_on_error`` is set.
        """
        if not HAVE_SESSIONS:
            base: Any = super()
            base.system(self.var_expand(cmd, depth=1))
            return
        from async_kernel.shell.commands.system import run_child, shell_command  # noqa: PLC0415 -- POSIX

        expanded = self._foreground(cmd, depth=1)
        code = run_child(shell_command(expanded), out=_to_stdout, err=_to_stderr, terminal=True)
        self._note_exit(expanded, code)

    system_piped: Callable[..., None] = system
    system_raw: Callable[..., None] = system

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> SList | LSString:
        """What a command line writes, errors too: a list of lines, or with ``split=False`` a string.

        Args:
            cmd: the command line; Python variables in it are expanded.
            split: whether the lines are wanted one by one.
            depth: how many frames above the caller its variables are.

        Raises:
            OSError, CalledProcessError: as :meth:`system`.
        """
        if not HAVE_SESSIONS:
            base: Any = super()
            return base.getoutput(cmd, split, depth + 1)
        from async_kernel.shell.commands.system import run_child, shell_command  # noqa: PLC0415 -- as above

        expanded = self._foreground(cmd, depth=depth + 1)
        pieces: list[str] = []
        code = run_child(shell_command(expanded), out=pieces.append, err=None)
        self._note_exit(expanded, code)
        text = "".join(pieces)
        return SList(text.splitlines()) if split else LSString(text)

    def system_soon(self, cmd: str) -> Any:
        """What ``!command`` calls where the cell can await: :meth:`system`, to be awaited."""
        if not HAVE_SESSIONS or not _is_ours(self, "system"):
            return self.system(cmd)
        expanded = self._foreground(cmd, depth=1)

        async def run() -> None:
            from async_kernel.shell.commands.system import await_child, shell_command  # noqa: PLC0415 -- as above

            code = await await_child(shell_command(expanded), out=_to_stdout, err=_to_stderr, terminal=True)
            self._note_exit(expanded, code)

        return AwaitedMagic(run())

    def getoutput_soon(self, cmd: str) -> Any:
        """What ``x = !command`` calls where the cell can await: :meth:`getoutput`, to be awaited."""
        if not HAVE_SESSIONS or not _is_ours(self, "getoutput"):
            return self.getoutput(cmd, depth=1)
        expanded = self._foreground(cmd, depth=1)

        async def run() -> SList:
            from async_kernel.shell.commands.system import await_child, shell_command  # noqa: PLC0415 -- as above

            pieces: list[str] = []
            code = await await_child(shell_command(expanded), out=pieces.append, err=None)
            self._note_exit(expanded, code)
            return SList("".join(pieces).splitlines())

        return AwaitedMagic(run())

    def _foreground(self, cmd: str, depth: int) -> str:
        expanded: str = self.var_expand(cmd, depth=depth + 1)
        if expanded.rstrip().endswith("&"):
            msg = "A command in the background would belong to nobody; use %%script --bg, or subprocess."
            raise OSError(msg)
        return expanded

    def _note_exit(self, command: str, code: int) -> None:
        self.user_ns["_exit_code"] = code
        if self.system_raise_on_error and code != 0:
            raise subprocess.CalledProcessError(code, command)


def _is_ours(shell: RunsCommands, name: str) -> bool:
    """Whether nobody has put a function of their own in the place of a method."""
    return name not in vars(shell) and getattr(type(shell), name) is getattr(RunsCommands, name)


def _to_stdout(text: str) -> Any:
    return sys.stdout.write(text)


def _to_stderr(text: str) -> Any:
    return sys.stderr.write(text)

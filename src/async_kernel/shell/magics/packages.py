"""``%pip`` and ``%uv``: install into the environment that the kernel runs in, or say what that takes.

IPython runs ``python -m pip`` and ``python -m uv`` whatever is installed. Environments that uv has made have no pip,
and uv is mostly a program beside all environments: then the one is advised, and the other used for this environment.
``%conda`` and its kin are IPython's own.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from IPython.core.error import UsageError

from async_kernel.platforms.commands import quoted
from async_kernel.shell.ipython import Magics, line_magic, magics_class

if TYPE_CHECKING:
    from collections.abc import Generator

    from async_kernel.shell.ipshell import IPShell

__all__ = ["PackageMagics"]

_UV_PYTHON: Final = "UV_PYTHON"
"""Says which environment ``uv pip`` is about, wherever the program lies."""


@magics_class
class PackageMagics(Magics):
    """Package managers, for the environment of this kernel."""

    shell: IPShell[Any]

    @line_magic
    def pip(self, line: str) -> None:
        """Run pip for the environment of this kernel: %pip install PACKAGE..."""
        if find_spec("pip") is None:
            msg = (
                f"pip is not installed in the environment of this kernel ({sys.prefix}): "
                f"use '%uv pip ...', or install it with '!{sys.executable} -m ensurepip'"
            )
            raise UsageError(msg)
        self._run([sys.executable, "-m", "pip"], line)

    @line_magic
    def uv(self, line: str) -> None:
        """Run uv for the environment of this kernel: %uv pip install PACKAGE..."""
        if find_spec("uv") is not None:
            self._run([sys.executable, "-m", "uv"], line)
            return
        program = shutil.which("uv")
        if program is None:
            msg = (
                f"uv is neither installed in the environment of this kernel ({sys.prefix}) nor on the PATH: "
                "install it with '%pip install uv', or use '%pip'"
            )
            raise UsageError(msg)
        with _set(_UV_PYTHON, sys.executable):
            self._run([program], line)

    def _run(self, command: list[str], line: str) -> None:
        self.shell.system(" ".join([*map(quoted, command), line]))
        if self.shell.user_ns.get("_exit_code") == 0:
            print("Note: you may need to restart the kernel to use updated packages.")


@contextmanager
def _set(name: str, value: str) -> Generator[None]:
    """An environment variable for a command; what the user has set counts."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]

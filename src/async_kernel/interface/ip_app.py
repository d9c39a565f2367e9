"""The interface for everyday use: IPython's profiles, configuration files, startup code and extensions, over ZMQ."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from IPython.core.application import BaseIPythonApplication
from IPython.core.profiledir import ProfileDir
from IPython.core.shellapp import InteractiveShellApp, shell_aliases
from IPython.core.shellapp import shell_flags as _shell_flags  # pyright: ignore[reportUnknownVariableType] -- a plain dict
from traitlets import Unicode

from async_kernel.interface.base import T_shell_co
from async_kernel.interface.zmq import ZMQInterface
from async_kernel.slot import configurable_classes
from async_kernel.typing import Hosts

if TYPE_CHECKING:
    from async_kernel.shell.ipshell import IPShell

__all__ = ["IPApp"]

if ProfileDir not in configurable_classes:
    configurable_classes.append(ProfileDir)


class IPApp(ZMQInterface[T_shell_co], BaseIPythonApplication, InteractiveShellApp):
    """An IPython kernel over ZMQ.

    Its initialisation runs, in this order and before the first request is served: ``sys.path``, GUI and pylab,
    startup files and ``exec_lines``, extensions.
    """

    name: str | Unicode[str, str | bytes] = Unicode("async").tag(config=True)
    "The name of the kernel, as in its kernelspec."
    description: str | Unicode[str, str | bytes] = Unicode(
        "An IPython kernel whose every part lives in a nursery."
    ).tag(config=True)
    "What --help prints first."

    aliases: ClassVar[Any] = {
        **ZMQInterface.aliases,
        "profile-dir": "ProfileDir.location",
        "profile": "BaseIPythonApplication.profile",
        "ipython-dir": "BaseIPythonApplication.ipython_dir",
        "config": "BaseIPythonApplication.extra_config_file",
        **shell_aliases,
    }
    flags: ClassVar[dict[Any, Any]] = {
        **ZMQInterface.flags,
        **cast("dict[Any, Any]", _shell_flags),
        "automagic": ({"InteractiveShell": {"automagic": True}}, "Call magics without the leading %."),
        "no-automagic": ({"InteractiveShell": {"automagic": False}}, "Call magics with the leading % only."),
    }

    shell: IPShell[Any] | None = None

    @property
    def user_ns(self) -> dict[str, Any] | None:
        """The namespace of the cells."""
        return self.shell.user_ns if self.shell is not None else self._given_user_ns

    def configure(self, argv: list[str]) -> None:
        """Read the command line, then Jupyter's and the profile's configuration files; the command line wins."""
        self.parse_command_line(argv)
        command_line: Any = self.cli_config.copy() if hasattr(self, "cli_config") else None
        self.init_profile_dir()
        self.init_config_files()
        folders = self.load_jupyter_config()
        # IPython would pass over a --config that is not there, and looks for one in its own folders only.
        self.config_files: Any = ["ipython_kernel_config.py", self.config_file_name]
        self.load_config_file()
        self.load_extra_config([*self._option("config_file_paths"), *folders])
        if command_line is not None:
            self.update_config(command_line)
        if self.host is None:
            # A kernel that is told to begin with windows needs the main loop that they live in.
            wanted = (self._option("pylab"), self._option("gui"), self._option("matplotlib"))
            self.host = next(filter(None, map(Hosts.from_gui, wanted)), None)

    def _option(self, name: str) -> Any:
        """The value of a trait that IPython leaves without a type."""
        return getattr(self, name)

    def init_crash_handler(self) -> None:
        """None: an interface takes no excepthook from its process."""

    def init_path(self) -> None:
        """Let the user's code import what is in the working directory, after the standard library.

        It comes before other packages.

        A launched kernel's own imports do not look there: its kernelspec starts Python with ``-P``, which IPython would
        respect for the user's code, too. Whoever wants that sets ``PYTHONSAFEPATH`` or ``ignore_cwd``.
        """
        if not self._launched or self.ignore_cwd or os.environ.get("PYTHONSAFEPATH") or "" in sys.path:
            return
        names = [Path(path).name for path in sys.path]
        first = next((n for n, name in enumerate(names) if name in {"site-packages", "dist-packages"}), len(names))
        sys.path.insert(first, "")

    def shell_options(self) -> dict[str, Any]:
        """What an IPShell is to know of the profile and of the process; another kind of shell is asked for nothing."""
        if not hasattr(self.shell_class, "run_cell"):
            return {}
        return {
            "profile_dir": self.profile_dir,
            "ipython_dir": self.ipython_dir,
            "user_ns": self._given_user_ns,
            "launched": self._launched,
        }

    async def prepare(self) -> None:
        """Run startup files, ``exec_lines`` and extensions."""
        shell: Any = self.kernel.shell  # an IPShell, unless a user says otherwise
        self.shell = shell
        if self.shell is None or not hasattr(self.shell, "run_cell"):
            return
        self.init_path()
        self.init_gui_pylab()
        self.init_code()
        self.init_extensions()

    def stop(self) -> None:
        """As of every interface; the shell is let go, too."""
        super().stop()
        if self.stopped.done():
            self.shell = None

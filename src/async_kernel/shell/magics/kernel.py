"""Magics of a kernel: about its connection, and for its client's editor and pager."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from IPython.core.error import UsageError

from async_kernel.platforms.commands import HAVE_CLS, HAVE_MAN
from async_kernel.shell.ipython import InteractiveShell, Magics, display, line_magic, magics_class, page
from async_kernel.shell.magics.gui import backends, offer_inline_config
from async_kernel.shell.showing import payloads

if TYPE_CHECKING:
    from async_kernel.shell.ipshell import IPShell

__all__ = ["KernelMagics"]


@magics_class
class KernelMagics(Magics):
    """What IPython's terminal does itself and a kernel leaves to its client."""

    shell: IPShell[Any]

    # -- its configuration -----------------------------------------------------------------------------------

    @line_magic("config")
    def configure(self, s: str) -> Any:
        """Show or set the options of what the shell consists of: %config [CLASS[.OPTION[=VALUE]]].

        Without an argument the classes are listed, with a class its options. The shell is ``ZMQInteractiveShell``
        here as elsewhere; ``InteractiveShell`` and the name of its own class are taken for it, too.
        """
        name, dot, rest = s.strip().partition(".")
        if name in {each.__name__ for each in type(self.shell).__mro__ if issubclass(each, InteractiveShell)}:
            name = type(self.shell).__name__
        offer_inline_config(self.shell, name)
        from IPython.core.magics.config import ConfigMagics  # noqa: PLC0415 -- only now

        _ = self.shell.Completer  # it has options, too, and is made when it is wanted
        configured: Any = ConfigMagics(self.shell)
        return configured.magics["line"]["config"](f"{name}{dot}{rest}")

    # -- the client's editor and pager -----------------------------------------------------------------------

    @line_magic
    def edit(self, parameter_s: str = "", last_call: list[Any] | None = None) -> None:
        """Open something in the client's editor: %edit [-n LINE] [-p] [-r] [WHAT].

        WHAT is a file, a range of cells (as for %macro), a string variable, a macro, or an object whose source is
        opened; nothing opens an empty file. The file is not run when the editor is closed: use %run or %load.

        Options:
          -n LINE   open at this line.
          -p        what was edited last.
          -r        cells as they were typed, not as IPython transformed them.
        """
        from IPython.core.magics.code import CodeMagics, InteractivelyDefined, MacroToEdit  # noqa: PLC0415 -- heavy

        options, arguments = self.parse_options(parameter_s, "prxn:")
        ipython: Any = CodeMagics
        find: Any = ipython._find_edit_target  # noqa: SLF001 -- what %edit of IPython itself uses
        last = self._last_edit if last_call is None else last_call
        try:
            filename, line, _ = find(self.shell, arguments, options, last)
        except InteractivelyDefined as exc:
            filename, line, _ = find(self.shell, str(cast("Any", exc).index), options, last)
        except MacroToEdit as exc:
            filename, line = self.shell.mktempfile(exc.args[0].value), None
        if filename is not None:
            number = None if line is None else int(cast("str", line))
            self.shell.payload_manager.write_payload(payloads.edit(str(Path(filename).resolve()), number))

    def __init__(self, shell: Any = None, **kwargs: Any) -> None:
        base: Any = super()
        base.__init__(shell=shell, **kwargs)
        self._last_edit: list[Any] = ["", ""]

    @line_magic
    def less(self, parameter_s: str) -> None:
        """Show a file in the pager, Python files with colours: %less FILE."""
        name = parameter_s.strip().strip("'\"")
        if not name:
            msg = "%less needs the name of a file."
            raise UsageError(msg)
        try:
            text = Path(name).expanduser().read_text(encoding="utf-8", errors="replace")
        except OSError as exc:
            raise UsageError(str(exc)) from None
        page.page(self.shell.pycolorize(text) if name.endswith(".py") else text)

    @line_magic
    def more(self, parameter_s: str) -> None:
        """Show a file in the pager: the same as %less."""
        self.less(parameter_s)

    if HAVE_MAN:

        @line_magic
        def man(self, parameter_s: str) -> None:
            """Show a manual page in the pager: %man [SECTION] NAME."""
            words = shlex.split(parameter_s)
            if not words:
                msg = "%man needs the name of a manual page."
                raise UsageError(msg)
            if shutil.which("man") is None:
                msg = "There is no `man` command on this machine."
                raise UsageError(msg)
            environment = os.environ | {"MANPAGER": "cat", "PAGER": "cat", "MANWIDTH": "80"}
            found = subprocess.run(  # noqa: S603 -- a fixed program, with the user's own words
                ["man", *words], stdin=subprocess.DEVNULL, capture_output=True, env=environment, check=False
            )
            if found.returncode != 0:
                raise UsageError(
                    found.stderr.decode("utf-8", "replace").strip() or f"No manual page for {parameter_s}."
                )
            page.page(_without_overstriking(found.stdout.decode("utf-8", "replace")))

    @line_magic
    def clear(self, _parameter_s: str) -> None:
        """Clear the output of the cell."""
        self.shell.display_pub.clear_output()

    if HAVE_CLS:
        cls = line_magic("cls")(clear)

    @line_magic
    def gui(self, parameter_s: str) -> None:
        """Say which GUI toolkit windows are to come from: %gui [tk|qt].

        Its main loop must be the host that the kernel was started with (--host); no name is no toolkit.
        """
        self.shell.enable_gui(parameter_s.strip() or None)

    @line_magic
    def matplotlib(self, parameter_s: str) -> None:
        """Choose how figures are shown: %matplotlib [inline|widget|tk|qt|...]; --list says what works here."""
        if parameter_s.split() in (["-l"], ["--list"]):
            print(backends())
            return
        from IPython.core.magics.pylab import PylabMagics  # noqa: PLC0415 -- few sessions ask

        shell: Any = self.shell
        magics: Any = PylabMagics(shell)
        magics.matplotlib(parameter_s)

    # -- the connection --------------------------------------------------------------------------------------

    def _connection_file(self) -> str:
        name = getattr(self.shell.parent, "connection_file", "")
        if not name:
            msg = "This kernel has no connection file: its messages are carried by the program that it runs in."
            raise UsageError(msg)
        path = Path(name)
        if not path.is_absolute():
            from jupyter_core.paths import jupyter_runtime_dir  # noqa: PLC0415 -- few sessions ask

            inside = Path(jupyter_runtime_dir()) / path
            path = inside if inside.is_file() else path.resolve()
        return str(path)

    @line_magic
    def connect_info(self, _parameter_s: str) -> None:
        """Print what another client needs to connect to this kernel."""
        name = self._connection_file()
        try:
            info = json.dumps(json.loads(Path(name).read_text(encoding="utf-8")), indent=2)
        except (OSError, ValueError) as exc:
            msg = f"The connection file cannot be read: {exc}"
            raise UsageError(msg) from None
        print(
            f"{info}\n\nThis is the connection file {name}. A client on this machine connects with\n"
            f"    jupyter console --existing {shlex.quote(name)}\n"
            "on another machine save the lines above to a file, and give its name."
        )

    @line_magic
    def dropped(self, _parameter_s: str) -> None:
        """Print how many messages and clients this kernel has lost or refused since its start, by kind."""
        counts: dict[str, int] = self.shell.kernel.drop_counts()
        width = max(map(len, counts))
        print("\n".join(f"{name.replace('_', ' '):{width}}  {count}" for name, count in counts.items()))

    @line_magic
    def qtconsole(self, parameter_s: str) -> None:
        """Open a Qt console for this kernel: %qtconsole [OPTIONS]. It is a program of its own and stays open."""
        name = self._connection_file()
        if find_spec("qtconsole") is None:
            msg = "qtconsole is not installed here: `%pip install qtconsole PySide6`, then try again."
            raise UsageError(msg)
        command = [sys.executable, "-m", "qtconsole", "--existing", name, *shlex.split(parameter_s)]
        subprocess.Popen(  # noqa: S603 -- as above
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @line_magic
    def autosave(self, parameter_s: str) -> None:
        """Set how often a notebook is saved: %autosave SECONDS; 0 turns it off.

        The notebook's application saves it, and only the classic one lets a cell change how often.
        """
        from IPython.display import Javascript  # noqa: PLC0415 -- few sessions ask

        try:
            seconds = int(parameter_s)
        except ValueError:
            msg = f"%autosave needs a number of seconds, not {parameter_s!r}."
            raise UsageError(msg) from None
        script = (
            f"if (window.IPython && IPython.notebook) {{ IPython.notebook.set_autosave_interval({1000 * seconds}); }}"
        )
        display(Javascript(script), include=["application/javascript"])
        print(f"Autosaving every {seconds} seconds" if seconds else "Autosave disabled")


def _without_overstriking(text: str) -> str:
    """``text`` without the backspaces that made characters bold or underlined on a printer."""
    while "\b" in text:
        at = text.index("\b")
        text = text[: max(at - 1, 0)] + text[at + 1 :]
    return text

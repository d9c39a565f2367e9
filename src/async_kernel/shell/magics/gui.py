"""%gui and %matplotlib: figures are shown in the notebook; windows need a host that runs their main loop.

matplotlib's inline backend keeps one configuration for the process. It is the shell's while a shell lives
(:func:`inline_figures`), so that several may follow one another.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

if TYPE_CHECKING:
    from collections.abc import Generator

    from async_kernel.shell.ipshell import IPShell

__all__ = ["backends", "check_backend", "enable_gui", "inline_figures"]

_MODULE = "matplotlib_inline.backend_inline"
_INLINE = ("inline", f"module://{_MODULE}")
_NO_LOOP = ("inline", "ipympl", "widget", "agg")
_TOOLKITS = {"gtk": "gtk", "osx": "osx", "macosx": "osx", "qt": "qt", "tk": "tk", "wx": "wx"}
"""How IPython's and matplotlib's names for windows begin, and their toolkits."""
_PAGES = ("notebook", "nbagg", "webagg")
"""matplotlib's backends that draw by scripts for pages other than today's notebooks."""
_TEMPLATE = "template"


def enable_gui(shell: IPShell[Any], gui: str | None) -> None:
    """Let windows of a GUI toolkit live beside the cells; None is no toolkit.

    Raises:
        UsageError: if the kernel was not started with that toolkit's main loop as its host.
    """
    loops = _loops()
    if gui is None or gui in (*_NO_LOOP, *loops):
        shell.active_eventloop = gui if gui in loops else None
        return
    raise UsageError(_why_not(gui))


def check_backend(gui: str | None) -> str | None:
    """Refuse a matplotlib backend whose windows could not live here, before matplotlib looks for their toolkit.

    Returns:
        Its name; of the versions of Qt just ``qt``, since a process has only one, but IPython takes them for several.

    Raises:
        UsageError: as :func:`enable_gui`.
    """
    if gui is None:
        return None
    gui = gui.lower()
    if not _lives_here(gui):
        raise UsageError(_why_not(gui))
    return "qt" if gui in ("qt5", "qt6") else gui


def backends() -> str:
    """What %matplotlib can be told in this kernel, as text; needs matplotlib."""
    from IPython.core import pylabtools  # noqa: PLC0415 -- imports matplotlib

    ipython: Any = pylabtools
    names: list[str] = ipython._list_matplotlib_backends_and_gui_loops()  # noqa: SLF001 -- what IPython itself prints
    ours = [name for name in dict.fromkeys(names) if _lives_here(name) and name != _TEMPLATE]
    if find_spec("ipympl") is None:
        ours = [name for name in ours if name not in ("ipympl", "widget")]
    return f"Available matplotlib backends: {ours}\n{_windows()}"


def _loops() -> tuple[str, ...]:
    from async_kernel.event_loop.host import Host  # noqa: PLC0415 -- few sessions ask

    host = Host.current()
    return host.MATPLOTLIB_GUIS if host is not None else ()


def _toolkit(gui: str) -> str | None:
    return next((toolkit for start, toolkit in _TOOLKITS.items() if gui.startswith(start)), None)


def _lives_here(gui: str) -> bool:
    """Whether figures of a backend, or windows of a toolkit, can live in this kernel."""
    toolkit = _toolkit(gui)
    if toolkit is None:
        return gui not in _PAGES
    if toolkit == "qt":  # a binding is of one version
        return gui.removesuffix("agg").removesuffix("cairo") in _loops()
    return toolkit in _loops()


def _why_not(gui: str) -> str:
    if gui in _PAGES:
        return f"{gui!r} draws in pages that are no notebooks of today; for figures to zoom in use %matplotlib widget."
    return f"Windows of {gui!r} cannot live in this kernel. {_windows(_toolkit(gui))}"


def _windows(toolkit: str | None = None) -> str:
    """What windows this kernel has, and how to come to those that it has not."""
    loops = _loops()
    has = f"Its host runs windows of {', '.join(loops)}." if loops else "It was started without a host for windows."
    how = "`async-kernel install --name=with-{0} --host={0}` adds a kernel that can show them."
    if toolkit in ("tk", "qt"):
        how = how.format(toolkit)
    elif toolkit is None:
        how = "" if loops else how.format("qt").replace("` adds", "`, or --host=tk, adds")
    else:
        how = f"For {toolkit}, bring a host class: --host=custom --host_options host_class=package.module.Class."
    parts = (has, "" if toolkit in loops else how, "Without windows: %matplotlib inline, or widget.")
    return " ".join(filter(None, parts))


def offer_inline_config(shell: IPShell[Any], name: str) -> None:
    """Let %config set the options of inline figures also before the first figure, when nobody has loaded them."""
    if name != "InlineBackend" or any(type(each).__name__ == name for each in shell.configurables):
        return
    from matplotlib_inline.config import InlineBackend  # noqa: PLC0415 -- few sessions ask

    options: Any = InlineBackend
    shell.configurables.append(options.instance(parent=shell))
    shell.at_close(options.clear_instance)


@contextmanager
def inline_figures(shell: IPShell[Any]) -> Generator[None]:
    """Have inline figures shown by ``shell``, while open, if the backend was there before it."""
    module: Any = sys.modules.get(_MODULE)
    if module is not None:
        _forget(module)
        matplotlib: Any = sys.modules["matplotlib"]
        if matplotlib.rcParams._get("backend") in _INLINE:  # noqa: SLF001 -- what does not choose one
            module.configure_inline_support(shell, "inline")
    try:
        yield
    finally:
        module = sys.modules.get(_MODULE)
        if module is not None:
            _forget(module)


def _forget(module: Any) -> None:
    """Have the backend forget the shell that it was set up for."""
    from matplotlib_inline.config import InlineBackend  # noqa: PLC0415 -- only where it is loaded

    InlineBackend.clear_instance()
    module.configure_inline_support.__dict__.pop("current_backend", None)

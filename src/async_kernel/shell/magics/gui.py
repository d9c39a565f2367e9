"""%gui and %matplotlib: figures are shown in the notebook; windows need a host that runs their main loop.

matplotlib's inline backend keeps one configuration for the process. It is the shell's while a shell lives
(:func:`inline_figures`), so that several may follow one another.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

if TYPE_CHECKING:
    from collections.abc import Generator

    from async_kernel.shell.ipshell import IPShell

__all__ = ["check_backend", "enable_gui", "inline_figures"]

_MODULE = "matplotlib_inline.backend_inline"
_WINDOWS = {name: name for name in ("gtk", "gtk3", "gtk4", "osx", "qt", "qt5", "qt6", "tk", "wx")} | {
    "macosx": "osx",
    "qtagg": "qt",
    "qt5agg": "qt5",
    "tkagg": "tk",
    "wxagg": "wx",
    "gtk3agg": "gtk3",
    "gtk4agg": "gtk4",
}
"""matplotlib's names for backends with windows, and IPython's for their toolkits."""
_INLINE = ("inline", f"module://{_MODULE}")


def enable_gui(shell: IPShell[Any], gui: str | None) -> None:
    """Let windows of a GUI toolkit live beside the cells; None is no toolkit.

    Raises:
        UsageError: if the kernel was not started with that toolkit's main loop as its host.
    """
    from async_kernel.event_loop.host import Host  # noqa: PLC0415 -- few sessions ask

    host = Host.current()
    loops = host.MATPLOTLIB_GUIS if host is not None else ()
    if gui is None or gui in ("inline", "ipympl", "widget", "agg", *loops):
        shell.active_eventloop = gui if gui in loops else None
        return
    has = f"its host is {host.HOST}" if host is not None else "it was started without a host"
    msg = (
        f"The main loop of {gui!r} cannot be started in this kernel: {has}. Start a kernel with "
        f"--host={_host_of(gui)}, or use %matplotlib inline, or %matplotlib widget."
    )
    raise UsageError(msg)


def _host_of(gui: str) -> str:
    return "qt" if gui.startswith("qt") else gui


def check_backend(shell: IPShell[Any], gui: str | None) -> None:
    """Refuse a matplotlib backend whose windows could not live here, before matplotlib looks for their toolkit.

    Raises:
        UsageError: as :func:`enable_gui`.
    """
    if gui in _WINDOWS:
        enable_gui(shell, _WINDOWS[gui])


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

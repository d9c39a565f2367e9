"""The magics of a kernel: those that IPython's own do not do here, and those of its terminal that notebooks expect.

They are registered in place of IPython's, and imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from async_kernel.shell.ipython import configured_script_magics

if TYPE_CHECKING:
    from async_kernel.shell.ipshell import IPShell

__all__ = ["register"]

_PLACES = {
    "concurrency": (
        "ConcurrencyMagics",
        ("asyncio", "cancel", "task", "tasks", "thread", "trio"),
        ("asyncio", "deadline", "task", "thread", "timeout", "trio"),
    ),
    "kernel": (
        "KernelMagics",
        (
            "autosave",
            "clear",
            "config",
            "connect_info",
            "dropped",
            "edit",
            "gui",
            "less",
            "man",
            "matplotlib",
            "more",
            "qtconsole",
        ),
        (),
    ),
    "packages": ("PackageMagics", ("pip", "uv"), ()),
    "running": ("RunningMagics", ("autoawait", "time", "timeit"), ("capture", "time", "timeit")),
    "scripts": ("CellScriptMagics", ("killbgscripts",), ("script",)),
}
"""Module: class, line magics, cell magics."""


def register(shell: IPShell[Any]) -> None:
    """Add the magics of a kernel to a shell."""
    manager: Any = shell.magics_manager
    for module, (name, lines, cells) in _PLACES.items():
        spec = f"{__name__}.{module}:{name}"
        for kind, magics in (("line", lines), ("cell", cells)):
            for magic in magics:
                manager.register_lazy(magic, spec, kind)
    for magic in configured_script_magics(shell.config):
        manager.register_lazy(magic, f"{__name__}.scripts:CellScriptMagics", "cell")

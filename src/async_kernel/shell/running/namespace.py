"""What IPython has one of in a process, taken while a shell lives and given back after it.

``get_ipython()`` and ``InteractiveShell.instance()``, a few builtins, and ``__main__``. A kernel that owns its
process simply has them. In a program that embeds one, only the first two change: they answer with the kernel's
shell where a cell's code asks, and as before where the program's own code does, whose IPython shell, if it has one,
goes on to be its own.
"""

from __future__ import annotations

import builtins
import sys
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self

from async_kernel.protocol.request import current_request
from async_kernel.shell.ipython import BuiltinTrap, DisplayTrap, display
from async_kernel.shell.running.runs import current_run

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import ModuleType

__all__ = ["DISPLAY_NAME", "LivingBuiltinTrap", "NullDisplayTrap", "acting", "installed"]

DISPLAY_NAME = "<displayhook>"
"""A builtin that no user code can spell: what shows the values of a cell's expressions."""

acting: ContextVar[bool] = ContextVar("async_kernel_shell_acting", default=False)
"""Whether the shell runs code of its own here, outside every cell: startup files, extensions."""

_MISSING: Any = object()


class LivingBuiltinTrap(BuiltinTrap):
    """IPython's builtins, there as long as the shell: entering and leaving it for every cell does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> bool:
        return False


class NullDisplayTrap(DisplayTrap):
    """``sys.displayhook`` is left alone: the shell hands values to its own."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> bool:
        return False


class _ShellOfContext:
    """Stands in for ``InteractiveShell._instance`` in a program that embeds a kernel."""

    def __init__(self, shell: Any, before: Any) -> None:
        self._shell = shell
        self._before = before

    def __get__(self, _: object, cls: type) -> Any:
        inside = current_request.get() is not None or current_run.get() is not None or acting.get()
        found = self._shell if inside else self._before
        return found if found is None or isinstance(found, cls) else None


@contextmanager
def installed(shell: Any, *, launched: bool, main: ModuleType) -> Generator[None]:
    """Have these names answer with ``shell`` while open.

    Args:
        shell: an IPShell.
        launched: the process is the kernel's, so that they do so everywhere.
        main: the module that is its ``__main__`` then.
    """
    with ExitStack() as stack:
        for cls in shell._walk_mro():  # noqa: SLF001 -- how traitlets' singletons are kept
            before = cls.__dict__.get("_instance")
            stack.enter_context(_attribute(cls, "_instance", shell if launched else _ShellOfContext(shell, before)))
        stack.enter_context(_item(builtins.__dict__, DISPLAY_NAME, shell.show_value))
        if launched:
            for name, value in {"__IPYTHON__": True, "display": display, "get_ipython": shell.get_ipython}.items():
                stack.enter_context(_item(builtins.__dict__, name, value))
            stack.enter_context(_item(sys.modules, "__main__", main))
            stack.enter_context(_attribute(sys, "ps1", "In : "))  # by which libraries know an interactive session
            stack.enter_context(_attribute(sys, "ps2", "...: "))
        yield


@contextmanager
def _attribute(owner: Any, name: str, value: object) -> Generator[None]:
    before = owner.__dict__.get(name, _MISSING)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is _MISSING:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


@contextmanager
def _item(mapping: Any, key: str, value: object) -> Generator[None]:
    before = mapping.get(key, _MISSING)
    mapping[key] = value
    try:
        yield
    finally:
        if before is _MISSING:
            mapping.pop(key, None)
        else:
            mapping[key] = before

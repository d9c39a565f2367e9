"""Being recognised as a notebook by libraries that ask who runs them.

There is no protocol for that question, only habits. rich compares the name of the class of ``get_ipython()`` with that
of ipykernel's shell, pandas looks for "zmq" in it, others look for ipykernel's section in its configuration, and tqdm
looks for ipykernel's module of the shell among the loaded ones, in which plotly wants the class to be. Where they find
nothing they print bars and tables for a terminal, or put megabytes of scripts into a notebook that has them. So the
shell of a kernel has all of these, whatever the class is called that it was made from.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from async_kernel.slot import configurable_classes

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["SHELL_NAME", "recognisable", "recognisable_module", "with_section"]

T = TypeVar("T")

SHELL_NAME = "ZMQInteractiveShell"
"""What libraries know the shell of a notebook by. Configuration for a shell of this name is honoured, too."""

SHELL_MODULE = "ipykernel.zmqshell"
"""The module that tqdm looks for."""


def recognisable(cls: type[T]) -> type[T]:
    """A class of that name which is ``cls`` in all else; always the same one."""
    made: Any = cls
    return made if made.__name__ == SHELL_NAME else _named(made)


@cache
def _named(cls: Any) -> Any:
    named = cls.__class__(SHELL_NAME, (cls,), {"__module__": SHELL_MODULE, "__doc__": cls.__doc__})
    if named in configurable_classes:
        configurable_classes.remove(named)  # its options are those of ``cls``, which is there
    return named


def with_section(config: Any) -> None:
    """Give a configuration ipykernel's section."""
    if "IPKernelApp" not in config:
        config.IPKernelApp.is_kernel = True


@contextmanager
def recognisable_module() -> Generator[None]:
    """Have a module of ipykernel's name loaded, while open; whoever uses it gets the real one, if it is installed."""
    if SHELL_MODULE in sys.modules:
        yield
        return
    stand_in = sys.modules[SHELL_MODULE] = _StandIn(SHELL_MODULE, "See async_kernel.shell.recognition.")
    try:
        yield
    finally:
        if sys.modules.get(SHELL_MODULE) is stand_in:
            del sys.modules[SHELL_MODULE]


class _StandIn(ModuleType):
    """Gives way to the module whose name it has as soon as something of that is wanted."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        try:
            module = import_module(self.__name__)
        except ImportError as exc:
            msg = f"{self.__name__} is not what runs this: {exc}"
            raise AttributeError(msg) from exc
        return getattr(module, name)

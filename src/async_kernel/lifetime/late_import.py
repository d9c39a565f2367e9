"""Modules that most kernels never need, imported when they are: whatever user code has done to ``sys.path`` by then.

``sys.path`` itself is left alone: cells run meanwhile, and what they append to it must stay. User code may also have
taken all descriptors that its process gets from the system, without which no module can be read: a launched kernel
keeps one (:func:`descriptor_kept`) and lends it to such an import.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

__all__ = ["descriptor_kept", "late_import"]

_PATH = tuple(sys.path)
"""Where modules of the kernel are found: the search path at the start."""

_kept: list[int] = []
"""The descriptor, unless it is lent."""


def late_import(name: str) -> Any:
    """The module of this name. Any thread.

    Raises:
        ImportError: if there is none.
    """
    module = sys.modules.get(name)
    if module is not None:
        return module
    with _found_where_they_were(), _descriptor_lent():
        return import_module(name)


@contextmanager
def descriptor_kept() -> Generator[None]:
    """Keep a descriptor for imports while open. For a process that is the kernel's own."""
    _keep()
    try:
        yield
    finally:
        _let_go()


@contextmanager
def _descriptor_lent() -> Generator[None]:
    """Let there be one more while open, if one is kept. Two imports at once have that one together."""
    if not _let_go():
        yield
        return
    try:
        yield
    finally:
        _keep()


def _keep() -> None:
    with suppress(OSError):  # there is none any more
        _kept.append(os.open(os.devnull, os.O_RDONLY))


def _let_go() -> bool:
    """Whether there was one."""
    try:
        os.close(_kept.pop())
    except (IndexError, OSError):
        return False
    return True


class _Finder:
    """Finds, for one thread, what nobody else has found."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the import system asks."""
        if path is not None or threading.get_ident() != self._thread:
            return None
        return PathFinder.find_spec(name, _PATH, target)


@contextmanager
def _found_where_they_were() -> Generator[None]:
    finder = _Finder()
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        with suppress(ValueError):  # somebody has put another list into its place meanwhile
            sys.meta_path.remove(finder)

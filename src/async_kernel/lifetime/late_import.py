"""Modules that most kernels never need, imported when they are: whatever user code has done to ``sys.path`` by then.

``sys.path`` itself is left alone: cells run meanwhile, and what they append to it must stay.
"""

from __future__ import annotations

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

__all__ = ["late_import"]

_PATH = tuple(sys.path)
"""Where modules of the kernel are found: the search path at the start."""


def late_import(name: str) -> Any:
    """The module of this name. Any thread.

    Raises:
        ImportError: if there is none.
    """
    module = sys.modules.get(name)
    if module is not None:
        return module
    with _found_where_they_were():
        return import_module(name)


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

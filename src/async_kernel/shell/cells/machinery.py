"""Telling user code from the machinery that runs it, and from libraries."""

from __future__ import annotations

import contextlib
import os
import sys
from functools import lru_cache

from async_kernel.common import PACKAGE_FOLDER

__all__ = ["is_library", "is_machinery", "keeps_scopes"]


_ASYNC = ("trio", "anyio", "asyncio", "outcome")


def is_machinery(filename: str) -> bool:
    """Whether a file is part of this package or of an async library."""
    return filename.startswith(PACKAGE_FOLDER) or _is_part_of(
        filename, ("trio", "anyio", "asyncio", "outcome", "IPython")
    )


def keeps_scopes(filename: str) -> bool:
    """Whether a file enters and leaves scopes: an exception that strikes below it may leave one in the middle."""
    return filename == contextlib.__file__ or _is_part_of(filename, _ASYNC)


def _is_part_of(filename: str, libraries: tuple[str, ...]) -> bool:
    return _is_beside(filename, tuple([getattr(sys.modules.get(name), "__file__", None) for name in libraries]))


@lru_cache(maxsize=4096)  # %tasks asks this for every frame of every task; few files are behind them
def _is_beside(filename: str, modules: tuple[str | None, ...]) -> bool:
    """Whether a file is in the folder of one of the modules, which are given by their files, or below it."""
    return any(module is not None and filename.startswith(os.path.dirname(module) + os.sep) for module in modules)  # noqa: PTH120


_LIBRARIES = (
    os.path.dirname(os.__file__),  # noqa: PTH120 -- as file names of code are: text
    *(path for path in sys.path if path.rstrip("/\\").endswith(("site-packages", "dist-packages"))),
)
"""Python's own folder, and those of installed packages; sysconfig, which says it too, is 1.5 ms of a start."""


def is_library(filename: str) -> bool:
    """Whether a file is part of this package, of Python or of an installed library: no code of the user's own.

    Code that has no file, too: libraries make functions while they run. Cells have one.
    """
    return filename.startswith(("<", PACKAGE_FOLDER, *_LIBRARIES))

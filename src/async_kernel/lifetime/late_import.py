"""Modules that most kernels never need, imported when they are: whatever user code has done to ``sys.path`` by then."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

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
    before = sys.path
    sys.path = [*before, *_PATH]
    try:
        return import_module(name)
    finally:
        sys.path = before

"""The task objects of the async libraries, for looking at."""

from __future__ import annotations

import sys
from typing import Any

import sniffio

__all__ = ["native_task"]


def native_task() -> Any:
    """The task object of the async library that runs here, for looking at its stack."""
    library = sys.modules[sniffio.current_async_library()]
    return library.lowlevel.current_task() if library.__name__ == "trio" else library.current_task()

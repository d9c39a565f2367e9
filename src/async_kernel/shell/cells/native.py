"""The task objects of the async libraries, for looking at."""

from __future__ import annotations

import sys
from typing import Any

import sniffio

__all__ = ["is_running", "native_task"]


def native_task() -> Any:
    """The task object of the async library that runs here, for looking at its stack."""
    library = sys.modules[sniffio.current_async_library()]
    return library.lowlevel.current_task() if library.__name__ == "trio" else library.current_task()


def is_running(native: Any) -> bool:
    """Whether a step of the task is on the stack of its thread; from any thread."""
    awaitable: Any = getattr(native, "coro", None) or native.get_coro()
    return bool(getattr(awaitable, "cr_running", False) or getattr(awaitable, "gi_running", False))

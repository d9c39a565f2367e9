"""Room among addresses: taken without any of the machine's memory, which comes when somebody writes there.

A browser's memory is one piece, and all of it is filled; nothing is taken there.
"""

from __future__ import annotations

import sys

__all__ = ["take_addresses"]


if sys.platform == "emscripten":

    def take_addresses(size: int) -> object | None:
        """Take ``size`` bytes until the object is gone; None if there is no room."""
        return object() if size else None

else:
    import mmap

    def take_addresses(size: int) -> object | None:
        """Take ``size`` bytes until the object is gone; None if there is no room."""
        try:
            return mmap.mmap(-1, size)
        except (OSError, MemoryError):
            return None

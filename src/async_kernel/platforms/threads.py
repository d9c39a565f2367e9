"""Threads: a browser has none."""

from __future__ import annotations

import sys
from typing import Final

__all__ = ["HAVE_THREADS"]

HAVE_THREADS: Final = sys.platform != "emscripten"
"""Whether threads can be started."""

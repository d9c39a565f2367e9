"""Displays for windows: X11's and Wayland's are named by variables, those of Windows and macOS are just there."""

from __future__ import annotations

import os
import sys

__all__ = ["has_display"]


def has_display(*variables: str) -> bool:
    """Whether windows can be shown: one of these environment variables names where, or none is needed."""
    return sys.platform in ("win32", "darwin") or any(os.environ.get(name) for name in variables)

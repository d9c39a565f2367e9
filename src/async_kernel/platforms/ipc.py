"""Sockets that are files: where kernels may be reached by them, and how long their paths may be."""

from __future__ import annotations

import sys
from typing import Final

__all__ = ["MAX_IPC_PATH_BYTES", "TRANSPORTS"]

TRANSPORTS: Final = ("tcp", "ipc") if sys.platform == "linux" else ("tcp",)
"""What kernels can be reached by; jupyter_client offers ipc on Linux only."""

MAX_IPC_PATH_BYTES: Final = 107 if sys.platform == "linux" else 103
"""The length of ``sun_path`` without its final zero byte: unix(7), unix(4)."""

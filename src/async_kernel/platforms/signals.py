"""Signals: Windows has few, and cannot send one to a thread."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Final

__all__ = ["KILL", "STOPPING_SIGNALS", "WAKEUP_FD_CAN_BE_WRITTEN", "raise_sigint_in_main_thread"]

STOPPING_SIGNALS: Final = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
"""Those that ask a process to end: SIGHUP is POSIX's, SIGBREAK Windows'."""

KILL: Final = getattr(signal, "SIGKILL", signal.SIGTERM)
"""The one that nobody can ignore."""

WAKEUP_FD_CAN_BE_WRITTEN: Final = sys.platform != "win32"
"""Whether a wake-up descriptor of somebody else's can be written to: on Windows it is a socket's, which is no file."""


def raise_sigint_in_main_thread() -> None:
    """Send this process's main thread SIGINT, ending a system call that it is in."""
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGINT)  # there the handler's event also ends time.sleep
    else:
        ident = threading.main_thread().ident
        if ident is not None:
            signal.pthread_kill(ident, signal.SIGINT)

"""Child processes that a blocking cell waits for.

``os.system`` and the like ignore SIGINT in the kernel while they wait: only the child's end lets them return. In a
terminal Control-C reaches the children, too, as they are in the same process group; here it is sent to them.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from async_kernel.lifetime.late_import import late_import
from async_kernel.platforms.processes import is_in_our_group

if TYPE_CHECKING:
    import logging

__all__ = ["interrupt_children"]


def interrupt_children(log: logging.Logger) -> None:
    """Send SIGINT to the children in this process's group; those in a group of their own are left alone."""
    psutil = late_import("psutil")
    for child in psutil.Process().children(recursive=True):
        try:
            if is_in_our_group(child.pid):
                os.kill(child.pid, signal.SIGINT)
        except ProcessLookupError:
            continue
        except PermissionError:
            log.warning("The child process %s may not be interrupted by this user.", child.pid)

"""Whether there can be a debugger; asked for every kernel_info_reply, so without importing one."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from async_kernel.common import LAUNCHED_BY_DEBUGPY

if TYPE_CHECKING:
    from async_kernel.kernel.kernel import Kernel

__all__ = ["why_no_debugger"]


def why_no_debugger(kernel: Kernel[Any]) -> str:
    """Why there can be no debugging here, and what to do about it; empty if there can."""
    if not kernel.reads_beside:
        return "This kernel reads requests in the loop of its cells: a cell that is stopped would stop the debugger."
    if LAUNCHED_BY_DEBUGPY:
        return "A debugger has started this process already; use that one."
    if not kernel.cells_have_files:
        return "The shell of this kernel does not say in which files its cells are."
    if "debugpy" not in sys.modules and not _is_installed():
        return "There is no debugger without debugpy. Install it where the kernel is: pip install debugpy"
    return ""


_found = False


def _is_installed() -> bool:
    """Whether debugpy can be imported. Looking takes a tenth of a kernel_info_reply, so once found it stays found."""
    global _found  # it may be installed while the kernel runs
    _found = _found or find_spec("debugpy") is not None
    return _found

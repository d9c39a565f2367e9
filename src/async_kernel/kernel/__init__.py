"""The request table, the handlers by message family, and the kernel that serves with them."""

from __future__ import annotations

from async_kernel.kernel.kernel import Kernel

__all__ = ["Kernel"]

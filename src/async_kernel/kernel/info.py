"""Answers about the kernel itself: kernel_info, connect, usage; also while a cell blocks."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

from async_kernel.lifetime.late_import import late_import
from async_kernel.protocol.errors import RequestError
from async_kernel.protocol.kernel_info import LANGUAGE_INFO, PROTOCOL_VERSION

if TYPE_CHECKING:
    from async_kernel.kernel.kernel import Kernel
    from async_kernel.protocol.request import Request
    from async_kernel.typing import Content

__all__ = ["LANGUAGE_INFO", "PROTOCOL_VERSION", "connect", "drop_counts", "kernel_info", "usage"]


def kernel_info(kernel: Kernel[Any], request: Request) -> Content:
    """kernel_info_request."""
    return {"status": "ok", **kernel.kernel_info}


def connect(kernel: Kernel[Any], request: Request) -> Content:
    """connect_request: the ports of the other channels, under both names that clients know."""
    return {"status": "ok", **kernel.ports}


def drop_counts(kernel: Kernel[Any], request: Request) -> Content:
    """drop_counts_request, an extension of the protocol: how much was lost or refused since the start, by kind."""
    return {"status": "ok", **kernel.drop_counts()}


def usage(kernel: Kernel[Any], request: Request) -> Content:
    """usage_request: what JupyterLab's kernel usage panel shows; memory in bytes, cpu in percent of one core.

    Raises:
        RequestError: where there is no psutil, which knows: in a browser.
    """
    try:
        psutil = late_import("psutil")
    except ImportError:
        msg = "The usage of this kernel is not known: it runs without psutil."
        raise RequestError(msg) from None
    process = kernel.process
    with process.oneshot():
        own = {"pid": process.pid, "cpu": process.cpu_percent(), "memory": process.memory_info().rss}
    cpu, memory = 0.0, 0
    for child in [process, *process.children(recursive=True)]:
        try:
            cpu += own["cpu"] if child is process else child.cpu_percent()
            memory += own["memory"] if child is process else child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return {
        "status": "ok",
        "hostname": platform.node(),
        "pid": own["pid"],
        "kernel_cpu": cpu,
        "kernel_memory": memory,
        "host_cpu_percent": psutil.cpu_percent(),
        "cpu_count": os.cpu_count(),
        "host_virtual_memory": dict(psutil.virtual_memory()._asdict()),
    }

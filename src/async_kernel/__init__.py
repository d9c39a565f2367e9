"""A Jupyter kernel whose every moving part lives in a nursery.

Names are looked up when they are first used: ``import async_kernel`` imports neither IPython nor zmq.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from async_kernel.interface.ip_app import IPApp as Interface
    from async_kernel.kernel import Kernel
    from async_kernel.lifetime.pending import Pending

__version__ = "0.1.0.dev0"

__all__ = ["Interface", "Kernel", "Pending", "__version__"]

_HOMES = {
    "Interface": ("async_kernel.interface.ip_app", "IPApp"),
    "Kernel": ("async_kernel.kernel", "Kernel"),
    "Pending": ("async_kernel.lifetime.pending", "Pending"),
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(home[0]), home[1])

"""A Jupyter kernel whose every moving part lives in a nursery.

Names are looked up when they are first used: ``import async_kernel`` imports neither IPython nor zmq nor trio.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from async_kernel import utils
    from async_kernel.interface.ip_app import IPApp as Interface
    from async_kernel.kernel import Kernel
    from async_kernel.kernel.info import LANGUAGE_INFO as kernel_protocol_version_info  # noqa: N811 -- documented name
    from async_kernel.kernel.info import PROTOCOL_VERSION as kernel_protocol_version  # noqa: N811 -- documented name
    from async_kernel.lifetime.caller import Caller
    from async_kernel.lifetime.pending import Pending

__version__ = "0.1.0.dev0"
distribution_name = "async-trio"

__all__ = [
    "Caller",
    "Interface",
    "Kernel",
    "Pending",
    "__version__",
    "distribution_name",
    "kernel_protocol_version",
    "kernel_protocol_version_info",
    "utils",
]

_HOMES = {
    "Caller": ("async_kernel.lifetime.caller", "Caller"),
    "Interface": ("async_kernel.interface.ip_app", "IPApp"),
    "Kernel": ("async_kernel.kernel", "Kernel"),
    "Pending": ("async_kernel.lifetime.pending", "Pending"),
    "kernel_protocol_version": ("async_kernel.kernel.info", "PROTOCOL_VERSION"),
    "kernel_protocol_version_info": ("async_kernel.kernel.info", "LANGUAGE_INFO"),
    "utils": ("async_kernel", "utils"),
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    module, attribute = home
    return import_module(f"{module}.{attribute}") if module == __name__ else getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

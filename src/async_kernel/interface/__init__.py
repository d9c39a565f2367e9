"""How a kernel meets the world: the interfaces, each an async context manager that owns a whole kernel.

Names are looked up lazily: a host without sockets imports ``async_kernel.interface.callable`` and nothing of zmq.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from async_kernel.interface.base import BaseInterface, HasInterface
    from async_kernel.interface.callable import start_kernel_callable_interface
    from async_kernel.interface.ip_app import IPApp as Interface
    from async_kernel.interface.launch import launch_interface

__all__ = ["BaseInterface", "HasInterface", "Interface", "launch_interface", "start_kernel_callable_interface"]

_HOMES = {
    "BaseInterface": "base",
    "HasInterface": "base",
    "launch_interface": "launch",
    "start_kernel_callable_interface": "callable",
}


def __getattr__(name: str) -> Any:
    if name == "Interface":
        return import_module("async_kernel.interface.ip_app").IPApp
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{home}"), name)

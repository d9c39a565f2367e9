"""``launch_interface``: what the command line and kernelspecs start."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from async_kernel.interface import early, garbage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from async_kernel.interface.base import BaseInterface

__all__ = ["DEFAULT_INTERFACE", "launch_interface"]

DEFAULT_INTERFACE = "async_kernel.interface.ip_app.IPApp"

SWITCH_INTERVAL_S = 0.001
"""How long a thread that computes may keep the GIL from the I/O loop: a fifth of Python's default.

Interrupts and requests on control may wait so long at each hand-over (measured during a busy loop: kernel_info 6.4 ms
and now 2.2, an interrupt 12.7 and now 9.1; cells, displays and prints take what they took). It holds for the whole
process, so it is for a process of the kernel's own only.
"""


def launch_interface(settings: Mapping[str, Any]) -> None:
    """Run an interface until it stops; blocking.

    Args:
        settings: as the command line parsed it. Only the class is looked up here (``interface_class`` or
            ``BaseInterface.interface_class``: a class or its dotted name); all other options are read by the interface
            itself, from the same command line.

    Raises:
        TypeError: if the class is no interface.
        SystemExit: when it has stopped.
    """
    garbage.postpone()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        with early.clients_received(settings):
            _class_of(settings).launch_instance()
    finally:
        garbage.resume()


def _class_of(settings: Mapping[str, Any]) -> type[BaseInterface[Any]]:
    from traitlets.utils.importstring import import_item  # noqa: PLC0415 -- imports are most of starting

    from async_kernel.interface.base import BaseInterface  # noqa: PLC0415

    cls = settings.get("interface_class") or settings.get("BaseInterface.interface_class") or DEFAULT_INTERFACE
    if isinstance(cls, str):
        cls = import_item(cls)
    if not (isinstance(cls, type) and issubclass(cls, BaseInterface)):
        msg = f"interface_class must be a subclass of BaseInterface, not {cls!r}"
        raise TypeError(msg)
    return cls  # pyright: ignore[reportUnknownVariableType] -- of any shell

"""Comms: the ``comm`` package's manager, made to speak through the kernel's wire.

:func:`comms_installed` puts this kernel's comm class and manager into the ``comm`` package while the kernel lives.
Messages from the front end are served in the shell's loop (lane ``comm``); messages to it go out on iopub with the
parent header of the request whose context sends them.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import comm
from comm.base_comm import BaseComm, CommManager

from async_kernel.protocol.fields import field
from async_kernel.protocol.request import current_request

if TYPE_CHECKING:
    from collections.abc import Generator

    from async_kernel.kernel.kernel import Kernel
    from async_kernel.protocol.request import Request
    from async_kernel.typing import Content

__all__ = ["comm_close", "comm_info", "comm_msg", "comm_open", "comms_installed"]


@contextmanager
def comms_installed(kernel: Kernel[Any]) -> Generator[CommManager]:
    """While open, ``comm.create_comm`` makes comms of this kernel; leaving closes those that are still open."""
    manager = CommManager()

    class KernelComm(BaseComm):
        """A comm whose messages leave through the kernel's wire."""

        def publish_msg(
            self,
            msg_type: str,
            data: Any = None,
            metadata: Any = None,
            buffers: Any = None,
            **keys: Any,
        ) -> None:
            request = current_request.get()
            kernel.wire.publish(
                msg_type,
                {"data": {} if data is None else data, "comm_id": self.comm_id, **keys},
                parent=None if request is None else request.header,
                metadata=metadata or {},
                buffers=buffers or (),
                topic=f"comm-{self.comm_id}".encode(),
            )

    def create_comm(*args: Any, **kwargs: Any) -> BaseComm:
        return KernelComm(*args, **kwargs)

    def get_comm_manager() -> CommManager:
        return manager

    originals = comm.create_comm, comm.get_comm_manager
    comm.create_comm, comm.get_comm_manager = create_comm, get_comm_manager
    try:
        yield manager
    finally:
        for open_comm in list(manager.comms.values()):
            open_comm.close()
        comm.create_comm, comm.get_comm_manager = originals


def _manager(kernel: Kernel[Any]) -> Any:
    """The manager, whose methods have parameters for a stream and an identity that it does not look at."""
    return kernel.comm_manager


def _as_message(request: Request) -> dict[str, Any]:
    return dict(request.as_job()["msg"])


def comm_open(kernel: Kernel[Any], request: Request) -> None:
    """A front end opens a comm."""
    field(request, "comm_id", str)
    _manager(kernel).comm_open(None, None, _as_message(request))


def comm_msg(kernel: Kernel[Any], request: Request) -> None:
    """A front end sends on a comm."""
    field(request, "comm_id", str)
    _manager(kernel).comm_msg(None, None, _as_message(request))


def comm_close(kernel: Kernel[Any], request: Request) -> None:
    """A front end closes a comm."""
    field(request, "comm_id", str)
    _manager(kernel).comm_close(None, None, _as_message(request))


def comm_info(kernel: Kernel[Any], request: Request) -> Content:
    """comm_info_request: the open comms, all or those of one target."""
    target = field(request, "target_name", str, default=None)
    comms = {
        comm_id: {"target_name": each.target_name}
        for comm_id, each in list(kernel.comm_manager.comms.items())
        if target is None or each.target_name == target
    }
    return {"status": "ok", "comms": comms}

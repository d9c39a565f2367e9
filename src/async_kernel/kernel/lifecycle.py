"""interrupt_request and shutdown_request, served by the I/O loop while cells run or block; and ``exit`` in a cell.

A client reads of ``exit`` in the reply (payload ``ask_exit``) and answers with a shutdown_request: consoles do. Were
the kernel gone before that, a client that watches its process could take it for a crash, and start another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import anyio

from async_kernel.protocol.errors import RequestError
from async_kernel.protocol.fields import field

if TYPE_CHECKING:
    from async_kernel.kernel.kernel import Kernel
    from async_kernel.protocol.request import Request
    from async_kernel.typing import Content

__all__ = ["EXIT_PATIENCE_S", "NO_SHUTDOWN", "interrupt", "leave", "shutdown"]

NO_SHUTDOWN: Final = "this kernel is part of a program that does not allow its clients to shut it down"
"""Why nothing comes of a shutdown."""

EXIT_PATIENCE_S: Final = 2.0
"""Seconds that a client has to ask for the shutdown after ``exit``: enough for one that is busy with the reply, and
less than jupyter_client's restarter lets pass between two looks at the process (3)."""


def interrupt(kernel: Kernel[Any], request: Request) -> Content:
    """interrupt_request: cut the foreground cell short.

    The reply says in ``state`` how the cell was found, and in ``note`` when it cannot be interrupted where it is.
    """
    state = kernel.interrupts.interrupt(request.subshell_id)
    content: Content = {"status": "ok", "state": state}
    if state == "blocking" and not (kernel.interrupts_by_signal and request.subshell_id is None):
        content["note"] = (
            "the cell blocks its loop; it is interrupted at its next line of Python: a call into C code that does "
            "not return cannot be interrupted without the kernel's SIGINT handler"
        )
    return content


def shutdown(kernel: Kernel[Any], request: Request) -> None:
    """shutdown_request: stop the interface; replied when the cells have ended (see Kernel.closing_replies)."""
    restart = field(request, "restart", bool, default=False)
    if not kernel.accepts_shutdown:
        raise RequestError(NO_SHUTDOWN)
    kernel.shut_down(request, restart=restart)


def leave(kernel: Kernel[Any]) -> None:
    """End the kernel because a cell said ``exit``: at the client's shutdown_request, or without it after a while.

    No cell is run any more from the reply on (see :func:`~async_kernel.kernel.execution.execute`).
    """

    async def wait_for_the_client() -> None:
        await anyio.sleep(EXIT_PATIENCE_S)  # cancelled by the shutdown
        kernel.stop()

    kernel.beside.start_soon(wait_for_the_client)

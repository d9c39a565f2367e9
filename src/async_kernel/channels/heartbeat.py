"""The heartbeat: an echo that answers while Python code holds the interpreter.

``zmq_proxy_steerable`` in C, from a ROUTER socket to itself, in a thread that is a task of the I/O nursery. The thread
makes and binds its socket, or gets it bound (see :mod:`~async_kernel.channels.reception`), and closes it; the loop owns
the other end of the control pair and ends the proxy by ``TERMINATE``.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import trio
import zmq

from async_kernel.lifetime.owned_thread import run_in_owned_thread
from async_kernel.typing import Channel

if TYPE_CHECKING:
    from async_kernel.transport.connection import Endpoints

__all__ = ["serve_heartbeat"]

_CONTROL: Final = "inproc://heartbeat-control"


async def serve_heartbeat(
    context: zmq.Context[zmq.Socket[bytes]],
    endpoints: Endpoints,
    port: int,
    there: zmq.Socket[bytes] | None = None,
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer heartbeats until cancelled; ``started`` gives the port.

    Args:
        context: of the socket.
        endpoints: binds it.
        port: where.
        there: a socket that is bound there already; from now on it belongs to this.
        task_status: trio's.

    Raises:
        BindError: if the socket cannot be bound.
    """
    token = trio.lowlevel.current_trio_token()
    terminated = False

    def echo() -> None:
        with there or context.socket(zmq.ROUTER) as socket, context.socket(zmq.PAIR) as control:
            socket.linger = control.linger = 0
            bound = port if there else endpoints.bind(socket, Channel.heartbeat, port)
            control.connect(_CONTROL)
            token.run_sync_soon(task_status.started, bound)
            if not terminated:
                zmq.proxy_steerable(socket, socket, None, control)

    def terminate() -> None:
        nonlocal terminated
        if terminated:
            return
        terminated = True
        control.getsockopt(zmq.EVENTS)  # notices a connection made just now
        with contextlib.suppress(zmq.Again):  # not connected yet: then the thread will see `terminated`
            control.send(b"TERMINATE", zmq.NOBLOCK)

    with context.socket(zmq.PAIR) as control:
        control.linger = 0
        control.bind(_CONTROL)
        await run_in_owned_thread(echo, name="async-kernel heartbeat", cancel=terminate, no_debug=True)

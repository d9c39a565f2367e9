"""Opening the channels: their sockets are made, watched, bound and given to their owners, in this order.

Whatever is opened is closed by the stack that the caller gives, in the opposite order, also if something cannot be
bound. In the I/O loop's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import trio
import zmq

from async_kernel.channels.iopub import IOPub
from async_kernel.channels.iopub import configure as configure_publisher
from async_kernel.channels.peers import Peers
from async_kernel.channels.request_channel import RequestChannel
from async_kernel.channels.routers import configure_router
from async_kernel.channels.stdin import Stdin
from async_kernel.transport.owned_socket import OwnedSocket
from async_kernel.typing import Channel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack

    from async_kernel.channels.complaints import Complaints
    from async_kernel.channels.lookout import Lookout
    from async_kernel.channels.output import Output, OutputQueue
    from async_kernel.channels.reception import Arrivals
    from async_kernel.channels.settings import IOSettings
    from async_kernel.protocol.request import Request
    from async_kernel.transport.codec import Codec
    from async_kernel.transport.connection import Endpoints

__all__ = ["Channels", "open_channels"]


class Channels(NamedTuple):
    """The open channels. Each has a task to be started, ``serve``.

    Attributes:
        shell: requests for cells.
        control: requests that do not wait for them.
        stdin: questions.
        iopub: output.
        watchers: of who is connected.
        ports: the ports of all of these.
    """

    shell: RequestChannel
    control: RequestChannel
    stdin: Stdin
    iopub: IOPub
    watchers: list[Peers]
    ports: dict[Channel, int]


def open_channels(
    stack: ExitStack,
    arrivals: Arrivals,
    settings: IOSettings,
    endpoints: Endpoints,
    *,
    codec: Codec,
    output: OutputQueue,
    submit: Callable[[Request], object],
    complaints: Mapping[Channel, Complaints],
    lookout: Lookout,
    greeting: Output | None = None,
) -> Channels:
    """Open them all.

    Args:
        stack: closes them.
        arrivals: sockets that are bound already are taken from here.
        settings: marks, times and ports.
        endpoints: where to bind.
        codec: reads and makes messages.
        output: what iopub publishes.
        submit: gets requests.
        complaints: of each channel, about its clients.
        lookout: of the shell channel and iopub.
        greeting: for the first subscriber.

    Raises:
        BindError: if a socket cannot be bound.
    """
    token = trio.lowlevel.current_trio_token()
    ports: dict[Channel, int] = {}

    def bind(kind: int, channel: Channel, configure: Callable[[zmq.Socket[bytes], IOSettings], object]) -> OwnedSocket:
        ports[channel] = arrivals.bind(kind, channel, configure, settings, endpoints)
        owned = OwnedSocket(arrivals.sockets.pop(channel), token, often=channel != Channel.stdin)
        stack.callback(owned.close, settings.linger_ms)
        return owned

    watchers: list[Peers] = []

    def configure_iopub(socket: zmq.Socket[bytes], settings: IOSettings) -> None:
        configure_publisher(socket, settings)
        watchers.append(Peers(socket, token, complaints[Channel.iopub], remembers=settings.transport == "tcp"))
        stack.callback(watchers[0].close)  # if the socket cannot be bound; otherwise it is closed before that

    routers = {channel: bind(zmq.ROUTER, channel, configure_router) for channel in (Channel.shell, Channel.control)}
    requests = {
        channel: RequestChannel(
            channel, router, codec, submit, complaints[channel], lookout if channel == Channel.shell else None
        )
        for channel, router in routers.items()
    }
    asking = bind(zmq.ROUTER, Channel.stdin, configure_router)
    stdin = Stdin(asking, codec, complaints[Channel.stdin])
    publishing = bind(zmq.XPUB, Channel.iopub, configure_iopub)
    iopub = IOPub(
        output,
        publishing,
        codec,
        settings,
        complaints[Channel.iopub],
        watchers[0],
        greeting,
        lookout=lookout,
        send_replies=requests[Channel.shell].send_what_waits,
    )
    lookout.open([owned.descriptor for owned in (*routers.values(), publishing)])
    stack.callback(lookout.close)
    watchers.append(Peers(asking.socket, token, complaints[Channel.stdin], came=stdin.client_came))
    for watcher in watchers:
        stack.callback(watcher.close)
    return Channels(requests[Channel.shell], requests[Channel.control], stdin, iopub, watchers, ports)

"""The reception: answers who comes before the kernel is there.

Importing trio and IPython takes most of a start. Meanwhile a thread without them owns shell, control and heartbeat,
tells clients what kernel this is (``kernel_info_request``), echoes heartbeats (clients take a kernel that answers and
has no pulse for dead), answers what else it was given answers for, and keeps all other requests in the order in which
they came (after the first of these, whatever could depend on it, too). When the
I/O loop is there, the thread ends, and the loop takes over: the sockets (ZMQ lets them change threads across a full
fence, which joining a thread is; it happens this once), the requests, and what is to be published of the answers.
A client sees one kernel all the while: the same sockets, key, session and history of signatures.

Order: :meth:`Reception.serve`, in its thread, binds and serves → :meth:`Reception.end`, from any thread → the thread
returns and is joined → :meth:`Reception.hand_over` or :meth:`Reception.close`.
"""

from __future__ import annotations

import errno
import socket as sockets
from typing import TYPE_CHECKING, Any, Final

import zmq

from async_kernel.channels.routers import configure_router
from async_kernel.transport.codec import RemoteError
from async_kernel.transport.connection import BindError, Endpoints
from async_kernel.typing import Channel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from async_kernel.channels.complaints import Complaints
    from async_kernel.channels.settings import IOSettings
    from async_kernel.protocol.request import Request
    from async_kernel.transport.codec import Codec
    from async_kernel.typing import Content, Header

__all__ = ["Arrivals", "Reception"]

_CHANNELS: Final = (Channel.shell, Channel.control, Channel.heartbeat)


class Arrivals:
    """What the reception leaves to the I/O loop, which closes it all.

    Attributes:
        codec: has noted what was received.
        context: of the sockets; not given, it is made.
        sockets: bound, by channel; whoever owns one from now on takes it out.
        answered: the headers of requests that were answered, in order; nothing was published of them.
        requests: what came and was not answered, in order.
        rejected: what came and was no message.
        undeliverable: replies whose client had gone.
    """

    def __init__(self, codec: Codec, context: zmq.Context[zmq.Socket[bytes]] | None = None) -> None:
        self.codec = codec
        self.context: zmq.Context[zmq.Socket[bytes]] = context or zmq.Context()
        self.sockets: dict[Channel, zmq.Socket[bytes]] = {}
        self.answered: list[Header] = []
        self.requests: list[Request] = []
        self.rejected: list[tuple[Channel, RemoteError]] = []
        self.undeliverable = 0

    def bind(
        self,
        kind: int,
        channel: Channel,
        configure: Callable[[zmq.Socket[bytes], IOSettings], object],
        settings: IOSettings,
        endpoints: Endpoints,
    ) -> int:
        """Bind the socket of a channel, unless it is there already; return its port.

        Raises:
            BindError: if it cannot be bound.
        """
        port = getattr(settings.ports, channel)
        if channel in self.sockets:
            return port
        socket = self.sockets[channel] = self.context.socket(kind)
        configure(socket, settings)
        return endpoints.bind(socket, channel, port)

    def pass_on(
        self,
        publish: Callable[..., object],
        submit: Callable[[Request], object],
        complaints: Mapping[Channel, Complaints],
    ) -> None:
        """Go on where the reception ended, before anything else is read: in the I/O loop."""
        for header in self.answered:
            for state in ("busy", "idle"):
                publish("status", {"execution_state": state}, parent=header)
        for channel, error in self.rejected:
            complaints[channel].add(error)
        for request in self.requests:
            submit(request)

    def close(self) -> None:
        """Close the sockets that nobody has taken, and the context.

        A socket of the user's own that is left open in it is closed, too: it would keep the kernel from ending.
        """
        while self.sockets:
            self.sockets.popitem()[1].close(linger=0)
        self.context.destroy(linger=0)


class Reception:
    """Serves shell, control and heartbeat until the I/O loop is there.

    Args:
        settings: of the I/O loop to come; tcp, unencrypted, with ports.
        codec: of the I/O loop to come.
        info: the content of the replies to ``kernel_info_request``.
        answers: for other types of requests: from the content of a request to that of its reply, or to None, where
            only the kernel can tell. Not asked once another request waits for the kernel.
    """

    def __init__(
        self,
        settings: IOSettings,
        codec: Codec,
        info: Content,
        answers: Mapping[str, Callable[[Content], Content | None]] | None = None,
    ) -> None:
        self.settings = settings
        self.codec = codec
        self._info: Content = {"status": "ok", **info}
        self._answers = answers or {}
        self._arrivals = Arrivals(codec)
        self._bound = False
        self._ended, self._end = sockets.socketpair()

    def serve(self) -> None:
        """Bind and serve until :meth:`end`. An address that cannot be had is left to the I/O loop to complain of."""
        arrivals, settings = self._arrivals, self.settings
        endpoints = Endpoints(settings.transport, settings.ip)
        try:
            for channel in _CHANNELS:
                # ZMQ's proxy, which has the heartbeat later, would end by what ROUTER_MANDATORY reports.
                configure = _as_it_is if channel == Channel.heartbeat else configure_router
                arrivals.bind(zmq.ROUTER, channel, configure, settings, endpoints)
        except BindError:
            return
        self._bound = True
        poller = zmq.Poller()
        poller.register(self._ended, zmq.POLLIN)
        for socket in arrivals.sockets.values():
            poller.register(socket, zmq.POLLIN)
        while self._ended.fileno() not in (ready := dict(poller.poll())):
            for channel, socket in arrivals.sockets.items():
                if socket not in ready:
                    continue
                if channel == Channel.heartbeat:
                    socket.send_multipart(socket.recv_multipart(), zmq.NOBLOCK)
                else:
                    self._receive(channel, socket)
            if len(arrivals.requests) >= settings.request_high_water_mark:
                self._ended.recv(1)  # more wait in ZMQ, as they would for a kernel that does not read
                return

    def end(self) -> None:
        """Let :meth:`serve` return. Any thread, once."""
        self._end.send(b"\0")

    def hand_over(self) -> Arrivals | None:
        """What there is, once the thread of :meth:`serve` was joined; None if the sockets could not be bound."""
        self._close_pair()
        if self._bound:
            return self._arrivals
        self._arrivals.close()
        return None

    def close(self) -> None:
        """Close all, once the thread of :meth:`serve` was joined, when nobody takes over."""
        self._close_pair()
        self._arrivals.close()

    def _close_pair(self) -> None:
        self._ended.close()
        self._end.close()

    def _receive(self, channel: Channel, socket: zmq.Socket[Any]) -> None:
        """Take one message."""
        arrivals = self._arrivals
        try:
            request = self.codec.decode(socket.recv_multipart(), channel)
        except RemoteError as exc:
            arrivals.rejected.append((channel, exc))
            return
        content = self._answer(request)
        if content is None:
            arrivals.requests.append(request)
            return
        arrivals.answered.append(request.header)
        reply = self.codec.encode(
            request.msg_type.replace("_request", "_reply"), content, parent=request.header, identity=request.identity
        )
        try:
            socket.send_multipart(reply)
        except zmq.ZMQError as exc:
            if exc.errno != errno.EHOSTUNREACH:
                raise
            arrivals.undeliverable += 1

    def _answer(self, request: Request) -> Content | None:
        """The content of the reply; None if the kernel has to give it."""
        if request.msg_type == "kernel_info_request":
            return self._info
        answer = self._answers.get(request.msg_type)
        return None if answer is None or self._arrivals.requests else answer(request.content)


def _as_it_is(socket: zmq.Socket[bytes], settings: IOSettings) -> None:
    """No options."""

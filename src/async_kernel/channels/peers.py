"""Who is connected: a monitor of a bound socket, which tells of clients that come and go.

It serves two ends: a client that TCP has given up because it took nothing is told from one that left, by name; and a
task that has something for a client who is not there yet learns of his coming without touching its own socket (whose
descriptor shows that there is mail, but not which).

ZMQ reports a connection by its file descriptor and, when it ends, by the same number, which may mean something else by
then. So a duplicate is kept meanwhile (Linux, TCP): it has the address, and at the end the kernel's statistics. The
connection itself is ZMQ's, to read, write and shut. One task owns the monitor's socket; it ends when cancelled.
"""

from __future__ import annotations

import os
import socket as sockets
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

import zmq

from async_kernel.platforms.tcp import Untaken, untaken
from async_kernel.transport.owned_socket import OwnedSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.lowlevel import TrioToken

    from async_kernel.channels.complaints import Complaints

__all__ = ["Departure", "Peers"]

_ACCEPTED: Final = int(zmq.EVENT_ACCEPTED)
_READY: Final = int(zmq.EVENT_HANDSHAKE_SUCCEEDED)
_DISCONNECTED: Final = int(zmq.EVENT_DISCONNECTED)
_REFUSED: Final = int(
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_EVENT: Final = struct.Struct("=HI")  # number and value, see zmq_socket_monitor(3)


class Departure(NamedTuple):
    """A client that has disconnected.

    Attributes:
        name: for people.
        untaken: what was left for it, and for how long it had taken nothing.
    """

    name: str
    untaken: Untaken = Untaken()


class Peers:
    """Watches the connections of a bound socket.

    Args:
        socket: whose connections; monitored until :meth:`close`.
        complaints: about connections that are not of our kind (a browser, another key).
        came: called in the loop for each client that is connected and known to the socket.
        gone: called in the loop for each client that has disconnected.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        token: TrioToken,
        complaints: Complaints,
        *,
        came: Callable[[], object] = lambda: None,
        gone: Callable[[Departure], object] | None = None,
    ) -> None:
        self._watched = socket
        self._complaints = complaints
        self._came = came
        self._gone = gone
        self._connections: dict[int, _Connection] = {}
        monitor = socket.get_monitor_socket(_ACCEPTED | _DISCONNECTED | _READY | _REFUSED)
        self._socket = OwnedSocket(monitor, token)

    async def serve(self) -> None:
        """Watch until cancelled."""
        while True:
            while (frames := self._socket.try_receive()) is not None:
                self._handle(*_EVENT.unpack(frames[0]))
            await self._socket.wait()

    def close(self) -> None:
        """Stop monitoring; before the watched socket is closed."""
        self._watched.disable_monitor()
        self._socket.close(0)
        for connection in self._connections.values():
            connection.socket.close()
        self._connections.clear()

    def _handle(self, event: int, value: int) -> None:
        if event == _READY:
            self._came()
        elif event == _ACCEPTED:
            self._remember(value)
        elif event == _DISCONNECTED:
            self._forget(value)
        elif event & _REFUSED:
            self._complaints.add("a connection was refused: it does not speak ZMTP, or not with our key")

    def _remember(self, descriptor: int) -> None:
        if self._gone is None:
            return
        try:
            connection = sockets.socket(fileno=os.dup(descriptor))
        except OSError:
            return  # it has ended already
        self._connections[descriptor] = _Connection(connection, _name(connection))

    def _forget(self, descriptor: int) -> None:
        connection = self._connections.pop(descriptor, None)
        if connection is None or self._gone is None:
            return
        with connection.socket:
            departure = Departure(connection.name, untaken(connection.socket))
        self._gone(departure)


class _Connection(NamedTuple):
    socket: sockets.socket
    name: str


def _name(connection: sockets.socket) -> str:
    try:
        peer = connection.getpeername()
    except OSError:
        return "a client"
    return f"the client at {peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "a client"

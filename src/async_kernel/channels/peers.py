"""Who is connected: a monitor of a bound socket, which tells of clients that come and go.

It serves two ends: a client that takes nothing while output waits for it is found, named and let go; and a task that
has something for a client who is not there yet learns of his coming without touching its own socket (whose descriptor
shows that there is mail, but not which).

ZMQ reports a connection by its file descriptor and, when it ends, by the same number, which may mean something else by
then. So a duplicate is kept meanwhile (Linux, TCP): it has the address, and the system's statistics. The connection
itself is ZMQ's, to read, write and shut. One task owns the monitor's socket; it ends when cancelled.
"""

from __future__ import annotations

import errno
import os
import socket as sockets
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import zmq

from async_kernel.platforms.tcp import Progress, progress
from async_kernel.transport.owned_socket import OwnedSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.lowlevel import TrioToken

    from async_kernel.channels.complaints import Complaints

__all__ = ["Peers"]

_ACCEPTED: Final = int(zmq.EVENT_ACCEPTED)
_READY: Final = int(zmq.EVENT_HANDSHAKE_SUCCEEDED)
_DISCONNECTED: Final = int(zmq.EVENT_DISCONNECTED)
_BROKEN_OFF: Final = int(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
_REFUSED: Final = int(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH)
_EVENT: Final = struct.Struct("=HI")  # number and value, see zmq_socket_monitor(3)


class Peers:
    """Watches the connections of a socket, best from before it is bound: then nobody is missed.

    Args:
        socket: whose connections; monitored until :meth:`close`.
        complaints: about connections that are not of our kind (a browser, another key).
        came: called in the loop for each client that is connected and known to the socket.
        remembers: whether to keep a duplicate of each connection, for :meth:`progress`.

    Attributes:
        all_known: whether every connection could be remembered.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        token: TrioToken,
        complaints: Complaints,
        *,
        came: Callable[[], object] = lambda: None,
        remembers: bool = False,
    ) -> None:
        self._watched = socket
        self._complaints = complaints
        self._came = came
        self._remembers = remembers
        self.all_known: bool = remembers
        self._connections: dict[int, _Connection] = {}
        monitor = socket.get_monitor_socket(_ACCEPTED | _DISCONNECTED | _READY | _BROKEN_OFF | _REFUSED)
        self._socket = OwnedSocket(monitor, token, often=False)

    async def serve(self) -> None:
        """Watch until cancelled."""
        while True:
            while (frames := self._socket.try_receive()) is not None:
                self._handle(*_EVENT.unpack(frames[0]))
            await self._socket.wait()

    def progress(self) -> dict[int, Progress]:
        """How far each client is, where the system tells; the keys are for :meth:`let_go`."""
        found = {key: progress(connection.socket) for key, connection in self._connections.items()}
        return {key: each for key, each in found.items() if each is not None}

    def let_go(self, key: int) -> str:
        """Have ZMQ forget a client; return what he is called.

        His own end is not told: what the system holds for him he gets when he reads again, and then the end of the
        connection. Told at once, he would come back at once, and stall anew.
        """
        connection = self._connections[key]
        with suppress(OSError):  # it has ended meanwhile
            connection.socket.shutdown(sockets.SHUT_RD)
        return connection.name

    def close(self) -> None:
        """Stop monitoring; before the watched socket is closed. Idempotent."""
        if self._socket.socket.closed:
            return
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
        elif event & _BROKEN_OFF:  # a browser gets no other word either, since it waits for ours
            self._complaints.add("a connection ended in its first words: a client that left, or it spoke no ZMTP")

    def _remember(self, descriptor: int) -> None:
        if not self._remembers:
            return
        try:
            connection = sockets.socket(fileno=os.dup(descriptor))
        except OSError as exc:
            self.all_known = self.all_known and exc.errno == errno.EBADF  # it has ended already
            return
        self._connections[descriptor] = _Connection(connection, _name(connection))

    def _forget(self, descriptor: int) -> None:
        if (connection := self._connections.pop(descriptor, None)) is not None:
            connection.socket.close()


class _Connection(NamedTuple):
    socket: sockets.socket
    name: str


def _name(connection: sockets.socket) -> str:
    try:
        peer = connection.getpeername()
    except OSError:
        return "a client"
    return f"the client at {peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "a client"

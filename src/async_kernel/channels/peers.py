"""Who is connected: a monitor of a bound socket, which tells of clients that come and go.

It serves two ends: a warning can name the client that it is about; and a task that has something for a client who is
not there yet learns of his coming without touching its own socket (whose descriptor shows mail, but not which).

ZMQ reports a connection by its file descriptor and, when it ends, by the same number; the address is asked for in
between. One task owns the monitor's socket; it ends when cancelled.
"""

from __future__ import annotations

import os
import socket as sockets
import struct
from typing import TYPE_CHECKING, Final

import zmq

from async_kernel.transport.owned_socket import OwnedSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.lowlevel import TrioToken

    from async_kernel.channels.complaints import Complaints

__all__ = ["Peers"]

_ACCEPTED: Final = int(zmq.EVENT_ACCEPTED)
_DISCONNECTED: Final = int(zmq.EVENT_DISCONNECTED)
_READY: Final = int(zmq.EVENT_HANDSHAKE_SUCCEEDED)
_REFUSED: Final = int(
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_EVENT = struct.Struct("=HI")  # number and value, see zmq_socket_monitor(3)


class Peers:
    """Watches the connections of a bound socket.

    Args:
        socket: whose connections; monitored until :meth:`close`.
        complaints: about connections that are not of our kind (a browser, another key).
        came: called in the loop for each client that is connected and known to the socket.
        gone: called in the loop with the name of each client that has disconnected.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        token: TrioToken,
        complaints: Complaints,
        *,
        came: Callable[[], object] = lambda: None,
        gone: Callable[[str], object] = lambda _name: None,
    ) -> None:
        self._watched = socket
        self._complaints = complaints
        self._came = came
        self._gone = gone
        self._names: dict[int, str] = {}
        monitor = socket.get_monitor_socket(_ACCEPTED | _DISCONNECTED | _READY | _REFUSED)
        self._socket = OwnedSocket(monitor, token)

    async def serve(self) -> None:
        """Watch until cancelled."""
        while True:
            while (frames := self._socket.try_receive()) is not None:
                event, value = _EVENT.unpack(frames[0])
                if event == _ACCEPTED:
                    self._names[value] = _peer_name(value)
                elif event == _READY:
                    self._came()
                elif event == _DISCONNECTED:
                    self._gone(self._names.pop(value, "a client"))
                else:
                    self._complaints.add("a connection was refused: it does not speak ZMTP, or not with our key")
            await self._socket.wait()

    def close(self) -> None:
        """Stop monitoring; before the watched socket is closed."""
        self._watched.disable_monitor()
        self._socket.close(0)


def _peer_name(descriptor: int) -> str:
    """The other end of a connection, as far as it can be had: it may have ended already."""
    try:
        with sockets.socket(fileno=os.dup(descriptor)) as connection:
            name = connection.getpeername()
    except OSError:
        return "a client"
    return f"the client at {name[0]}:{name[1]}" if isinstance(name, tuple) else "a client"

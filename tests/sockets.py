"""ZMQ for tests: a context that owns all sockets made from it, and clients that wait as tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
import zmq

from async_kernel.transport.owned_socket import OwnedSocket

if TYPE_CHECKING:
    from collections.abc import Sequence


class OwningContext(zmq.Context[Any]):
    """Keeps its sockets until :meth:`close`, so that a test need not close each."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        object.__setattr__(self, "_kept", [])

    def socket(self, *args: Any, **kwargs: Any) -> Any:
        socket = super().socket(*args, **kwargs)
        self._kept.append(socket)
        return socket

    def close(self) -> None:
        for socket in self._kept:
            socket.close(linger=0)
        self.term()


class TaskClient:
    """The other end of a connection, for a task in the same loop as what is tested."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        self._owned = OwnedSocket(socket, trio.lowlevel.current_trio_token())

    def send(self, frames: Sequence[bytes]) -> None:
        assert self._owned.try_send(frames)

    async def receive(self) -> list[bytes]:
        """The next message."""
        while (frames := self._owned.try_receive()) is None:
            await self._owned.wait()
        return frames

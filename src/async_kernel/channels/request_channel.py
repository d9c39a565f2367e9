"""A channel of requests and replies; shell and control are two of it. One task owns the ROUTER socket.

Requests are checked (:mod:`~async_kernel.transport.codec`) and handed to ``submit`` in the I/O loop. Whatever else
comes in is reported, a few times per minute at most, and forgotten: the next valid request is served. Replies are
packed in the thread that answers and sent by the owner.

Closing: :meth:`RequestChannel.stop_reading`, and after the last reply :meth:`RequestChannel.finish`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import trio
import zmq

from async_kernel.channels.lookout import STAY_S, Lookout
from async_kernel.transport.codec import RemoteError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from async_kernel.channels.complaints import Complaints
    from async_kernel.protocol.request import Request
    from async_kernel.transport.codec import Codec
    from async_kernel.transport.owned_socket import OwnedSocket
    from async_kernel.typing import Channel, Content

__all__ = ["RequestChannel"]

_BATCH: Final = 64
"""Requests after which replies and other tasks of the I/O loop get their turn: about a millisecond's work."""


class RequestChannel:
    """Owns a ROUTER socket. :meth:`reply`, :meth:`barrier` and :meth:`stop_reading` are for any thread.

    Args:
        submit: called in the I/O loop with every valid request; must not block. What it raises ends the channel.
        lookout: where this waits for answers to what it has handed on; what they come with wakes nobody meanwhile.
    """

    def __init__(
        self,
        channel: Channel,
        socket: OwnedSocket,
        codec: Codec,
        submit: Callable[[Request], object],
        complaints: Complaints,
        lookout: Lookout | None = None,
    ) -> None:
        self._channel: Channel = channel
        self._socket = socket
        self._codec = codec
        self._submit = submit
        self._complaints = complaints
        self._lookout = lookout or Lookout()
        self._replies: deque[list[bytes | memoryview]] = deque()
        self._barriers: deque[Callable[[], object]] = deque()
        self._submitting: int | None = None  # the thread that does
        self._answered = False  # the request that is being submitted
        self._handed_on = False  # a request, since the last stay
        self._sending = False
        self._reading = True
        self._finishing = False
        self._ended = False
        self.undeliverable: int = 0

    async def serve(self) -> None:
        """Serve until :meth:`finish` and all replies are out. Errors of the socket and of ``submit`` go out."""
        socket = self._socket
        until = 0.0
        try:
            while True:
                await self._send_replies()
                if self._finishing:
                    return
                barriers = len(self._barriers)  # one that comes during the reading waits for the next
                if self._reading and not self._read_some():
                    self._lookout.stay(0.0)
                    await trio.lowlevel.checkpoint()
                    continue
                for _ in range(barriers):
                    self._barriers.popleft()()
                until = until or time.perf_counter() + STAY_S  # and not later, before the loop has had its turn
                more = self._lookout.stay(until if self._handed_on else 0.0)
                self._handed_on = False
                if more or self._replies or self._barriers:
                    continue
                await (socket.wait() if self._reading else socket.wait_for_wake())
                until = 0.0
        finally:
            self._ended = True
            self.undeliverable += len(self._replies)

    def reply(
        self,
        request: Request,
        content: Content,
        *,
        metadata: Mapping[str, Any] | None = None,
        buffers: Sequence[bytes | bytearray | memoryview] = (),
    ) -> None:
        """Answer ``request``. Never fails because the client, or the channel, has gone: that is counted.

        Raises:
            LocalError: if it cannot be serialized.
        """
        msg_type = request.msg_type.removesuffix("_request") + "_reply"
        frames = self._codec.encode(
            msg_type, content, parent=request.header, metadata=metadata, identity=request.identity, buffers=buffers
        )
        if self._ended:
            self.undeliverable += 1
            return
        self._replies.append(frames)
        if self._submitting == threading.get_ident():
            self._answered = True  # by the owner, who looks for replies before it sleeps: it need not wake itself
        elif not self._lookout.covers():
            self._socket.wake()

    def barrier(self, fn: Callable[[], object]) -> None:
        """Call ``fn`` in the I/O loop once every request that has arrived by now was submitted."""
        self._barriers.append(fn)
        self._socket.wake()

    def stop_reading(self) -> None:
        """Read no more requests. Idempotent."""
        self._reading = False
        self._socket.wake()

    def finish(self) -> None:
        """Let :meth:`serve` return once the replies that are there have been sent. In the I/O loop."""
        self._reading = False
        self._finishing = True
        self._socket.wake()

    def _read_some(self) -> bool:
        """Submit a batch of requests; whether there are no more."""
        for _ in range(_BATCH):
            frames = self._socket.try_receive_views()
            if frames is None:
                return True
            try:
                request = self._codec.decode(frames, self._channel)
            except RemoteError as exc:
                self._complaints.add(exc)
            else:
                self._lookout.expect()
                self._submitting, self._answered = threading.get_ident(), False
                self._submit(request)
                self._submitting = None
                self._handed_on = self._handed_on or not self._answered
        return False

    def send_what_waits(self) -> None:
        """Send replies for the owner, as far as there is room, if it sleeps. By another task of the I/O loop."""
        if not self._replies or self._sending:
            return
        while self._replies and self._send_first():
            pass
        if self._replies:
            self._socket.wake()  # there is no room: the owner waits for some
        else:
            self._socket.return_to_owner()

    async def _send_replies(self) -> None:
        self._sending = True
        while self._replies:
            if not self._send_first():
                await self._socket.wait_for_room()
        self._sending = False

    def _send_first(self) -> bool:
        """Send the first reply, unless there is no room now; whether it has gone."""
        try:
            if not self._socket.try_send(self._replies[0]):
                return False
        except zmq.ZMQError as exc:
            if exc.errno != zmq.EHOSTUNREACH:
                raise
            self.undeliverable += 1
        self._replies.popleft()
        return True

"""A ZMQ socket with one owner: the only way sockets are used here.

``zmq.FD`` is edge-triggered: it turns readable when the socket's mailbox goes from empty to not empty, and *any* call
on the socket, a send included, may empty the mailbox and so eat the edge. Somebody who then sleeps on the descriptor
sleeps although a message lies in the socket. From this follow the rules:

1. One task owns a socket and does all its receiving and sending. Others put work where the owner looks for it and
   call :meth:`OwnedSocket.wake_soon` (any thread) or :meth:`OwnedSocket.wake` (the owner's loop).
2. Try first, wait second: :meth:`OwnedSocket.try_receive` to None, :meth:`OwnedSocket.try_send`, then
   :meth:`OwnedSocket.wait`.
3. ``wait`` reads ``ZMQ_EVENTS`` (which handles all mail that came meanwhile) after the last send or receive and
   before it sleeps, and sleeps only if no message lies there. After a send that found no room, it is
   :meth:`OwnedSocket.wait_for_room`.
4. It sleeps with ``wait_readable`` only: the descriptor never signals writable; that a peer has made room arrives as
   mail, too. And it is the only place where the owner can be cancelled, so no message is ever half handled.

Whoever made the socket closes it with :meth:`close`, in the same thread, once the owner is gone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import trio
import zmq

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trio.lowlevel import TrioToken

__all__ = ["Frame", "OwnedSocket"]

Frame = bytes | bytearray | memoryview
"""One part of a message."""

# Plain integers: the enum flags of pyzmq cost a Python-level __or__ and an isinstance check in every call.
_NOBLOCK = int(zmq.NOBLOCK)
_SNDMORE = int(zmq.SNDMORE)
_NOBLOCK_MORE = _NOBLOCK | _SNDMORE
_RCVMORE = int(zmq.RCVMORE)
_EVENTS = int(zmq.EVENTS)
_POLLIN = int(zmq.POLLIN)


class OwnedSocket:
    """Sends, receives and waits for one task; woken by anybody.

    Args:
        socket: bound or connected; this object closes it.
        token: of the owner's loop.
    """

    def __init__(self, socket: zmq.Socket[bytes], token: TrioToken) -> None:
        self.socket = socket
        self._token = token
        self._fd = int(socket.FD)
        self._send = socket.send
        self._recv = socket.recv
        self._getsockopt = cast("Callable[[int], int]", socket.getsockopt)
        self._sleep: trio.CancelScope | None = None
        self._woken = False
        self._wake_sent = False

    def try_receive(self) -> list[bytes] | None:
        """The frames of the next message, or None if there is none now. Owner only.

        Raises:
            zmq.ZMQError: if the socket is broken.
        """
        try:
            frames = [self._recv(_NOBLOCK)]
        except zmq.Again:
            return None
        while self._getsockopt(_RCVMORE):
            frames.append(self._recv(_NOBLOCK))
        return frames

    def try_send(self, frames: Sequence[Frame]) -> bool:
        """Send a message; False if the socket cannot take it now, and then nothing of it was sent. Owner only.

        Frames are copied: pyzmq's zero-copy send would start a thread that nobody owns.

        Raises:
            zmq.ZMQError: if the socket is broken; EHOSTUNREACH from a ROUTER whose client has gone, before the first
                frame.
        """
        last = len(frames) - 1
        send = self._send
        try:
            # ZMQ decides at the first frame: room is counted in messages, so the others follow without EAGAIN.
            for frame in frames[:last]:
                send(frame, _NOBLOCK_MORE)
            send(frames[last], _NOBLOCK)
        except zmq.Again:
            return False
        return True

    async def wait(self, *, deadline: float = math.inf) -> None:
        """Sleep until a message is there or :meth:`wake` is called. A checkpoint; may return early. Owner only.

        Args:
            deadline: when to return at the latest, in seconds of the loop's clock.
        """
        if self._woken or self._getsockopt(_EVENTS) & _POLLIN:
            self._woken = False
            await trio.lowlevel.checkpoint()
            return
        await self._sleep_on_descriptor(deadline)

    async def wait_for_room(self, *, deadline: float = math.inf) -> None:
        """Sleep after :meth:`try_send` returned False until it is worth trying again, or :meth:`wake`. Owner only.

        Nothing else may be done with the socket between the two: the send has handled the mail up to its failure, so
        that room made later shows on the descriptor; another call could eat that. (A message that the send's own mail
        handling brought in is found afterwards.)

        Args:
            deadline: when to return at the latest, in seconds of the loop's clock.
        """
        if self._woken:
            self._woken = False
            await trio.lowlevel.checkpoint()
        else:
            await self._sleep_on_descriptor(deadline)
        # Sends look at their mail once in a while only; this looks now.
        self._getsockopt(_EVENTS)

    async def wait_for_wake(self, *, deadline: float = math.inf) -> None:
        """Sleep until :meth:`wake` only: for an owner that no longer reads. A checkpoint. Owner only."""
        if self._woken:
            self._woken = False
            await trio.lowlevel.checkpoint()
            return
        with trio.CancelScope(deadline=deadline) as self._sleep:
            try:
                await trio.sleep_forever()
            finally:
                self._sleep = None
        self._woken = False

    async def _sleep_on_descriptor(self, deadline: float) -> None:
        with trio.CancelScope(deadline=deadline) as self._sleep:
            try:
                await trio.lowlevel.wait_readable(self._fd)
            finally:
                self._sleep = None
        self._woken = False

    def wake(self) -> None:
        """Make the owner's present or next :meth:`wait` return. In the owner's loop only; elsewhere :meth:`wake_soon`."""
        self._wake_sent = False
        self._woken = True
        if self._sleep is not None:
            self._sleep.cancel()

    def wake_soon(self) -> None:
        """Like :meth:`wake`, from any thread and from signal handlers; many calls before the owner runs cost one wake.

        Whatever the owner shall find must be in its place before. After the end of the loop it does nothing.
        """
        if self._wake_sent:
            return
        self._wake_sent = True
        try:
            self._token.run_sync_soon(self.wake, idempotent=True)
        except trio.RunFinishedError:
            return

    def close(self, linger_ms: int) -> None:
        """Close; what is unsent has ``linger_ms`` to leave, for which terminating the context waits. Idempotent."""
        if not self.socket.closed:
            trio.lowlevel.notify_closing(self._fd)
            self.socket.close(linger=linger_ms)

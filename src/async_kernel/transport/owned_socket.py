"""A ZMQ socket with one owner: the only way sockets are used here.

``zmq.FD`` is edge-triggered: it turns readable when the socket's mailbox goes from empty to not empty, and *any* call
on the socket, a send included, may empty the mailbox and so eat the edge. Somebody who then sleeps on the descriptor
sleeps although a message lies in the socket. From this follow the rules:

1. One task owns a socket and does all its receiving and sending. Others put work where the owner looks for it and
   call :meth:`OwnedSocket.wake`, from any thread. Another task of the same loop may send while the owner sleeps in
   :meth:`OwnedSocket.wait`, if it calls :meth:`OwnedSocket.return_to_owner` before its next checkpoint.
2. Try first, wait second: :meth:`OwnedSocket.try_receive` to None, :meth:`OwnedSocket.try_send`, then
   :meth:`OwnedSocket.wait`.
3. ``ZMQ_EVENTS`` is read (which handles all mail that came meanwhile) after the last send or receive and before the
   sleep: by ``wait``, or by a receive that found nothing, if nothing was sent since. It sleeps only if no message lies
   there. After a send that found no room, it is :meth:`OwnedSocket.wait_for_room`.
4. It waits for the descriptor to be readable only: that never signals writable; that a peer has made room arrives as
   mail, too. And waiting is the only place where the owner can be cancelled, so no message is ever half handled.

Whoever made the socket closes it with :meth:`close`, in the same thread, once the owner is gone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import trio
import zmq

from async_kernel.transport.codec import LARGE
from async_kernel.transport.doorbell import make_doorbell

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
_EVENTS = int(zmq.EVENTS)
_POLLIN = int(zmq.POLLIN)

_HEAD = 7
"""Frames of a message before its buffers: identity, delimiter, signature, two headers, metadata, content."""


class OwnedSocket:
    """Sends, receives and waits for one task; woken by anybody.

    Args:
        socket: bound or connected; this object closes it.
        token: of the owner's loop.
        often: whether it is woken often; then it is worth two descriptors more.
    """

    def __init__(self, socket: zmq.Socket[bytes], token: TrioToken, *, often: bool = True) -> None:
        self.socket = socket
        # The send below pyzmq's Python-level one, which has options that we do not use: half the time for a message.
        self._send = cast("Callable[[Frame | zmq.Frame, int], object]", super(zmq.Socket, socket).send)
        self._recv = cast("Callable[..., Any]", super(zmq.Socket, socket).recv)
        self._getsockopt = cast("Callable[[int], int]", socket.getsockopt)
        self._bell = make_doorbell(int(socket.FD), token, often=often)
        self._rung = False
        self._found_empty = False  # at the last look, and nothing was done with it since

    def try_receive(self) -> list[bytes] | None:
        """The frames of the next message, or None if there is none now. Owner only.

        Raises:
            zmq.ZMQError: if the socket is broken.
        """
        return cast("list[bytes] | None", self._try_receive(math.inf))

    def try_receive_views(self) -> list[bytes | memoryview] | None:
        """As :meth:`try_receive`, but large buffers are not copied.

        Frames from the eighth on, which is where the buffers of a message are, come as read-only views of ZMQ's own
        memory if they are large; all others as bytes.
        """
        return self._try_receive(_HEAD)

    def _try_receive(self, head: float) -> list[bytes | memoryview] | None:
        # Asking first costs less than an exception, which nearly every drain would end with.
        self._found_empty = not self._getsockopt(_EVENTS) & _POLLIN
        if self._found_empty:
            return None
        frames: list[bytes | memoryview] = []
        while True:
            # A frame knows whether it is the last one; to ask the socket takes as long as to receive.
            frame: zmq.Frame = self._recv(_NOBLOCK, False)
            # A small view would keep the whole packet alive that it came in.
            large = len(frames) >= head and len(frame) >= LARGE
            frames.append(frame.buffer.toreadonly() if large else frame.bytes)
            if not frame.more:
                return frames

    def try_send(self, frames: Sequence[Frame | zmq.Frame]) -> bool:
        """Send a message; False if the socket cannot take it now, and then nothing of it was sent. Owner only.

        Frames are copied, but for views of ZMQ's own memory: what :meth:`try_receive_views` gave goes out again as it
        is. (For memory of Python's, pyzmq's zero-copy send would start a thread that nobody owns.)

        Raises:
            zmq.ZMQError: if the socket is broken; EHOSTUNREACH from a ROUTER whose client has gone, before the first
                frame.
        """
        last = len(frames) - 1
        if last >= _HEAD:
            frames = [*frames[:_HEAD], *map(_whole_frame, frames[_HEAD:])]
        send = self._send
        self._found_empty = False
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
        if not self._found_empty and self._getsockopt(_EVENTS) & _POLLIN:
            await trio.lowlevel.checkpoint()
        else:
            await self._bell.wait(deadline)
        self._rung = self._found_empty = False

    async def wait_for_room(self, *, deadline: float = math.inf) -> None:
        """Sleep after :meth:`try_send` returned False until it is worth trying again, or :meth:`wake`. Owner only.

        Nothing else may be done with the socket between the two: the send has handled the mail up to its failure, so
        that room made later shows on the descriptor; another call could eat that. (A message that the send's own mail
        handling brought in is found afterwards.)

        Args:
            deadline: when to return at the latest, in seconds of the loop's clock.
        """
        await self._bell.wait(deadline)
        self._rung = self._found_empty = False
        # Sends look at their mail once in a while only; this looks now.
        self._getsockopt(_EVENTS)

    async def wait_for_wake(self, *, deadline: float = math.inf) -> None:
        """Sleep until :meth:`wake` only: for an owner that no longer reads. A checkpoint. Owner only."""
        await self._bell.wait(deadline, bell_only=True)
        self._rung = False

    @property
    def descriptor(self) -> int | None:
        """Readable when :meth:`wait` would return; None where the system has no such thing."""
        return self._bell.descriptor

    def return_to_owner(self) -> None:
        """Another task has sent while the owner slept: if that has eaten the edge of a message, wake him."""
        if self._getsockopt(_EVENTS) & _POLLIN:
            self.wake()

    def wake(self) -> None:
        """Make the owner's present or next wait return. Any thread and signal handlers; after the end it does nothing.

        Whatever the owner shall find must be in its place before. Many calls before the owner runs cost one ring.
        """
        if self._rung:
            return
        self._rung = True
        try:
            self._bell.ring()
        except BaseException:  # an interrupt in this thread: the next call must ring
            self._rung = False
            raise

    def close(self, linger_ms: int) -> None:
        """Close; what is unsent has ``linger_ms`` to leave, for which terminating the context waits. Idempotent."""
        if not self.socket.closed:
            self._bell.close()
            self.socket.close(linger=linger_ms)


def _whole_frame(part: Frame | zmq.Frame) -> Frame | zmq.Frame:
    """ZMQ's own object, if this is a view of all of it: sending that copies nothing."""
    if isinstance(part, memoryview) and isinstance(part.obj, zmq.Frame) and part.nbytes == len(part.obj):
        return part.obj
    return part

"""iopub: the one task that owns the XPUB socket and gives everything its order.

- **Nothing is dropped silently.** ``XPUB_NODROP``: a message that a subscriber has no room for is refused for all, the
  task waits for room, the queue fills, and the cell that prints is held up (:mod:`~async_kernel.channels.output`).
- **A client that stalls does not hold up the kernel for ever.** While output waits for room, the system is asked how
  much every client has taken (Linux, TCP); one that has taken nothing for the declared time is let go, and there is
  room. (``TCP_USER_TIMEOUT`` is not that: it also ends a connection whose client reads, but too little at a time to
  open the whole window.) Where the system does not tell (ipc; other systems), the subscriber is passed over from then
  on: ZMQ leaves out one that was full when a message was sent without ``XPUB_NODROP``, until it reads again. Either way
  there is a warning and a count.
- **The first client misses nothing**: what is published before anybody subscribes is kept for two seconds.
- **Nobody is greeted late**: only a client that subscribes before anything is published reads that the kernel starts.
- **Every subscriber is welcomed** (JEP 65): ``XPUB_VERBOSE`` passes on every subscription, also to a topic that is
  known already; ``iopub_welcome`` goes out on that topic, after which its subscriber gets everything. Who invents
  topics without end is not welcomed.
- **Text is coalesced**: the first write after a silence leaves at once (or when its line is complete), what follows
  at most every 50 ms; any other message takes the text before it along, so all keep their places.

Closing: :meth:`IOPub.finish` lets :meth:`IOPub.serve` return when everything has left; cancelling it gives up the rest.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import trio
import zmq

from async_kernel.channels.lookout import Lookout
from async_kernel.channels.output import WRITE_BYTES, Output, OutputQueue, StreamRun
from async_kernel.transport.codec import LocalError, without_lone_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from async_kernel.channels.complaints import Complaints
    from async_kernel.channels.peers import Peers
    from async_kernel.channels.settings import IOSettings
    from async_kernel.transport.codec import Codec
    from async_kernel.transport.owned_socket import OwnedSocket
    from async_kernel.typing import Content, Header, StreamName

    Parent = Header | Mapping[str, Any] | None

__all__ = ["IOPub", "configure"]

_SUBSCRIBE: Final = b"\x01"
_AT_ONCE: Final = 64
"""Subscriptions after which other tasks of the I/O loop get their turn."""
TOPIC_LIMIT: Final = 1024
"""Bytes of a topic that is welcomed: a comm's has 50."""
TOPICS_LIMIT: Final = 10_000
"""Topics that are welcomed at a time: a client has one, which is empty, or one for each comm that it looks at."""
_BREATHER: Final = 1 << 20
"""Bytes after which other tasks of the I/O loop get their turn: about a millisecond's work."""


def configure(socket: zmq.Socket[bytes], settings: IOSettings) -> None:
    """Set the options of the XPUB socket, before it is bound."""
    socket.setsockopt(zmq.XPUB_VERBOSE, 1)
    socket.setsockopt(zmq.XPUB_NODROP, 1)
    socket.setsockopt(zmq.SNDHWM, settings.output_high_water_mark)


@dataclass(slots=True)
class Losses:
    """What iopub could not deliver since the start.

    Attributes:
        clients: clients dropped, or passed over, because they took nothing for the declared time.
        unsendable: streams that had no JSON form.
        unsent: messages that were on their way when the task was cancelled.
    """

    clients: int = 0
    unsent: int = 0
    unsendable: int = 0


class IOPub:
    """Owns the XPUB socket. :meth:`publish` and :meth:`stream` are for any thread, all else for the I/O loop.

    Args:
        queue: where output waits; it may fill before :meth:`serve` runs.
        peers: watches the socket, and remembers connections.
        greeting: for the first subscriber, if nothing was published before it came. That the kernel starts is no
            longer true afterwards, and qtconsole, if it has sent a cell by then, takes it for the end of a crash.
        lookout: told when this sleeps; then another task of the I/O loop may send for it.
        send_replies: sends the replies of the shell channel that wait; called before output is published.

    Attributes:
        losses: what could not be delivered.
        is_held_up: whether a message waits for the room that some client does not make.
    """

    def __init__(
        self,
        queue: OutputQueue,
        socket: OwnedSocket,
        codec: Codec,
        settings: IOSettings,
        complaints: Complaints,
        peers: Peers,
        greeting: Output | None = None,
        *,
        lookout: Lookout | None = None,
        send_replies: Callable[[], object] = lambda: None,
    ) -> None:
        self._queue = queue
        self._lookout = lookout or Lookout()
        self._send_replies = send_replies
        self._greeting = greeting
        self._socket = socket
        self._codec = codec
        self._settings = settings
        self._complaints = complaints
        self._peers = peers
        self._finishing = False
        self._has_subscribers = False
        self._topics: set[bytes] = set()
        self._text_due = math.inf
        self._last_text = -math.inf
        self._batch: deque[Output | StreamRun] = deque()
        self.losses: Losses = Losses()
        self.is_held_up: bool = False
        self._since_breather = 0

    async def serve(self) -> None:
        """Publish until :meth:`finish`, then what is left; cancelled, give up the rest. Errors of the socket go out."""
        queue, socket = self._queue, self._socket
        queue.attach(socket.wake)
        try:
            await self._wait_for_first_subscriber()
            while True:
                self._lookout.may_look(None)
                queue.owner_looks = True
                self._send_replies()
                await self._welcome_subscribers()
                if queue.has_messages or self._batch or self._finishing or trio.current_time() >= self._text_due:
                    await self._publish_all()
                if self._finishing and queue.is_empty:
                    return
                queue.owner_looks = False
                due = self._next_text()
                if queue.has_messages:  # of a thread that has relied on it
                    await trio.lowlevel.checkpoint()
                    continue
                self._lookout.may_look(self._look)
                await socket.wait(deadline=due)
        finally:
            self._lookout.may_look(None)
            self.losses.unsent = len(self._batch)
            queue.close()

    async def _wait_for_first_subscriber(self) -> None:
        """Keep what is published until somebody listens, for a while.

        A client that starts a kernel connects its sockets one by one, each when it tries again: its first request may
        be here before its subscription. Without this, the first busy and idle would reach nobody.
        """
        until = trio.current_time() + self._settings.first_subscriber_s
        while not self._finishing and not self._queue.is_full and trio.current_time() < until:
            await self._welcome_subscribers()
            if self._has_subscribers:
                if self._greeting is not None and not self._queue.has_messages:
                    await self._send(self._greeting.frames)
                return
            await self._socket.wait(deadline=until)

    def finish(self) -> None:
        """Let :meth:`serve` return once everything has been sent."""
        self._finishing = True
        self._socket.wake()

    # ---- in order

    def _next_text(self) -> float:
        """When to send the text that waits: the deadline of the next wait."""
        queue = self._queue
        queue.rest(wake_for_text=True)
        if queue.is_empty:
            self._text_due = math.inf
            return math.inf
        queue.rest(wake_for_text=False)  # also when it was due before: otherwise each write would ring until then
        if self._text_due == math.inf:
            now = trio.current_time()
            soon = self._last_text + self._settings.stream_interval_s
            if soon > now:
                self._text_due = soon
            else:
                self._text_due = now if queue.ends_a_line() else now + self._settings.stream_line_s
        return self._text_due

    async def _publish_all(self) -> None:
        self._text_due = math.inf
        batch = self._batch
        batch += self._queue.take()
        while batch:
            self._send_messages(batch)
            if batch:
                await self._publish(batch[0])
                batch.popleft()

    def _look(self) -> None:
        """Send the messages that wait, as far as there is room, while the owner sleeps; it is woken for all else.

        It may come again before the owner has woken, which then finds all that was left, in order, in the batch. Text
        after the last message is the owner's: it was rung for, or has a time.
        """
        self._send_replies()
        if self._queue.has_messages:
            self._batch += self._queue.take(last_text=False)
            self._send_messages(self._batch)
            self._socket.return_to_owner()
            if self._batch:
                self._socket.wake()

    def _send_messages(self, batch: deque[Output | StreamRun]) -> None:
        """Send the messages in front, without a coroutine for each: up to text, a breather, or one without room."""
        size, left = 0, _BREATHER - self._since_breather
        while batch and size < left:
            item = batch[0]
            if isinstance(item, StreamRun) or item.call is not None or not self._socket.try_send(item.frames):
                break
            size += item.size
            batch.popleft()
        self._since_breather += size
        self._queue.sent(size)

    async def _publish(self, item: Output | StreamRun) -> None:
        if isinstance(item, StreamRun):
            texts = item.drain()
            await self._send_text(item.name, "".join(texts), item.parent)
            self._queue.sent(WRITE_BYTES * len(texts))  # what the chunks did not account for
            self._last_text = trio.current_time()
            return
        if item.call is not None:
            item.call()
        else:
            await self._send(item.frames)
        self._queue.sent(item.size)

    async def _send_text(self, name: StreamName, text: str, parent: Parent) -> None:
        for chunk in _chunks(text, self._settings.chunk_chars):
            try:
                content: Content = {"name": name, "text": chunk}
                frames = self._codec.encode("stream", content, parent=parent, identity=(b"stream." + name.encode(),))
            except LocalError as exc:
                self.losses.unsendable += 1
                self._complaints.tell(f"output to {name} was lost: {exc}")
            else:
                await self._send(frames)
            self._queue.sent(len(chunk))

    async def _send(self, frames: Sequence[bytes | memoryview]) -> None:
        self._since_breather += sum(map(len, frames))
        if self._since_breather >= _BREATHER:
            self._since_breather = 0
            await trio.lowlevel.checkpoint()
        if not self._socket.try_send(frames):
            await self._send_when_there_is_room(frames)

    async def _send_when_there_is_room(self, frames: Sequence[bytes | memoryview]) -> None:
        self.is_held_up = True
        try:
            await self._wait_for_room(frames)
        finally:
            self.is_held_up = False

    async def _wait_for_room(self, frames: Sequence[bytes | memoryview]) -> None:
        socket, patience_s = self._socket, self._settings.stalled_client_s
        before, until = self._peers.progress(), trio.current_time() + patience_s
        while True:
            await socket.wait_for_room(deadline=until)
            if socket.try_send(frames):
                return
            if trio.current_time() < until:
                continue
            now = self._peers.progress()
            stalled = [
                key for key, each in now.items() if each.waiting and key in before and each.taken == before[key].taken
            ]
            for key in stalled:
                left = f"{now[key].waiting} bytes and up to {self._settings.output_high_water_mark} messages"
                self._note_dropped(
                    f"{self._peers.let_go(key)} took no output for {patience_s:.3g} s and was dropped "
                    f"({left} were not sent)"
                )
            if not stalled and not (now and self._peers.all_known):
                self._pass_over(frames)
                return
            before, until = now, trio.current_time() + patience_s

    def _pass_over(self, frames: Sequence[bytes | memoryview]) -> None:
        """Send without those that have no room; who they are is not known."""
        socket = self._socket
        socket.socket.setsockopt(zmq.XPUB_NODROP, 0)
        socket.try_send(frames)
        socket.socket.setsockopt(zmq.XPUB_NODROP, 1)
        self._note_dropped(
            f"a client took no output for {self._settings.stalled_client_s:g} s and is passed over until it reads again"
        )

    def _note_dropped(self, what: str) -> None:
        self.losses.clients += 1
        self._complaints.tell(what)

    # ---- subscribers

    async def _welcome_subscribers(self) -> None:
        """Answer every subscription that has come in."""
        answered = 0
        while (frames := self._socket.try_receive()) is not None:
            answered += 1
            if answered % _AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
            topic = frames[0][1:]
            if not frames[0].startswith(_SUBSCRIBE):
                self._topics.discard(topic)  # nobody has it any more
                continue
            self._has_subscribers = True
            if len(topic) > TOPIC_LIMIT or (topic not in self._topics and len(self._topics) >= TOPICS_LIMIT):
                self._complaints.add(
                    f"a subscription of {len(topic)} bytes was not welcomed; there are {len(self._topics)} topics "
                    f"(at most {TOPICS_LIMIT}, of {TOPIC_LIMIT} bytes)"
                )
                continue
            self._topics.add(topic)
            content: Content = {"subscription": topic.decode(errors="replace")}
            await self._send(self._codec.encode("iopub_welcome", content, parent=None, identity=(topic,)))


def message(
    codec: Codec,
    msg_type: str,
    content: Content,
    *,
    parent: Parent,
    metadata: Mapping[str, Any] | None = None,
    buffers: Sequence[bytes | bytearray | memoryview] = (),
    topic: bytes | None = None,
) -> Output:
    """A message for an :class:`OutputQueue`, serialized and signed. Any thread.

    ``topic`` is the first frame, which subscriptions are compared with; by default ``kernel.<msg_type>``. The rest is
    as for :meth:`Codec.encode`.

    Raises:
        LocalError: if it cannot be serialized.
    """
    identity = (b"kernel." + msg_type.encode() if topic is None else topic,)
    frames = codec.encode(msg_type, content, parent=parent, metadata=metadata, identity=identity, buffers=buffers)
    awaited = msg_type == "status" and content.get("execution_state") == "idle"
    return Output(frames, parent=parent, awaited=awaited)


def _chunks(text: str, size: int) -> Iterator[str]:
    """``text`` in pieces of at most ``size`` bytes of UTF-8, more or less, that can be encoded."""
    if len(text) * (1 if text.isascii() else 4) <= size:
        yield text
        return
    text = without_lone_surrogates(text)
    step = size if text.isascii() else size // 4
    for start in range(0, len(text), step):
        yield text[start : start + step]

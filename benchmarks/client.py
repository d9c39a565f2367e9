"""The client that measures: raw pyzmq, the same for every kernel, doing as little as a client can.

It signs what it sends (kernels insist) and parses what it must to know which request a message belongs to;
it does not verify signatures, so that its own share of a round trip stays small. Queues on its side are
unbounded: a message that does not arrive was lost by the kernel.

One thread uses a client; :meth:`Client.close` must be called by whoever made it.
"""

from __future__ import annotations

import hmac
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import orjson
import zmq

from benchmarks.errors import NoAnswerError, WrongAnswerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.connection import Connection

__all__ = ["Cell", "ChannelName", "Client", "Message"]

ChannelName = Literal["shell", "control"]

DELIMITER = b"<IDS|MSG>"
ANSWER_TIMEOUT = 10.0
"""Seconds after which a kernel is given up: far above every figure that is of interest, and some do hang."""


@dataclass(slots=True)
class Message:
    """A received message; parsed where it is looked at, and only that part."""

    frames: list[bytes]
    """From the signature on: signature, header, parent header, metadata, content, buffers."""

    @property
    def msg_type(self) -> str:
        return orjson.loads(self.frames[1])["msg_type"]

    @property
    def parent_id(self) -> str:
        # Some kernels write null where there is no parent.
        parent: dict[str, Any] | None = orjson.loads(self.frames[2])
        return parent.get("msg_id", "") if parent else ""

    @property
    def content(self) -> dict[str, Any]:
        return orjson.loads(self.frames[4])

    @property
    def buffers(self) -> list[bytes]:
        return self.frames[5:]

    @property
    def is_idle(self) -> bool:
        # The cheap look first: most messages are not a status.
        return b"idle" in self.frames[4][:100] and self.msg_type == "status"


@dataclass(slots=True)
class Cell:
    """What came back for one request. Times are :func:`time.perf_counter`, seconds."""

    sent: float
    replied: float = 0.0
    finished: float = 0.0
    reply: dict[str, Any] = field(default_factory=dict[str, Any])
    outputs: list[Message] = field(default_factory=list[Message])
    saw_idle: bool = False

    def text(self) -> str:
        """All that it wrote to stdout."""
        streams = [m.content for m in self.outputs if m.msg_type == "stream"]
        return "".join(s["text"] for s in streams if s["name"] == "stdout")


class Client:
    """A front-end's four sockets (and, for requests that ask for it, nobody answers stdin)."""

    def __init__(self, connection: Connection, *, context: zmq.Context[zmq.Socket[bytes]] | None = None) -> None:
        self._key = connection.key.encode()
        self._session = uuid.uuid4().hex
        self._count = 0
        self._context = context or zmq.Context()
        self._owns_context = context is None
        self.shell = self._open(zmq.DEALER, connection.url("shell"))
        self.control = self._open(zmq.DEALER, connection.url("control"))
        self.heartbeat = self._open(zmq.DEALER, connection.url("hb"))
        self.iopub = self._open(zmq.SUB, connection.url("iopub"))
        self.iopub.subscribe(b"")

    def _open(self, kind: int, url: str) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.linger = 0
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.setsockopt(zmq.SNDHWM, 0)
        # A kernel that is starting is found within two milliseconds; ZMQ's default of 100 would blur every start.
        socket.setsockopt(zmq.RECONNECT_IVL, 2)
        if kind == zmq.DEALER:
            socket.setsockopt(zmq.IDENTITY, self._session.encode())
        socket.connect(url)
        return socket

    def close(self) -> None:
        """Close all sockets; what was not sent is dropped."""
        for socket in (self.shell, self.control, self.heartbeat, self.iopub):
            socket.close()
        if self._owns_context:
            self._context.term()

    # Sending

    def send(
        self,
        msg_type: str,
        content: dict[str, Any],
        *,
        channel: ChannelName = "shell",
        buffers: Sequence[bytes] = (),
        **extra_header: object,
    ) -> str:
        """Send a request and return its ``msg_id``."""
        self._count += 1
        msg_id = f"{self._session}_{self._count}"
        header = {
            "msg_id": msg_id,
            "msg_type": msg_type,
            "session": self._session,
            "username": "bench",
            "date": datetime.now(UTC).isoformat(),
            "version": "5.5",
            **extra_header,
        }
        parts = [orjson.dumps(header), b"{}", b"{}", orjson.dumps(content)]
        signature = hmac.digest(self._key, b"".join(parts), "sha256").hex().encode()
        socket = self.shell if channel == "shell" else self.control
        socket.send_multipart([DELIMITER, signature, *parts, *buffers], copy=not buffers)
        return msg_id

    def send_cell(self, code: str, *, silent: bool = False) -> str:
        """Send an execute_request as a notebook does: with history and without stdin."""
        return self.send(
            "execute_request",
            {
                "code": code,
                "silent": silent,
                "store_history": not silent,
                "user_expressions": {},
                "allow_stdin": False,
                "stop_on_error": True,
            },
        )

    # Receiving

    def receive(self, socket: zmq.Socket[bytes], deadline: float) -> Message:
        """The next message of a socket.

        Raises:
            NoAnswerError: if none came before ``deadline`` (:func:`time.perf_counter`, seconds).
        """
        while True:
            try:
                frames = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                left = deadline - time.perf_counter()
                if left <= 0 or not socket.poll(int(left * 1000) + 1):
                    raise NoAnswerError("no answer in time") from None
                continue
            return Message(frames[frames.index(DELIMITER) + 1 :])

    def reply_to(
        self, msg_id: str, *, channel: ChannelName = "shell", timeout: float = ANSWER_TIMEOUT
    ) -> dict[str, Any]:
        """The content of the reply to ``msg_id``; replies to others are dropped."""
        deadline = time.perf_counter() + timeout
        socket = self.shell if channel == "shell" else self.control
        while True:
            message = self.receive(socket, deadline)
            if message.parent_id == msg_id:
                return message.content

    def outputs_until_idle(self, msg_id: str, *, timeout: float = ANSWER_TIMEOUT) -> list[Message]:
        """What was published for ``msg_id``, up to the status that ends it."""
        deadline = time.perf_counter() + timeout
        messages: list[Message] = []
        while True:
            message = self.receive(self.iopub, deadline)
            if message.parent_id == msg_id:
                if message.is_idle:
                    return messages
                messages.append(message)

    # Whole exchanges

    def round_trip(self, msg_type: str, content: dict[str, Any], *, channel: ChannelName = "shell") -> float:
        """Seconds from sending a request to having both its reply and its ``idle``."""
        started = time.perf_counter()
        msg_id = self.send(msg_type, content, channel=channel)
        self.reply_to(msg_id, channel=channel)
        self.outputs_until_idle(msg_id)
        return time.perf_counter() - started

    def request(
        self, msg_type: str, content: dict[str, Any], *, channel: ChannelName = "shell", timeout: float = ANSWER_TIMEOUT
    ) -> tuple[float, dict[str, Any]]:
        """Seconds from sending a request to its reply, and the reply; what it publishes is left unread."""
        started = time.perf_counter()
        msg_id = self.send(msg_type, content, channel=channel)
        reply = self.reply_to(msg_id, channel=channel, timeout=timeout)
        return time.perf_counter() - started, reply

    def run(self, code: str, *, silent: bool = False, timeout: float = ANSWER_TIMEOUT) -> Cell:
        """Run a cell that must succeed, and wait for all that it publishes.

        Raises:
            NoAnswerError: without reply or ``idle`` in time.
            WrongAnswerError: if the cell did not end well.
        """
        cell = self.collect(self.send_cell(code, silent=silent), time.perf_counter(), timeout=timeout)
        if not cell.saw_idle:
            raise NoAnswerError("its idle status never came")
        return cell

    def collect(self, msg_id: str, sent: float, *, timeout: float = ANSWER_TIMEOUT, quiet: float = 2.0) -> Cell:
        """Read both channels until a sent cell has its reply and its ``idle``.

        A kernel that drops messages may drop the ``idle`` as well: after the reply, ``quiet`` seconds
        without a message end the wait, and ``saw_idle`` is False.

        Raises:
            NoAnswerError: without a reply in time.
            WrongAnswerError: if the reply's status is not ``ok``.
        """
        cell = Cell(sent)
        deadline = sent + timeout
        poller = zmq.Poller()
        poller.register(self.shell, zmq.POLLIN)
        poller.register(self.iopub, zmq.POLLIN)
        while not (cell.replied and cell.saw_idle):
            now = time.perf_counter()
            if now > deadline:
                raise NoAnswerError("no answer in time")
            ready = dict(poller.poll(int(min(quiet if cell.replied else timeout, deadline - now) * 1000) + 1))
            if not ready and cell.replied:
                return cell
            for socket in ready:
                for message in self.drain(socket):
                    if message.parent_id != msg_id:
                        continue
                    cell.finished = time.perf_counter()
                    if socket is self.shell:
                        cell.replied, cell.reply = cell.finished, message.content
                    elif message.is_idle:
                        cell.saw_idle = True
                    else:
                        cell.outputs.append(message)
        if cell.reply.get("status") != "ok":
            raise WrongAnswerError(f"the cell ended with {cell.reply.get('ename') or cell.reply.get('status')}")
        return cell

    def drain(self, socket: zmq.Socket[bytes]) -> list[Message]:
        """All that has arrived on a socket, without waiting."""
        messages: list[Message] = []
        while True:
            try:
                frames = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return messages
            messages.append(Message(frames[frames.index(DELIMITER) + 1 :]))

    def ping(self, *, timeout: float = ANSWER_TIMEOUT) -> float:
        """Seconds that the heartbeat took to come back."""
        started = time.perf_counter()
        self.heartbeat.send_multipart([b"", b"ping"])
        if not self.heartbeat.poll(int(timeout * 1000)):
            raise NoAnswerError("no heartbeat in time")
        self.heartbeat.recv_multipart()
        return time.perf_counter() - started

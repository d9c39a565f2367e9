"""stdin: questions to a client, and finding out which question a reply answers. One task owns the ROUTER socket.

A question goes to the client whose request asks it, under the identity of that request (clients use one identity for
shell and stdin). A client that has not connected its stdin yet gets the question when it does: ZMQ tells us that it
does not know the identity, and :meth:`Stdin.client_came` is called (by a monitor, :mod:`~async_kernel.channels.peers`)
when somebody connects.

A reply must come from the client that was asked, and

- names the ``input_request`` in its parent header: it answers that question;
- names the request that asks: the oldest question of that request;
- has no parent header (jupyter_client, so jupyter console): the oldest question that the client was asked.

Anything else is stale (its question was withdrawn) and is dropped. A question is withdrawn when its answer is completed
by somebody else, an interrupt for instance. At the end of the channel all questions fail with
:class:`StdinClosedError`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zmq

from async_kernel.transport.codec import RemoteError
from async_kernel.typing import Channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from async_kernel.channels.complaints import Complaints
    from async_kernel.protocol.request import Request
    from async_kernel.protocol.wire import InputWaiter
    from async_kernel.transport.codec import Codec
    from async_kernel.transport.owned_socket import OwnedSocket
    from async_kernel.typing import Content

__all__ = ["Question", "Stdin", "StdinClosedError"]


class StdinClosedError(EOFError):
    """Nobody can answer any more: the kernel is closing."""


@dataclass(slots=True, eq=False)
class Question:
    """An ``input_request``, ready to be sent.

    Attributes:
        msg_id: of the input_request.
        asked: whether it has been sent.
    """

    request: Request
    msg_id: str
    frames: list[bytes | memoryview]
    answer: InputWaiter
    asked: bool = False


class Stdin:
    """Owns the stdin socket. :meth:`question` is for any thread, all else for the I/O loop."""

    def __init__(self, socket: OwnedSocket, codec: Codec, complaints: Complaints) -> None:
        self._socket = socket
        self._codec = codec
        self._complaints = complaints
        self._questions: deque[Question] = deque()
        self._finishing = False
        self._ended = False
        self.stale: int = 0

    def question(self, request: Request, prompt: str, answer: InputWaiter, *, password: bool) -> Question:
        """Make a question for :meth:`ask`. Any thread.

        Raises:
            LocalError: if it cannot be serialized.
        """
        header = self._codec.header("input_request")
        content: Content = {"prompt": prompt, "password": password}
        frames = self._codec.encode(
            "input_request", content, parent=request.header, identity=request.identity, header=header
        )
        return Question(request, header["msg_id"], frames, answer)

    def ask(self, question: Question) -> None:
        """Send it; its answer is completed with what the user typed, or with :class:`StdinClosedError`."""
        if self._ended:
            question.answer.set_exception(_closed())
            return
        self._questions.append(question)
        # Completed by anybody: withdrawn. The owner looks through its questions whenever it wakes.
        question.answer.add_done_callback(self._one_is_done)
        self._socket.wake()

    async def serve(self) -> None:
        """Ask and match until :meth:`finish`. Errors of the socket go out."""
        try:
            while not self._finishing:
                self._read_replies()  # first: it also makes new clients known
                self._drop_answered()
                self._send_questions()
                await self._socket.wait()
        finally:
            self._ended = True
            for question in self._questions:
                question.answer.set_exception(_closed())
            self._questions.clear()

    def client_came(self) -> None:
        """Somebody has connected: perhaps the one that a question waits for."""
        self._socket.wake()

    def finish(self) -> None:
        """Let :meth:`serve` return; questions without an answer fail."""
        self._finishing = True
        self._socket.wake()

    def _one_is_done(self, _answer: object) -> None:
        self._socket.wake()

    def _drop_answered(self) -> None:
        if any(question.answer.done() for question in self._questions):
            self._questions = deque(question for question in self._questions if not question.answer.done())

    def _send_questions(self) -> None:
        for question in self._questions:
            if question.asked:
                continue
            try:
                question.asked = self._socket.try_send(question.frames)
            except zmq.ZMQError as exc:
                if exc.errno != zmq.EHOSTUNREACH:
                    raise
                self._complaints.tell("a cell asks for input; waiting for its client to connect its stdin channel")

    def _read_replies(self) -> None:
        while (frames := self._socket.try_receive()) is not None:
            try:
                self._answer(self._codec.decode(frames, Channel.stdin))
            except RemoteError as exc:
                self._complaints.add(exc)

    def _answer(self, reply: Request) -> None:
        if reply.msg_type != "input_reply":
            msg = f"a {reply.msg_type} came in on stdin; only input_reply belongs there"
            raise RemoteError(msg)
        question = self._asked(reply.identity, reply.parent_header.get("msg_id"))
        if question is None:
            self.stale += 1
            return
        value = reply.content.get("value")
        if not isinstance(value, str):
            msg = f"the value of an input_reply is a {type(value).__name__}, not a string"
            raise RemoteError(msg)
        self._questions.remove(question)
        question.answer.set_result(value)

    def _asked(self, identity: Sequence[bytes], parent_id: object) -> Question | None:
        """The question that a reply answers."""
        client = list(identity)
        mine = [q for q in self._questions if q.asked and not q.answer.done() and list(q.request.identity) == client]
        if parent_id:
            exact = [q for q in mine if q.msg_id == parent_id]
            mine = exact or [q for q in mine if q.request.msg_id == parent_id]
        return mine[0] if mine else None


def _closed() -> StdinClosedError:
    return StdinClosedError("the kernel is closing")

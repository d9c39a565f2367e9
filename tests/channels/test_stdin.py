from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import trio
import zmq
from jupyter_client.session import Session

from async_kernel.channels.complaints import Complaints
from async_kernel.channels.routers import configure_router
from async_kernel.channels.settings import IOSettings
from async_kernel.channels.stdin import Stdin, StdinClosedError
from async_kernel.protocol.request import Request
from async_kernel.transport.codec import Codec
from async_kernel.transport.owned_socket import OwnedSocket
from async_kernel.typing import Channel
from tests.sockets import TaskClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.sockets import OwningContext


class Answer:
    """A one-shot result of our own, as :class:`InputWaiter` asks for it."""

    def __init__(self) -> None:
        self.outcome: Any = None
        self._callbacks: list[Callable[[Any], object]] = []

    def set_result(self, value: str, /) -> None:
        self._complete(value)

    def set_exception(self, exc: BaseException, /) -> None:
        self._complete(exc)

    def done(self) -> bool:
        return self.outcome is not None

    def add_done_callback(self, fn: Callable[[Any], object], /) -> None:
        self._callbacks.append(fn)

    def _complete(self, outcome: Any) -> None:
        if self.outcome is None:
            self.outcome = outcome
            for callback in self._callbacks:
                callback(self)


@dataclass
class Rig:
    context: OwningContext
    stdin: Stdin
    session: Session = field(default_factory=lambda: Session(key=b"key"))

    async def client(self, identity: bytes = b"client") -> TaskClient:
        socket = self.context.socket(zmq.DEALER)
        socket.identity = identity
        socket.connect("inproc://stdin")
        await trio.testing.wait_all_tasks_blocked()
        return TaskClient(socket)

    def ask(self, prompt: str, identity: bytes = b"client", msg_id: str = "cell", *, password: bool = False) -> Answer:
        header: Any = {"msg_id": msg_id, "msg_type": "execute_request", "session": "s", "username": "", "date": ""}
        request = Request(
            channel=Channel.shell, header=header, parent_header={}, metadata={}, content={}, identity=(identity,)
        )
        answer = Answer()
        self.stdin.ask(self.stdin.question(request, prompt, answer, password=password))
        return answer

    async def asked(self, client: TaskClient) -> dict[str, Any]:
        return self.session.deserialize(self.session.feed_identities(await client.receive())[1])

    async def answer(
        self, client: TaskClient, value: Any, parent: dict[str, Any] | None = None, **content: Any
    ) -> None:
        message = self.session.msg("input_reply", {"value": value, **content}, parent=parent)
        client.send(self.session.serialize(message))
        await trio.testing.wait_all_tasks_blocked()


@asynccontextmanager
async def serving(context: OwningContext) -> AsyncIterator[Rig]:
    socket = context.socket(zmq.ROUTER)
    configure_router(socket, IOSettings())
    socket.bind("inproc://stdin")
    owned = OwnedSocket(socket, trio.lowlevel.current_trio_token())
    stdin = Stdin(owned, Codec(Session(key=b"key")), Complaints(logging.getLogger("test"), "stdin channel"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stdin.serve)
        yield Rig(context, stdin)
        stdin.finish()


@pytest.mark.trio
async def test_the_client_that_is_asked_answers(context: OwningContext) -> None:
    async with serving(context) as rig:
        client = await rig.client()
        answer = rig.ask("name? ", password=True)
        question = await rig.asked(client)
        await rig.answer(client, "Ada", question["header"])
    assert (question["msg_type"], question["content"], question["parent_header"]["msg_id"], answer.outcome) == (
        "input_request",
        {"prompt": "name? ", "password": True},
        "cell",
        "Ada",
    )


@pytest.mark.trio
@pytest.mark.parametrize("parent", [None, {"msg_id": "cell"}])
async def test_a_reply_without_our_header_answers_too(context: OwningContext, parent: dict[str, Any] | None) -> None:
    async with serving(context) as rig:
        client = await rig.client()
        answer = rig.ask("? ")
        await rig.asked(client)
        await rig.answer(client, "x", parent)
    assert answer.outcome == "x"


@pytest.mark.trio
async def test_replies_find_their_questions_in_any_order(context: OwningContext) -> None:
    async with serving(context) as rig:
        client = await rig.client()
        first, second = rig.ask("1", msg_id="one"), rig.ask("2", msg_id="two")
        one, two = await rig.asked(client), await rig.asked(client)
        await rig.answer(client, "second", two["header"])
        await rig.answer(client, "first", one["header"])
    assert (first.outcome, second.outcome) == ("first", "second")


@pytest.mark.trio
async def test_a_late_reply_does_not_answer_the_next_question(context: OwningContext) -> None:
    async with serving(context) as rig:
        client = await rig.client()
        withdrawn = rig.ask("1")
        old = await rig.asked(client)
        withdrawn.set_exception(KeyboardInterrupt())
        await rig.answer(client, "late, nobody asks")
        answer = rig.ask("2")
        question = await rig.asked(client)
        await rig.answer(client, "late", old["header"])
        late = answer.outcome
        await rig.answer(client, "in time", question["header"])
    assert (late, answer.outcome, rig.stdin.stale) == (None, "in time", 2)


@pytest.mark.trio
async def test_another_client_cannot_answer(context: OwningContext) -> None:
    async with serving(context) as rig:
        client, other = await rig.client(), await rig.client(b"other")
        answer = rig.ask("? ")
        question = await rig.asked(client)
        await rig.answer(other, "stolen", question["header"])
        await rig.answer(other, "stolen")
        stolen = answer.outcome
        await rig.answer(client, "mine")
    assert (stolen, answer.outcome) == (None, "mine")


@pytest.mark.trio
async def test_a_client_that_connects_later_is_asked_then(context: OwningContext) -> None:
    async with serving(context) as rig:
        answer = rig.ask("? ")
        await trio.testing.wait_all_tasks_blocked()
        client = await rig.client()
        rig.stdin.client_came()
        question = await rig.asked(client)
        await rig.answer(client, "here I am", question["header"])
    assert answer.outcome == "here I am"


@pytest.mark.trio
async def test_bad_replies_are_reported_and_the_question_stays(
    context: OwningContext, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(context) as rig:
        client = await rig.client()
        answer = rig.ask("? ")
        question = await rig.asked(client)
        await rig.answer(client, 5, question["header"])
        client.send([b"garbage"])
        client.send(rig.session.serialize(rig.session.msg("execute_request", {"code": "1"})))
        await rig.answer(client, "good", question["header"])
    assert answer.outcome == "good"
    assert caplog.messages == [
        "stdin channel: the value of an input_reply is a int, not a string",
    ]


@pytest.mark.trio
async def test_at_the_end_questions_fail(context: OwningContext) -> None:
    async with serving(context) as rig:
        await rig.client()
        answer = rig.ask("? ")
        await trio.testing.wait_all_tasks_blocked()
    late = rig.ask("? ")
    assert [type(a.outcome) for a in (answer, late)] == [StdinClosedError, StdinClosedError]

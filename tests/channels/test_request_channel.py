from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import trio
import zmq
from jupyter_client.session import DELIM, Session

from async_kernel.channels.complaints import Complaints
from async_kernel.channels.lookout import Lookout
from async_kernel.channels.request_channel import _BATCH, RequestChannel
from async_kernel.channels.routers import configure_router
from async_kernel.channels.settings import IOSettings
from async_kernel.transport.codec import Codec, LocalError
from async_kernel.transport.owned_socket import OwnedSocket
from async_kernel.typing import Channel
from tests.sockets import TaskClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from async_kernel.protocol.request import Request
    from tests.sockets import OwningContext


@dataclass
class Rig:
    """A shell channel that answers nothing by itself, and what it submitted."""

    context: OwningContext
    channel: RequestChannel
    submitted: list[Request] = field(default_factory=list)
    session: Session = field(default_factory=lambda: Session(key=b"key"))

    def client(self, identity: bytes = b"client") -> TaskClient:
        socket = self.context.socket(zmq.DEALER)
        socket.identity = identity
        socket.connect("inproc://shell")
        return TaskClient(socket)

    def frames(self, msg_type: str = "kernel_info_request", **content: Any) -> list[bytes]:
        return self.session.serialize(self.session.msg(msg_type, content))

    def reply_in(self, frames: list[bytes]) -> dict[str, Any]:
        return self.session.deserialize(self.session.feed_identities(frames)[1])


@asynccontextmanager
async def serving(
    context: OwningContext, *, at_once: bool = False, lookout: Lookout | None = None
) -> AsyncIterator[Rig]:
    """A channel that serves; with ``at_once``, requests are answered while they are submitted."""
    socket = context.socket(zmq.ROUTER)
    configure_router(socket, IOSettings())
    socket.bind("inproc://shell")
    owned = OwnedSocket(socket, trio.lowlevel.current_trio_token())
    submitted: list[Request] = []
    complaints = Complaints(logging.getLogger("test"), "shell channel")

    def submit(request: Request) -> None:
        submitted.append(request)
        if at_once:
            channel.reply(request, {"status": "ok"})

    channel = RequestChannel(Channel.shell, owned, Codec(Session(key=b"key")), submit, complaints, lookout)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.serve)
        yield Rig(context, channel, submitted)
        channel.finish()


@pytest.mark.trio
async def test_a_request_is_submitted_and_its_reply_sent(context: OwningContext) -> None:
    async with serving(context) as rig:
        client = rig.client()
        client.send(rig.frames("kernel_info_request", a=1))
        await trio.testing.wait_all_tasks_blocked()
        request = rig.submitted[0]
        rig.channel.reply(request, {"status": "ok"}, metadata={"m": 1}, buffers=[b"raw"])
        reply = rig.reply_in(await client.receive())
    assert (request.channel, request.content) == (Channel.shell, {"a": 1})
    assert (
        reply["msg_type"],
        reply["content"],
        reply["metadata"],
        reply["parent_header"]["msg_id"],
        [bytes(buffer) for buffer in reply["buffers"]],
    ) == ("kernel_info_reply", {"status": "ok"}, {"m": 1}, request.msg_id, [b"raw"])


@pytest.mark.trio
async def test_replies_from_other_threads_go_out_in_order(context: OwningContext) -> None:
    async with serving(context) as rig:
        client = rig.client()
        client.send(rig.frames())
        await trio.testing.wait_all_tasks_blocked()

        def answer() -> None:
            for number in range(100):
                rig.channel.reply(rig.submitted[0], {"number": number})

        await trio.to_thread.run_sync(answer)
        numbers = [rig.reply_in(await client.receive())["content"]["number"] for _ in range(100)]
    assert numbers == list(range(100))


@pytest.mark.trio
async def test_an_answer_at_once_is_sent_and_wakes_nobody(
    context: OwningContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    wakes: list[OwnedSocket] = []
    async with serving(context, at_once=True) as rig:
        with monkeypatch.context() as patched:
            patched.setattr(OwnedSocket, "wake", wakes.append)
            client = rig.client()
            client.send(rig.frames())
            reply = rig.reply_in(await client.receive())
    assert (reply["content"], wakes) == ({"status": "ok"}, [])


class FakeLookout(Lookout):
    """Notes the stays, whether there was time, and how often it was told to expect something before.

    In one that has time, the kernel answers what was submitted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.expected = 0
        self.stays: list[tuple[int, bool]] = []
        self.answer: Callable[[], object] = lambda: None

    def expect(self) -> None:
        self.expected += 1

    def covers(self, *, awaited: bool = False) -> bool:
        return self.expected > 0

    def stay(self, until: float) -> bool:
        if self.expected:
            self.stays.append((self.expected, until > 0))
            if until:
                self.answer()
        self.expected = 0
        return False


@pytest.mark.trio
@pytest.mark.parametrize("at_once", [False, True])
async def test_answers_are_waited_for_unless_they_were_given_at_once(context: OwningContext, at_once: bool) -> None:
    lookout = FakeLookout()
    async with serving(context, at_once=at_once, lookout=lookout) as rig:
        rig.client().send(rig.frames())
        while not rig.submitted:
            await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()
    assert lookout.stays == [(1, not at_once)]


@pytest.mark.trio
async def test_when_the_loop_has_its_turn_between_requests_nothing_is_promised(context: OwningContext) -> None:
    """A promise of the first half would be kept after the second only; meanwhile the owner of iopub may have woken."""
    lookout = FakeLookout()
    async with serving(context, lookout=lookout) as rig:
        client = rig.client()
        for _ in range(_BATCH + 1):
            client.send(rig.frames())
        while len(rig.submitted) <= _BATCH:
            await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()
    assert lookout.stays == [(_BATCH, False), (1, True)]


@pytest.mark.trio
async def test_during_the_stay_a_reply_wakes_nobody_and_is_sent_by_who_looks(
    context: OwningContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    wakes: list[OwnedSocket] = []
    lookout = FakeLookout()
    async with serving(context, lookout=lookout) as rig:

        def answer() -> None:
            with monkeypatch.context() as patched:
                patched.setattr(OwnedSocket, "wake", wakes.append)
                rig.channel.reply(rig.submitted[0], {"status": "ok"})
                rig.channel.send_what_waits()

        lookout.answer = answer
        client = rig.client()
        client.send(rig.frames())
        reply = rig.reply_in(await client.receive())
    assert (reply["content"], wakes) == ({"status": "ok"}, [])


@pytest.mark.trio
async def test_replies_that_another_task_sends_lose_no_request(context: OwningContext) -> None:
    async with serving(context) as rig:
        client = rig.client()
        client.send(rig.frames(number=1))
        while not rig.submitted:
            await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()
        # No step of the owner lies between these: the second request is in the socket when the reply is sent.
        client.send(rig.frames(number=2))
        rig.channel._replies.append([b"client", b"reply"])
        rig.channel.send_what_waits()
        with trio.fail_after(60):
            while len(rig.submitted) < 2:
                await trio.testing.wait_all_tasks_blocked()
    assert [request.content["number"] for request in rig.submitted] == [1, 2]


@pytest.mark.trio
async def test_replies_that_find_no_room_are_left_to_the_owner(context: OwningContext) -> None:
    async with serving(context) as rig:
        client = rig.client()
        client.send(rig.frames())
        while not rig.submitted:
            await trio.testing.wait_all_tasks_blocked()
        refused = [True]
        send = OwnedSocket.try_send

        def try_send(socket: OwnedSocket, frames: Any) -> bool:
            return not refused.pop() if refused else send(socket, frames)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(OwnedSocket, "try_send", try_send)
            rig.channel._replies.append(rig.frames("reply"))
            rig.channel._replies[0].insert(0, b"client")
            rig.channel.send_what_waits()
            reply = rig.reply_in(await client.receive())
    assert reply["msg_type"] == "reply"


BAD = {
    "empty": [b""],
    "no delimiter": [b"x"] * 3,
    "zeros": [b"\x00" * 100_000_000],
    "few frames": [DELIM, b"x"],
    "unsigned": [DELIM, b"", b"{}", b"{}", b"{}", b"{}"],
    "wrong key": Session(key=b"other").serialize({"header": {}, "parent_header": {}, "metadata": {}, "content": {}}),
    "not JSON": [DELIM, Session(key=b"key").sign([b"?"] * 4), *[b"?"] * 4],
    "no fields": Session(key=b"key").serialize({"header": {}, "parent_header": {}, "metadata": {}, "content": {}}),
}


@pytest.mark.trio
@pytest.mark.parametrize("kind", BAD)
async def test_after_bad_input_the_next_request_is_served(
    context: OwningContext, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    async with serving(context) as rig:
        client = rig.client()
        for _ in range(3):
            client.send(BAD[kind])
        client.send(rig.frames("kernel_info_request", good=True))
        await trio.testing.wait_all_tasks_blocked()
    assert [request.content for request in rig.submitted] == [{"good": True}]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.trio
async def test_a_replay_is_not_submitted(context: OwningContext) -> None:
    async with serving(context) as rig:
        client, frames = rig.client(), rig.frames()
        client.send(frames)
        client.send(frames)
        await trio.testing.wait_all_tasks_blocked()
    assert len(rig.submitted) == 1


@pytest.mark.trio
async def test_a_reply_to_a_client_that_has_gone_is_counted(context: OwningContext) -> None:
    async with serving(context) as rig:
        client, other = rig.client(), rig.client(b"other")
        client.send(rig.frames())
        other.send(rig.frames())
        await trio.testing.wait_all_tasks_blocked()
        client.socket.close(linger=0)
        while not rig.channel.undeliverable:  # until ZMQ has noticed
            rig.channel.reply(rig.submitted[0], {"status": "ok"})
            await trio.testing.wait_all_tasks_blocked()
        rig.channel.reply(rig.submitted[1], {"status": "ok"})
        reply = rig.reply_in(await other.receive())
    assert (reply["content"], rig.channel.undeliverable) == ({"status": "ok"}, 1)


@pytest.mark.trio
async def test_a_client_that_comes_back_takes_over_its_identity(context: OwningContext) -> None:
    async with serving(context) as rig:
        rig.client().send(rig.frames())
        await trio.testing.wait_all_tasks_blocked()
        again = rig.client()
        again.send(rig.frames())
        await trio.testing.wait_all_tasks_blocked()
        rig.channel.reply(rig.submitted[0], {"status": "ok"})
        assert rig.reply_in(await again.receive())["content"] == {"status": "ok"}


@pytest.mark.trio
async def test_content_that_cannot_be_sent_is_the_callers_error(context: OwningContext) -> None:
    async with serving(context) as rig:
        client = rig.client()
        client.send(rig.frames())
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(LocalError):
            rig.channel.reply(rig.submitted[0], {"x": object()})
        rig.channel.reply(rig.submitted[0], {"status": "ok"})
        assert rig.reply_in(await client.receive())["content"] == {"status": "ok"}


@pytest.mark.trio
async def test_a_barrier_comes_after_all_that_has_arrived(context: OwningContext) -> None:
    async with serving(context) as rig:
        client = rig.client()
        seen: list[int] = []
        for _ in range(200):
            client.send(rig.frames())
        rig.channel.barrier(lambda: seen.append(len(rig.submitted)))
        await trio.testing.wait_all_tasks_blocked()
    assert seen == [200]


@pytest.mark.trio
async def test_after_stop_reading_replies_go_out_and_requests_stay(context: OwningContext) -> None:
    async with serving(context) as rig:
        client = rig.client()
        client.send(rig.frames())
        await trio.testing.wait_all_tasks_blocked()
        rig.channel.stop_reading()
        client.send(rig.frames())
        await trio.testing.wait_all_tasks_blocked()
        rig.channel.reply(rig.submitted[0], {"status": "ok"})
        called: list[str] = []
        rig.channel.barrier(lambda: called.append("barrier"))
        reply = rig.reply_in(await client.receive())
        await trio.testing.wait_all_tasks_blocked()
    assert (reply["content"], len(rig.submitted), called) == ({"status": "ok"}, 1, ["barrier"])


@pytest.mark.trio
async def test_finish_sends_what_is_there_and_counts_what_comes(context: OwningContext) -> None:
    async with serving(context) as rig:
        client = rig.client()
        client.send(rig.frames())
        await trio.testing.wait_all_tasks_blocked()
        rig.channel.reply(rig.submitted[0], {"number": 1})
    rig.channel.reply(rig.submitted[0], {"number": 2})
    assert rig.reply_in(await client.receive())["content"] == {"number": 1}
    assert rig.channel.undeliverable == 1


@pytest.mark.trio
async def test_what_submit_raises_ends_the_channel(context: OwningContext) -> None:
    with pytest.RaisesGroup(ZeroDivisionError):
        async with serving(context) as rig:
            rig.channel._submit = lambda _request: 1 / 0
            rig.client().send(rig.frames())
            await trio.sleep_forever()

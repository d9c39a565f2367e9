from __future__ import annotations

import logging
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.lowlevel
import zmq
from jupyter_client.session import Session

from async_kernel.channels import iopub
from async_kernel.channels.complaints import Complaints
from async_kernel.channels.iopub import IOPub
from async_kernel.channels.lookout import Lookout
from async_kernel.channels.output import Output, OutputQueue
from async_kernel.channels.peers import Peers
from async_kernel.channels.settings import IOSettings
from async_kernel.platforms.events import HAVE_EVENTFD
from async_kernel.platforms.tcp import TELLS_PROGRESS
from async_kernel.transport.codec import Codec
from async_kernel.transport.owned_socket import OwnedSocket
from tests.sockets import TaskClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.sockets import OwningContext

A: dict[str, Any] = {"msg_id": "a"}
B: dict[str, Any] = {"msg_id": "b"}


class Subscriber:
    """A SUB client; its own subscription's welcome is awaited first."""

    def __init__(self, client: TaskClient) -> None:
        self.client = client
        self._session = Session(key=b"key")

    async def receive(self) -> dict[str, Any]:
        frames = await self.client.receive()
        topics, parts = self._session.feed_identities(frames)
        return {"topic": topics[0], **self._session.deserialize(parts)}

    async def brief(self, count: int) -> list[Any]:
        """The next messages: text as (parent, name, text), others as their types."""
        found: list[Any] = []
        for _ in range(count):
            message = await self.receive()
            if message["msg_type"] == "stream":
                content = message["content"]
                found.append((message["parent_header"].get("msg_id"), content["name"], content["text"]))
            else:
                found.append(message["msg_type"])
        return found


@dataclass
class Rig:
    context: OwningContext
    queue: OutputQueue
    iopub: IOPub
    lookout: Lookout
    codec: Codec = field(default_factory=lambda: Codec(Session(key=b"key")))
    address: str = "inproc://iopub"
    peers: Peers | None = None

    async def subscriber(self, topic: bytes = b"", *, high_water_mark: int = 1000) -> Subscriber:
        socket = self.context.socket(zmq.SUB)
        socket.rcvhwm = high_water_mark
        socket.subscribe(topic)
        socket.connect(self.address)
        subscriber = Subscriber(TaskClient(socket))
        assert (await subscriber.receive())["msg_type"] == "iopub_welcome"
        return subscriber

    def publish(self, msg_type: str, parent: dict[str, Any] | None = A, **content: Any) -> None:
        self.queue.put(iopub.message(self.codec, msg_type, content, parent=parent))


@asynccontextmanager
async def publishing(
    context: OwningContext,
    address: str = "inproc://iopub",
    greeting: Output | None = None,
    send_replies: Callable[[], object] = lambda: None,
    **settings: Any,
) -> AsyncIterator[Rig]:
    options = IOSettings(**settings)
    socket = context.socket(zmq.XPUB)
    iopub.configure(socket, options)
    socket.bind(address)
    address = socket.get_string(zmq.LAST_ENDPOINT)
    token = trio.lowlevel.current_trio_token()
    lookout = Lookout()
    queue = OutputQueue(options.iopub_limit_bytes, lookout)
    complaints = Complaints(logging.getLogger("test"), "iopub channel")
    owned = OwnedSocket(socket, token)
    peers = Peers(socket, token, complaints, remembers=options.transport == "tcp")
    codec = Codec(Session(key=b"key"))
    lookout.open([owned.descriptor])
    publisher = IOPub(
        queue, owned, codec, options, complaints, peers, greeting, lookout=lookout, send_replies=send_replies
    )
    try:
        async with trio.open_nursery() as helpers:
            helpers.start_soon(peers.serve)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(publisher.serve)
                yield Rig(context, queue, publisher, lookout, address=address, peers=peers)
                publisher.finish()
            helpers.cancel_scope.cancel()
    finally:
        lookout.close()
        peers.close()


@pytest.mark.trio
@pytest.mark.parametrize("topic", [b"", b"kernel.status", b"\xff\x00"])
async def test_every_subscriber_is_welcomed_on_its_topic(context: OwningContext, topic: bytes) -> None:
    async with publishing(context) as rig:
        welcomes: list[Any] = []
        for _ in range(2):  # the second has a topic that is known already
            socket = context.socket(zmq.SUB)
            socket.subscribe(topic)
            socket.connect(rig.address)
            welcomes.append(await Subscriber(TaskClient(socket)).receive())
    assert [(w["topic"], w["msg_type"], w["content"], w["parent_header"]) for w in welcomes] == [
        (topic, "iopub_welcome", {"subscription": topic.decode(errors="replace")}, {})
    ] * 2


@pytest.mark.trio
@pytest.mark.parametrize(("published", "seen"), [(False, "greeting"), (True, "status")])
async def test_the_first_subscriber_is_greeted_unless_something_was_published_before(
    context: OwningContext, autojump_clock: object, published: bool, seen: str
) -> None:
    greeting = iopub.message(Codec(Session(key=b"key")), "greeting", {}, parent=None)
    async with publishing(context, greeting=greeting) as rig:
        if published:
            rig.publish("status", execution_state="busy")
        first = await rig.subscriber()
        assert await first.brief(1) == [seen]
        second = await rig.subscriber()
        rig.publish("display_data")
        assert await second.brief(1) == ["display_data"]


@pytest.mark.trio
@pytest.mark.skipif(not HAVE_EVENTFD, reason="nobody stays here")
async def test_a_message_that_woke_nobody_leaves_at_the_end_of_the_stay(context: OwningContext) -> None:
    async with publishing(context) as rig:
        subscriber = await rig.subscriber()
        await trio.testing.wait_all_tasks_blocked()
        rig.lookout.expect()
        rig.publish("status", execution_state="busy")
        await trio.testing.wait_all_tasks_blocked()
        waits = rig.queue.has_messages
        rig.lookout.stay(0.0)
        left = not rig.queue.has_messages
        assert await subscriber.brief(1) == ["status"]
    assert (waits, left) == (True, True)


@pytest.mark.trio
@pytest.mark.skipif(not HAVE_EVENTFD, reason="nobody stays here")
async def test_what_is_awaited_is_seen_during_the_stay_and_takes_all_before_it_along(context: OwningContext) -> None:
    async with publishing(context) as rig:
        subscriber = await rig.subscriber()
        await trio.testing.wait_all_tasks_blocked()
        rig.lookout.expect()

        def cell() -> None:
            for state in ("busy", "idle"):
                rig.publish("status", execution_state=state)

        thread = threading.Thread(target=cell)
        thread.start()
        rig.lookout.stay(time.perf_counter() + 0.01)
        thread.join()
        assert await subscriber.brief(2) == ["status", "status"]


@pytest.mark.trio
async def test_what_a_look_leaves_to_the_owner_is_there_after_the_next_look(context: OwningContext) -> None:
    """Two stays may follow each other before the owner wakes; the second took what the first had left, and lost it."""
    async with publishing(context) as rig:
        subscriber = await rig.subscriber()
        await trio.testing.wait_all_tasks_blocked()
        for number in range(3):
            rig.lookout.expect()
            rig.queue.write("stdout", f"{number}\n", A)  # of which the look makes no message
            rig.publish("display_data")
            rig.lookout.stay(0.0)
        rig.publish("status", execution_state="idle")
        expected = [each for number in range(3) for each in (("a", "stdout", f"{number}\n"), "display_data")]
        with trio.fail_after(10):
            assert await subscriber.brief(7) == [*expected, "status"]


@pytest.mark.trio
async def test_a_megabyte_of_messages_and_more_is_published_by_looks(context: OwningContext) -> None:
    async with publishing(context) as rig:
        subscriber = await rig.subscriber()
        await trio.testing.wait_all_tasks_blocked()
        for number in range(30):
            rig.lookout.expect()
            rig.publish("comm_msg", number=number, data="x" * 100_000)
            rig.lookout.stay(0.0)
        with trio.fail_after(10):
            numbers = [(await subscriber.receive())["content"]["number"] for _ in range(30)]
    assert numbers == list(range(30))


@pytest.mark.trio
async def test_text_after_the_last_message_keeps_its_time(
    context: OwningContext, autojump_clock: trio.testing.MockClock
) -> None:
    async with publishing(context) as rig:
        subscriber = await rig.subscriber()
        rig.queue.write("stdout", "first\n", A)
        assert await subscriber.brief(1) == [("a", "stdout", "first\n")]
        autojump_clock.autojump_threshold = float("inf")  # no time passes
        for number in range(3):
            rig.lookout.expect()
            rig.publish("display_data", parent=B)
            rig.queue.write("stdout", f"{number}\n", A)
            await trio.testing.wait_all_tasks_blocked()
            rig.lookout.stay(0.0)
            await trio.testing.wait_all_tasks_blocked()
        autojump_clock.autojump_threshold = 0
        rig.publish("status", execution_state="idle")
        assert await subscriber.brief(6) == [
            "display_data",
            ("a", "stdout", "0\n"),
            "display_data",
            ("a", "stdout", "1\n"),
            "display_data",
            ("a", "stdout", "2\n"),
        ]


@pytest.mark.trio
async def test_the_end_is_not_missed_by_an_owner_for_whom_others_look(context: OwningContext) -> None:
    """A look that took the owner's ring, and found nothing, left it asleep."""
    async with publishing(context) as rig:
        subscriber = await rig.subscriber()
        await trio.testing.wait_all_tasks_blocked()
        rig.lookout.expect()
        rig.publish("status", execution_state="idle")
        rig.iopub.finish()
        rig.lookout.stay(0.0)
        assert await subscriber.brief(1) == ["status"]
        with trio.fail_after(10):
            while not rig.queue._closed:
                await trio.testing.wait_all_tasks_blocked()


@pytest.mark.trio
async def test_a_subscription_that_comes_during_stays_is_welcomed(context: OwningContext) -> None:
    async with publishing(context) as rig:
        first = await rig.subscriber()
        await trio.testing.wait_all_tasks_blocked()
        socket = context.socket(zmq.SUB)
        socket.subscribe(b"second")
        socket.connect(rig.address)
        # No step of the owner lies between; sending takes the subscription's mail. The second stay finds nothing.
        rig.lookout.expect()
        rig.publish("display_data")
        rig.lookout.stay(0.0)
        rig.lookout.expect()
        rig.lookout.stay(0.0)
        assert await first.brief(1) == ["display_data"]
        welcome = await Subscriber(TaskClient(socket)).receive()
    assert (welcome["topic"], welcome["msg_type"]) == (b"second", "iopub_welcome")


@pytest.mark.trio
async def test_while_the_owner_is_awake_a_message_wakes_nobody_and_is_seen_before_it_sleeps(
    context: OwningContext, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    published, wakes = list[str](), list[str]()
    async with publishing(context) as rig:
        subscriber = await rig.subscriber()
        publish_all = rig.iopub._publish_all

        async def and_then_another_comes() -> None:
            await publish_all()
            if not published:
                published.append("display_data")
                with monkeypatch.context() as patched:
                    patched.setattr(rig.queue, "_wake", lambda: wakes.append("wake"))
                    rig.publish("display_data")

        monkeypatch.setattr(rig.iopub, "_publish_all", and_then_another_comes)
        began = trio.current_time()
        rig.publish("status", execution_state="busy")
        assert await subscriber.brief(2) == ["status", "display_data"]
        took = trio.current_time() - began
        await trio.testing.wait_all_tasks_blocked()
        looks = rig.queue.owner_looks
    assert (wakes, looks, took) == ([], False, 0)


@pytest.mark.trio
async def test_replies_go_before_output(context: OwningContext) -> None:
    order: list[str] = []
    async with publishing(context, send_replies=lambda: order.append("replies")) as rig:
        await rig.subscriber()
        await trio.testing.wait_all_tasks_blocked()
        order.clear()
        rig.queue.put(Output(call=lambda: order.append("output"), awaited=True))
        await trio.testing.wait_all_tasks_blocked()
    assert order[:2] == ["replies", "output"]


@pytest.mark.trio
async def test_nobody_stays_while_a_message_waits_for_room(
    context: OwningContext, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    async with publishing(context, output_high_water_mark=1, stalled_client_s=10) as rig:
        subscriber = await rig.subscriber(high_water_mark=1)
        for _ in range(10):
            rig.publish("display_data")
        await trio.testing.wait_all_tasks_blocked()
        held_up = rig.iopub.is_held_up
        with monkeypatch.context() as patched:
            patched.setattr(rig.iopub, "_look", lambda: looked.append("look"))
            rig.lookout.expect()
            rig.lookout.stay(0.0)
        assert await subscriber.brief(10) == ["display_data"] * 10
    assert (held_up, looked) == (True, [])


@pytest.mark.trio
async def test_writes_do_not_wake_the_loop_while_text_waits_for_its_time(
    context: OwningContext, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    wakes: list[str] = []
    async with publishing(context) as rig:
        subscriber = await rig.subscriber()
        rig.queue.write("stdout", "first\n", A)
        assert await subscriber.brief(1) == [("a", "stdout", "first\n")]
        autojump_clock.autojump_threshold = float("inf")  # no time passes
        rig.queue.write("stdout", "second\n", A)
        await trio.testing.wait_all_tasks_blocked()
        rig.iopub._socket.wake()  # it looks, for whatever reason, and finds that it is not time yet
        await trio.testing.wait_all_tasks_blocked()
        with monkeypatch.context() as patched:
            patched.setattr(rig.queue, "_wake", lambda: wakes.append("wake"))
            for _ in range(3):
                rig.queue.write("stdout", "more\n", A)
        autojump_clock.autojump_threshold = 0
        assert await subscriber.brief(1) == [("a", "stdout", "second\nmore\nmore\nmore\n")]
    assert wakes == []


@pytest.mark.trio
async def test_messages_and_text_keep_their_order(context: OwningContext, autojump_clock: object) -> None:
    async with publishing(context) as rig:
        client = await rig.subscriber()
        rig.publish("status", execution_state="busy")
        rig.queue.write("stdout", "1\n", A)
        rig.queue.write("stderr", "2\n", A)
        rig.queue.write("stdout", "3\n", A)
        rig.publish("display_data")
        rig.queue.write("stdout", "4\n", A)
        rig.publish("status", execution_state="idle")
        brief = await client.brief(7)
    assert brief == [
        "status",
        ("a", "stdout", "1\n"),
        ("a", "stderr", "2\n"),
        ("a", "stdout", "3\n"),
        "display_data",
        ("a", "stdout", "4\n"),
        "status",
    ]


@pytest.mark.trio
async def test_default_topics_tell_the_type(context: OwningContext) -> None:
    async with publishing(context) as rig:
        client = await rig.subscriber()
        rig.queue.write("stderr", "x\n", A)
        rig.publish("display_data")
        rig.queue.put(iopub.message(rig.codec, "x", {}, parent=None, topic=b"mine"))
        topics = [(await client.receive())["topic"] for _ in range(3)]
    assert topics == [b"stream.stderr", b"kernel.display_data", b"mine"]


async def times(client: Subscriber, count: int) -> list[tuple[float, str]]:
    """When texts arrived, in milliseconds, and what they were."""
    start = trio.current_time()
    found: list[tuple[float, str]] = []
    for _ in range(count):
        message = await client.receive()
        found.append((round((trio.current_time() - start) * 1000), message["content"]["text"]))
    return found


@pytest.mark.trio
async def test_the_first_line_after_a_silence_leaves_at_once_and_the_next_are_gathered(
    context: OwningContext, autojump_clock: object
) -> None:
    async with publishing(context) as rig:
        client = await rig.subscriber()
        received: list[tuple[float, str]] = []

        async def receive() -> None:
            received.extend(await times(client, 4))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            for number in range(10):
                rig.queue.write("stdout", f"{number}\n", A)
                await trio.sleep(0.012)
    assert received == [(0, "0\n"), (50, "1\n2\n3\n4\n"), (100, "5\n6\n7\n8\n"), (150, "9\n")]


@pytest.mark.trio
async def test_half_a_line_waits_a_moment_for_its_end(context: OwningContext, autojump_clock: object) -> None:
    async with publishing(context) as rig:
        client = await rig.subscriber()
        received: list[tuple[float, str]] = []

        async def receive() -> None:
            received.extend(await times(client, 1))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            rig.queue.write("stdout", "text", A)
            await trio.testing.wait_all_tasks_blocked()
            rig.queue.write("stdout", "\n", A)
    assert received == [(5, "text\n")]


@pytest.mark.trio
async def test_big_text_comes_in_pieces_and_complete(context: OwningContext, autojump_clock: object) -> None:
    text = "ab€\U0001f600" * 1000
    async with publishing(context, chunk_chars=4096) as rig:
        client = await rig.subscriber()
        rig.queue.write("stdout", text, A)
        pieces: list[str] = []
        while sum(map(len, pieces)) < len(text):
            pieces.append((await client.receive())["content"]["text"])
    assert ("".join(pieces), max(len(piece.encode()) for piece in pieces) <= 4096) == (text, True)


@pytest.mark.trio
async def test_lone_surrogates_become_replacement_characters(context: OwningContext, autojump_clock: object) -> None:
    async with publishing(context, chunk_chars=64) as rig:
        client = await rig.subscriber()
        rig.queue.write("stdout", "short \ud800\n", A)
        rig.queue.write("stderr", "\udc80" * 100, A)
        brief = await client.brief(8)
    assert (brief[0], "".join(text for _, _, text in brief[1:])) == (("a", "stdout", "short \ufffd\n"), "\ufffd" * 100)


@pytest.mark.trio
async def test_text_with_a_parent_that_cannot_be_sent_is_counted_and_the_next_goes_out(
    context: OwningContext, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with publishing(context) as rig:
        client = await rig.subscriber()
        rig.queue.write("stdout", "lost\n", {"msg_id": "x", "odd": object()})
        rig.queue.write("stdout", "kept\n", A)
        brief = await client.brief(1)
    assert (brief, rig.iopub.losses.unsendable, len(caplog.records)) == ([("a", "stdout", "kept\n")], 1, 1)


@pytest.mark.trio
async def test_a_call_is_made_when_all_before_it_has_been_sent(context: OwningContext, autojump_clock: object) -> None:
    async with publishing(context) as rig:
        client = await rig.subscriber()
        sent: list[Any] = []
        rig.queue.write("stdout", "prompt", A)
        rig.queue.put(Output(call=lambda: sent.append(client.client.socket.getsockopt(zmq.EVENTS) & zmq.POLLIN)))
        await trio.testing.wait_all_tasks_blocked()
    assert sent == [zmq.POLLIN]


@pytest.mark.trio
async def test_finish_sends_the_text_that_waits(context: OwningContext, autojump_clock: object) -> None:
    async with publishing(context) as rig:
        client = await rig.subscriber()
        rig.queue.write("stdout", "1\n", A)
        await trio.testing.wait_all_tasks_blocked()
        rig.queue.write("stdout", "no newline", A)
    assert await client.brief(2) == [("a", "stdout", "1\n"), ("a", "stdout", "no newline")]


@pytest.mark.trio
async def test_the_end_refuses_what_comes_later(context: OwningContext) -> None:
    async with publishing(context) as rig:
        pass
    rig.publish("status")
    assert rig.queue.refused == 1


@pytest.mark.trio
async def test_a_slow_client_gets_everything_while_the_producer_waits(context: OwningContext) -> None:
    count = 2000
    async with publishing(context, "tcp://127.0.0.1:*", iopub_limit_bytes=20_000, output_high_water_mark=2) as rig:
        client = await rig.subscriber(high_water_mark=2)

        def produce() -> None:
            for number in range(count):
                rig.publish("display_data", number=number, padding="x" * 10_000)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, produce)
            numbers = [(await client.receive())["content"]["number"] for _ in range(count)]
    assert (numbers, rig.iopub.losses.clients) == (list(range(count)), 0)


async def overwhelm(rig: Rig, healthy: Subscriber) -> tuple[int, int]:
    """Publish far more than any buffer holds; what was sent, and what the healthy client got."""
    count = 400

    def produce() -> None:
        for number in range(count):
            rig.publish("display_data", number=number, padding="x" * 100_000)

    received = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, produce)
        for _ in range(count):
            await healthy.receive()
            received += 1
    return count, received


@pytest.mark.trio
async def test_a_stalled_tcp_client_is_dropped_by_name_and_the_others_get_everything(
    context: OwningContext, caplog: pytest.LogCaptureFixture
) -> None:
    async with publishing(
        context, "tcp://127.0.0.1:*", stalled_client_s=0.3, iopub_limit_bytes=1_000_000, output_high_water_mark=10
    ) as rig:
        await rig.subscriber(high_water_mark=10)
        healthy = await rig.subscriber()
        sent, received = await overwhelm(rig, healthy)
        while not rig.iopub.losses.clients:
            await trio.lowlevel.checkpoint()
    assert (received, rig.iopub.losses.clients) == (sent, 1)
    assert "the client at 127.0.0.1:" in caplog.text


@pytest.mark.skipif(not TELLS_PROGRESS, reason="the system does not tell")
@pytest.mark.trio
async def test_a_client_that_reads_little_is_not_dropped(
    context: OwningContext, mock_clock: trio.testing.MockClock
) -> None:
    async with publishing(context, "tcp://127.0.0.1:*", stalled_client_s=60, output_high_water_mark=2) as rig:
        slow = await rig.subscriber(high_water_mark=1)
        for _ in range(400):
            rig.publish("display_data", padding="x" * 100_000)
        for _ in range(5):
            while not rig.iopub.is_held_up:
                await trio.lowlevel.checkpoint()
            ((key, before),) = rig.peers.progress().items()
            mock_clock.jump(50)
            while rig.peers.progress()[key].taken == before.taken:
                await slow.receive()
            mock_clock.jump(20)  # more than a minute in which it read little
            await trio.testing.wait_all_tasks_blocked()
            assert not rig.iopub.losses.clients
        while not rig.iopub.losses.clients:  # and then nothing for a minute
            mock_clock.jump(61)
            await trio.testing.wait_all_tasks_blocked()
    assert rig.iopub.losses.clients == 1


@pytest.mark.trio
async def test_a_stalled_ipc_client_is_passed_over_and_the_others_get_everything(
    context: OwningContext, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    async with publishing(
        context,
        f"ipc://{tmp_path}/iopub",
        transport="ipc",
        stalled_client_s=0.3,
        iopub_limit_bytes=1_000_000,
        output_high_water_mark=10,
    ) as rig:
        await rig.subscriber(high_water_mark=10)
        healthy = await rig.subscriber()
        sent, received = await overwhelm(rig, healthy)
    assert (received, rig.iopub.losses.clients) == (sent, 1)
    assert "passed over until it reads again" in caplog.text


@pytest.mark.trio
async def test_a_stalled_client_does_not_hold_up_closing(context: OwningContext) -> None:
    with trio.CancelScope() as patience:
        async with publishing(context, "tcp://127.0.0.1:*", output_high_water_mark=2) as rig:
            await rig.subscriber(high_water_mark=2)
            for _ in range(300):
                rig.publish("display_data", padding="x" * 100_000)
            patience.deadline = trio.current_time() + 0.3
    assert (patience.cancelled_caught, rig.queue.is_full, rig.iopub.losses.unsent > 0) == (True, False, True)

from __future__ import annotations

import ctypes
import select
import threading
from typing import TYPE_CHECKING

import pytest
import trio
import zmq

from async_kernel.transport.owned_socket import OwnedSocket

if TYPE_CHECKING:
    from tests.sockets import OwningContext


@pytest.fixture(params=["best", "portable"])
def _bells(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything here holds for the doorbell of this system and for the portable one."""
    if request.param == "portable":
        monkeypatch.setattr("async_kernel.transport.doorbell.HAVE_EVENTFD", False)


pytestmark = pytest.mark.usefixtures("_bells")


def owned_router(context: OwningContext) -> tuple[OwnedSocket, zmq.Socket[bytes]]:
    """An owned ROUTER and a client of it named b"client", which the ROUTER knows already."""
    router = context.socket(zmq.ROUTER)
    router.bind("inproc://owned")
    client = context.socket(zmq.DEALER)
    client.identity = b"client"
    client.connect("inproc://owned")
    owned = OwnedSocket(router, trio.lowlevel.current_trio_token())
    client.send(b"hello")
    while owned.try_receive() is None:
        pass
    assert owned.try_receive() is None  # only a socket that was found empty gets mail for the next message
    return owned, client


@pytest.mark.trio
async def test_a_send_does_not_lose_the_readers_wake_up(context: OwningContext, autojump_clock: object) -> None:
    owned, client = owned_router(context)
    descriptor = int(owned.socket.FD)
    client.send(b"request")
    select.select([descriptor], [], [])  # the mail is there
    while select.select([descriptor], [], [], 0)[0]:  # and now a send has handled it
        assert owned.try_send([b"client", b"reply"])

    with trio.move_on_after(3600) as naive:  # a reader that waits for the descriptor alone sleeps for ever
        await trio.lowlevel.wait_readable(descriptor)
    with trio.fail_after(3600):
        await owned.wait()

    assert (naive.cancelled_caught, owned.try_receive()) == (True, [b"client", b"request"])


@pytest.mark.trio
async def test_a_message_ends_the_wait(context: OwningContext) -> None:
    owned, client = owned_router(context)
    received: list[list[bytes] | None] = []

    async def read() -> None:
        await owned.wait()
        received.append(owned.try_receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        client.send_multipart([b"two", b"frames"])

    assert received == [[b"client", b"two", b"frames"]]


@pytest.mark.trio
async def test_a_wake_from_another_thread_ends_the_wait(context: OwningContext, autojump_clock: object) -> None:
    owned, _ = owned_router(context)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(owned.wait)
        await trio.testing.wait_all_tasks_blocked()
        thread = threading.Thread(target=owned.wake)
        thread.start()
    thread.join()


@pytest.mark.trio
async def test_a_wake_before_the_wait_is_not_lost(context: OwningContext, autojump_clock: object) -> None:
    owned, _ = owned_router(context)
    owned.wake()
    owned.wake()
    with trio.fail_after(3600):
        await owned.wait()
    with trio.move_on_after(3600) as second:
        await owned.wait()
    assert second.cancelled_caught


@pytest.mark.trio
async def test_each_wait_needs_its_own_wake(context: OwningContext, autojump_clock: object) -> None:
    owned, _ = owned_router(context)
    for _ in range(3):
        owned.wake()
        with trio.fail_after(3600):
            await owned.wait_for_wake()


@pytest.mark.trio
async def test_a_wait_ends_at_its_deadline(context: OwningContext, autojump_clock: object) -> None:
    owned, _ = owned_router(context)
    deadline = trio.current_time() + 50
    await owned.wait(deadline=deadline)
    assert trio.current_time() == pytest.approx(deadline)


@pytest.mark.trio
async def test_waiting_for_a_wake_ignores_messages(context: OwningContext, autojump_clock: object) -> None:
    owned, client = owned_router(context)
    client.send(b"request")
    with trio.move_on_after(3600) as scope:
        await owned.wait_for_wake()
    assert scope.cancelled_caught


@pytest.mark.trio
async def test_a_send_without_room_waits_for_it_and_sends_nothing_before(
    context: OwningContext,
) -> None:
    publisher, subscriber = context.socket(zmq.XPUB), context.socket(zmq.SUB)
    publisher.setsockopt(zmq.XPUB_NODROP, 1)
    publisher.sndhwm = subscriber.rcvhwm = 1
    publisher.bind("inproc://room")
    subscriber.connect("inproc://room")
    subscriber.subscribe(b"")
    owned = OwnedSocket(publisher, trio.lowlevel.current_trio_token())
    while owned.try_receive() is None:
        pass
    count = 0
    while owned.try_send([b"topic", b"%d" % count]):
        count += 1

    async def send_one_more() -> None:
        while not owned.try_send([b"topic", b"last"]):
            await owned.wait_for_room()

    received: list[list[bytes]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_one_more)
        await trio.testing.wait_all_tasks_blocked()
        received.extend(subscriber.recv_multipart() for _ in range(count))
    received.append(subscriber.recv_multipart())

    assert received == [*([b"topic", b"%d" % number] for number in range(count)), [b"topic", b"last"]]


@pytest.mark.trio
async def test_an_interrupted_wake_does_not_silence_the_next(
    context: OwningContext, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    owned, _ = owned_router(context)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owned._bell, "ring", interrupted)
        with pytest.raises(KeyboardInterrupt):
            owned.wake()
    owned.wake()
    with trio.fail_after(3600):
        await owned.wait_for_wake()


@pytest.mark.trio
async def test_closing_ends_a_wait_and_later_wakes_do_nothing(context: OwningContext) -> None:
    owned, _ = owned_router(context)
    with pytest.RaisesGroup(trio.ClosedResourceError):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(owned.wait)
            await trio.testing.wait_all_tasks_blocked()
            owned.close(0)
    owned.close(0)
    owned.wake()
    assert owned.socket.closed


@pytest.mark.trio
async def test_a_reply_to_nobody_is_an_error_before_the_first_frame(context: OwningContext) -> None:
    owned, client = owned_router(context)
    owned.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    with pytest.raises(zmq.ZMQError) as raised:
        owned.try_send([b"stranger", b"reply"])
    assert owned.try_send([b"client", b"reply"])
    assert (raised.value.errno, client.recv_multipart()) == (zmq.EHOSTUNREACH, [b"reply"])


@pytest.mark.trio
async def test_large_buffers_come_as_views_and_all_else_as_bytes(context: OwningContext) -> None:
    owned, client = owned_router(context)
    large = bytes(1 << 16)
    client.send_multipart([b"|", b"signature", b"header", large, b"metadata", b"content", b"small", large])
    while (frames := owned.try_receive_views()) is None:
        await owned.wait()
    assert [type(frame) for frame in frames] == [bytes] * 8 + [memoryview]
    assert memoryview(frames[-1]).readonly
    assert frames[-1] == large


def place(frame: zmq.Frame) -> int:
    """Where in memory it is."""
    return ctypes.addressof(ctypes.c_char.from_buffer(frame.buffer))


def sent_and_received(owned: OwnedSocket, client: zmq.Socket[bytes], buffer: memoryview) -> zmq.Frame:
    assert owned.try_send([b"client", b"|", b"signature", b"header", b"parent", b"metadata", b"content", buffer])
    frames: list[zmq.Frame] = client.recv_multipart(copy=False)
    assert frames[-1].bytes == buffer
    return frames[-1]


@pytest.mark.trio
async def test_all_of_what_was_received_is_sent_again_without_a_copy(context: OwningContext) -> None:
    owned, client = owned_router(context)
    frame = zmq.Frame(bytes(1 << 16), copy=True)
    received = sent_and_received(owned, client, frame.buffer.toreadonly())
    assert place(received) == place(frame)


@pytest.mark.trio
async def test_a_part_of_what_was_received_is_sent_as_a_part(context: OwningContext) -> None:
    owned, client = owned_router(context)
    frame = zmq.Frame(bytes(1 << 16), copy=True)
    assert len(sent_and_received(owned, client, frame.buffer.toreadonly()[1:])) == (1 << 16) - 1

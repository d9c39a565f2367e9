from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import zmq
from jupyter_client.session import Session

from async_kernel.channels.reception import Arrivals, Reception
from async_kernel.channels.settings import IOSettings
from async_kernel.lifetime.plain_thread import plain_thread
from async_kernel.transport.codec import Codec
from async_kernel.transport.connection import Ports
from async_kernel.transport.plain_session import PlainSession
from async_kernel.typing import Channel
from tests.e2e.harness.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.sockets import OwningContext

PATIENCE_MS = 20_000


class Desk:
    """A reception, and a client of it."""

    def __init__(self, context: OwningContext, **answers: Callable[[Any], Any]) -> None:
        self.ports = Ports(*free_ports(5))
        settings = IOSettings(ip="127.0.0.1", ports=self.ports)
        self.reception = Reception(settings, Codec(PlainSession(b"key")), {"banner": "Hello"}, answers)
        self.session = Session(key=b"key")
        self.sockets = {channel: context.socket(zmq.DEALER) for channel in (Channel.shell, Channel.control)}
        for channel, socket in self.sockets.items():
            socket.reconnect_ivl = 1
            socket.connect(f"tcp://127.0.0.1:{getattr(self.ports, channel)}")

    @contextmanager
    def open(self) -> Generator[Callable[[], None]]:
        with plain_thread(self.reception.serve, name="reception", end=self.reception.end) as join:
            yield join

    def send(self, msg_type: str, channel: Channel = Channel.shell) -> str:
        message = self.session.msg(msg_type, {})
        self.sockets[channel].send_multipart(self.session.serialize(message))
        return message["msg_id"]

    def reply(self, channel: Channel = Channel.shell) -> dict[str, Any]:
        assert self.sockets[channel].poll(PATIENCE_MS)
        _, frames = self.session.feed_identities(self.sockets[channel].recv_multipart())
        return self.session.deserialize(frames)


@pytest.fixture
def desk(context: OwningContext) -> Desk:
    return Desk(context)


@pytest.fixture
def arrivals_of() -> Generator[Callable[[Desk], Arrivals]]:
    """What a desk leaves."""
    left: list[Arrivals] = []

    def hand_over(desk: Desk) -> Arrivals:
        arrivals = desk.reception.hand_over()
        assert arrivals is not None
        left.append(arrivals)
        return arrivals

    yield hand_over
    for arrivals in left:
        arrivals.close()


@pytest.mark.parametrize("channel", [Channel.shell, Channel.control], ids=str)
def test_kernel_info_is_answered(desk: Desk, channel: Channel) -> None:
    with desk.open():
        asked = desk.send("kernel_info_request", channel)
        reply = desk.reply(channel)
    desk.reception.close()
    assert (reply["msg_type"], reply["parent_header"]["msg_id"]) == ("kernel_info_reply", asked)
    assert reply["content"] == {"status": "ok", "banner": "Hello"}


def test_heartbeats_are_echoed(desk: Desk, context: OwningContext) -> None:
    client = context.socket(zmq.REQ)
    client.reconnect_ivl = 1
    client.connect(f"tcp://127.0.0.1:{desk.ports.hb}")
    with desk.open():
        client.send(b"ping")
        assert client.poll(PATIENCE_MS)
    desk.reception.close()
    assert client.recv() == b"ping"


def test_other_requests_are_kept_in_order(desk: Desk, arrivals_of: Callable[[Desk], Arrivals]) -> None:
    with desk.open():
        kept = [desk.send("execute_request"), desk.send("complete_request")]
        asked = desk.send("kernel_info_request")
        desk.reply()
    arrivals = arrivals_of(desk)
    assert [request.header["msg_id"] for request in arrivals.requests] == kept
    assert [header["msg_id"] for header in arrivals.answered] == [asked]


def test_what_can_be_answered_is_until_a_request_waits(
    context: OwningContext, arrivals_of: Callable[[Desk], Arrivals]
) -> None:
    answers: list[Any] = [None, {"status": "ok", "history": []}]
    desk = Desk(context, history_request=lambda content: answers.pop())
    with desk.open():
        answered = desk.send("history_request")
        reply = desk.reply()
        kept = [desk.send("history_request"), desk.send("history_request")]  # the third is not even tried
        asked = desk.send("kernel_info_request")
        desk.reply()
    arrivals = arrivals_of(desk)
    assert (reply["msg_type"], reply["parent_header"]["msg_id"]) == ("history_reply", answered)
    assert reply["content"] == {"status": "ok", "history": []}
    assert [request.header["msg_id"] for request in arrivals.requests] == kept
    assert [header["msg_id"] for header in arrivals.answered] == [answered, asked]


def test_the_statuses_of_answers_come_before_what_is_submitted(
    desk: Desk, arrivals_of: Callable[[Desk], Arrivals]
) -> None:
    with desk.open():
        desk.send("execute_request")
        desk.send("kernel_info_request")
        desk.reply()
    passed_on: list[str] = []

    def publish(msg_type: str, content: dict[str, str], *, parent: object) -> None:
        passed_on.append(content["execution_state"])

    arrivals_of(desk).pass_on(publish, lambda request: passed_on.append(request.msg_type), {})
    assert passed_on == ["busy", "idle", "execute_request"]


def test_sockets_go_on_where_they_are(desk: Desk, arrivals_of: Callable[[Desk], Arrivals]) -> None:
    with desk.open():
        desk.send("kernel_info_request")
        desk.reply()
    asked = desk.send("kernel_info_request")
    socket = arrivals_of(desk).sockets[Channel.shell]
    assert socket.poll(PATIENCE_MS)
    request = desk.reception.codec.decode(socket.recv_multipart(), Channel.shell)
    assert request.header["msg_id"] == asked


def test_what_is_no_message_is_handed_over_as_such(desk: Desk, arrivals_of: Callable[[Desk], Arrivals]) -> None:
    with desk.open():
        desk.sockets[Channel.shell].send_multipart([b"rubbish"])
        desk.send("kernel_info_request")
        desk.reply()
    assert [(channel, str(error).split()[0]) for channel, error in arrivals_of(desk).rejected] == [("shell", "2")]


def test_who_finds_a_port_taken_leaves_it_to_the_loop(desk: Desk, context: OwningContext) -> None:
    other = context.socket(zmq.ROUTER)
    other.bind(f"tcp://127.0.0.1:{desk.ports.control}")
    with desk.open():
        pass
    assert desk.reception.hand_over() is None


def test_it_holds_no_more_requests_than_zmq_would(
    desk: Desk, arrivals_of: Callable[[Desk], Arrivals], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = IOSettings(ip="127.0.0.1", ports=desk.ports, request_high_water_mark=2)
    monkeypatch.setattr(desk.reception, "settings", few)
    with desk.open():
        sent = [desk.send("execute_request") for _ in range(3)]
    arrivals = arrivals_of(desk)
    socket = arrivals.sockets[Channel.shell]
    received = list(arrivals.requests)
    while len(received) < len(sent):
        assert socket.poll(PATIENCE_MS)
        received.append(desk.reception.codec.decode(socket.recv_multipart(), Channel.shell))
    assert len(arrivals.requests) <= few.request_high_water_mark
    assert [request.header["msg_id"] for request in received] == sent

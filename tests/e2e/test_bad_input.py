"""Whatever arrives: it is logged once with its fault, nothing is executed, the next valid request is answered."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
import zmq

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess

DELIM = b"<IDS|MSG>"
CODE = {"code": "open('executed', 'w').close()", "silent": False}


class Wild:
    """A client that sends what it likes, signed with the right key if wanted."""

    def __init__(self, client: Client) -> None:
        self._session = client.kc.session
        self._context: zmq.Context[Any] = zmq.Context()
        self._ports = {
            name: getattr(client.kc, f"{name}_port") for name in ("shell", "control", "stdin", "iopub", "hb")
        }

    def send(self, channel: str, frames: list[bytes], *, times: int = 1) -> None:
        """Send a multipart message from a socket of its own, many times if wanted."""
        with self._context.socket(zmq.DEALER) as dealer:
            dealer.linger = 10_000
            dealer.connect(f"tcp://127.0.0.1:{self._ports[channel]}")
            for _ in range(times):
                dealer.send_multipart(frames)

    def signed(self, header: Any, parent: Any = "{}", metadata: Any = "{}", content: Any = "{}") -> list[bytes]:
        """A message of these parts (JSON if they are no bytes), rightly signed."""
        parts = [
            part if isinstance(part, bytes) else part.encode() if isinstance(part, str) else json.dumps(part).encode()
            for part in (header, parent, metadata, content)
        ]
        return [DELIM, self._session.sign(parts), *parts]

    def header(self, **fields: Any) -> dict[str, Any]:
        """A valid header, but for these fields; None leaves one out."""
        header = self._session.msg_header("execute_request") | {"date": "2030-01-01T00:00:00Z"} | fields
        return {name: value for name, value in header.items() if value is not None}

    def raw(self, channel: str, data: bytes) -> None:
        """Send bytes that are not ZMTP at all, and hang up."""
        with socket.create_connection(("127.0.0.1", self._ports[channel])) as connection:
            connection.sendall(data)

    def close(self) -> None:
        self._context.term()


@pytest.fixture
def wild(client: Client) -> Generator[Wild]:
    """A client without manners."""
    wild = Wild(client)
    yield wild
    wild.close()


def unharmed(client: Client) -> None:
    """Nothing was executed, and the kernel answers on both channels."""
    for channel in ("shell", "control"):
        assert client.request("kernel_info_request", channel=channel).status == "ok"
    assert client.run("import os\nos.path.exists('executed')").text == "False"


NESTED = b"[" * 100_000

FRAMES: dict[str, Any] = {
    "one frame": lambda w: [b"\xff\x00garbage"],
    "an empty frame": lambda w: [b""],
    "only the delimiter": lambda w: [DELIM],
    "too few frames": lambda w: [DELIM, b"", b"{}"],
    "no delimiter": lambda w: w.signed(w.header(), content=CODE)[1:],
    "a thousand frames": lambda w: [b"x"] * 1000,
    "no signature": lambda w: [DELIM, b"", *w.signed(w.header(), content=CODE)[2:]],
    "a wrong signature": lambda w: [DELIM, b"0" * 64, *w.signed(w.header(), content=CODE)[2:]],
    "a header that is no JSON": lambda w: w.signed(b"{not json", content=CODE),
    "a header that is no text": lambda w: w.signed(b"\xff\xfe\xfd", content=CODE),
    "a header that is a list": lambda w: w.signed([1, 2], content=CODE),
    "an empty header": lambda w: w.signed({}, content=CODE),
    "no msg_id": lambda w: w.signed(w.header(msg_id=None), content=CODE),
    "no msg_type": lambda w: w.signed(w.header(msg_type=None), content=CODE),
    "a msg_type that is a number": lambda w: w.signed(w.header(msg_type=5), content=CODE),
    "a msg_id that is a list": lambda w: w.signed(w.header(msg_id=["x"]), content=CODE),
    "content that is no JSON": lambda w: w.signed(w.header(), content=b"\x00\x01"),
    "content that is a list": lambda w: w.signed(w.header(), content=["code"]),
    "content that is nested without end": lambda w: w.signed(w.header(), content=NESTED),
    "parent that is a string": lambda w: w.signed(w.header(), parent='"x"', content={"code": 5}),
    "metadata that is a number": lambda w: w.signed(w.header(), metadata="3", content={"code": 5}),
    "a reply": lambda w: w.signed(w.header(msg_type="execute_reply"), content=CODE),
}


@pytest.mark.parametrize("channel", ["shell", "control"])
@pytest.mark.parametrize("what", FRAMES)
def test_messages_that_are_none(client: Client, wild: Wild, channel: str, what: str) -> None:
    wild.send(channel, FRAMES[what](wild))
    unharmed(client)


@pytest.mark.parametrize("what", FRAMES)
def test_answers_that_are_none(client: Client, wild: Wild, what: str) -> None:
    asking = client.start("input()")
    client.question(asking)
    wild.send("stdin", FRAMES[what](wild))
    client.answer("mine")
    assert client.result(asking).text == "'mine'"


def test_an_input_reply_without_a_text(client: Client, ours: None) -> None:
    asking = client.start("input()")
    client.question(asking)
    for value in (5, None, ["x"]):
        client.kc.stdin_channel.send(client.kc.session.msg("input_reply", {"value": value}))
    client.kc.stdin_channel.send(client.kc.session.msg("input_reply", {}))
    client.answer("mine")
    assert client.result(asking).text == "'mine'"


def test_a_replayed_message_is_not_executed_again(client: Client, wild: Wild) -> None:
    client.run("count = 0")
    msg_id = "replayed"
    frames = wild.signed(wild.header(msg_id=msg_id), content={"code": "count += 1", "silent": True})
    for _ in range(3):
        wild.send("shell", frames)
    client.until(lambda: "idle" in client.so_far(msg_id).kinds, "the first")
    client.nothing_more()
    assert client.run("count").text == "1"


def test_what_was_wrong_is_in_the_log(own_kernel: KernelProcess, ours: None) -> None:
    client = own_kernel.client()
    wild = Wild(client)
    wild.send("shell", [DELIM, b"0" * 64, b"{}", b"{}", b"{}", b"{}"], times=1000)
    wild.close()
    unharmed(client)
    lines = own_kernel.log.splitlines()
    assert any("signature" in line.lower() for line in lines)
    assert len(lines) < 50


@pytest.mark.parametrize("channel", ["shell", "control", "stdin", "iopub", "hb"])
@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.0\r\n\r\n", b"\xff\x00\x00\x00\x00", b"\x00" * 1_000_000, b""],
    ids=["HTTP", "half a greeting", "zeros", "nothing"],
)
def test_connections_that_are_none(client: Client, wild: Wild, channel: str, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):  # it may hang up first
        wild.raw(channel, data)
    unharmed(client)


def test_100_megabytes_of_zeros(client: Client, wild: Wild) -> None:
    wild.send("shell", [bytes(100_000_000)])
    wild.send("control", [DELIM, b"0" * 64, bytes(100_000_000), b"{}", b"{}", b"{}"])
    unharmed(client)


def test_clients_that_leave_in_the_middle(client: Client, kernel: KernelProcess) -> None:
    for _ in range(5):
        other = kernel.client()
        other.start("for n in range(100_000): print(n)")
        other.until(lambda c=other: any(r.kind == "stream" for r in c.received), "some output")
        other.close()
    assert client.run("1", timeout=60).text == "1"
    unharmed(client)


def test_a_client_that_never_reads(client: Client, kernel: KernelProcess) -> None:
    # It gets in nobody's way as long as its part of the output has room in memory.
    with zmq.Context() as context, context.socket(zmq.SUB) as deaf:
        deaf.rcvhwm = 1
        deaf.linger = 0
        deaf.subscribe(b"")
        deaf.connect(f"tcp://127.0.0.1:{client.kc.iopub_port}")
        assert deaf.poll(10_000)
        result = client.run("for n in range(50): print('x' * 100_000)", timeout=60)
        assert len(result.stdout) == 50 * 100_001
        unharmed(client)


def test_messages_to_iopub_and_heartbeat(client: Client, wild: Wild) -> None:
    with zmq.Context() as context, context.socket(zmq.XSUB) as xsub:
        xsub.linger = 1000
        xsub.connect(f"tcp://127.0.0.1:{client.kc.iopub_port}")
        for frame in (b"\x01" + b"topic", b"\x00never subscribed", b"\x02user message", b"", b"\x01\xff\xfe"):
            xsub.send(frame)
        unharmed(client)
    wild.send("hb", [b"beat"] * 3)
    unharmed(client)

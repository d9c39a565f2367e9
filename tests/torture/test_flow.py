"""Eight clients in bursts over shell and control, leaving and coming back: one reply, one busy, one idle each."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import zmq
from jupyter_client.session import Session

from tests.torture.scale import of, record, seeded

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess

REQUESTS = of(short=4_000, long=1_000_000)
CLIENTS = 8
WINDOW = 200
"""Requests of one client that may be under way."""
STARTS = of(short=2, long=500)
PATIENCE_S = 60.0


@dataclass
class Fast:
    """A client of a few lines: packs once, and looks at what matters of what comes."""

    context: zmq.Context[Any]
    ports: dict[str, int]
    session: Session
    number: int
    waiting: dict[str, list[str]] = field(default_factory=dict)
    order: defaultdict[tuple[str, str], deque[str]] = field(default_factory=lambda: defaultdict(deque))
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.sockets: dict[str, Any] = {}
        self._sent = 0
        self._generation = 0
        self.connect()

    def connect(self) -> None:
        self._generation += 1
        identity = f"client-{self.number}-{self._generation}".encode()
        for channel in ("shell", "control", "iopub"):
            self.sockets[channel] = socket = self.context.socket(zmq.SUB if channel == "iopub" else zmq.DEALER)
            socket.linger = 0
            socket.rcvhwm = socket.sndhwm = 0
            if channel == "iopub":
                socket.subscribe(b"")
            else:
                socket.identity = identity
            socket.connect(f"tcp://127.0.0.1:{self.ports[channel]}")
        assert self.sockets["iopub"].poll(10_000), "no iopub_welcome"

    def disconnect(self) -> None:
        """Leave at once, whatever is under way."""
        for socket in self.sockets.values():
            socket.close()
        self.waiting.clear()
        self.order.clear()

    def send(self, msg_type: str, content: dict[str, Any], channel: str) -> None:
        self._sent += 1
        msg_id = f"{self.number}-{self._generation}-{self._sent}"
        msg = self.session.msg(msg_type, content)
        msg["header"]["msg_id"] = msg_id
        self.waiting[msg_id] = []
        self.order[channel, msg_type].append(msg_id)
        self.sockets[channel].send_multipart(self.session.serialize(msg))

    def take(self) -> None:
        """Look at all that has come."""
        for channel, socket in self.sockets.items():
            while socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:
                _, frames = self.session.feed_identities(socket.recv_multipart())
                parent = self.session.unpack(frames[2])
                waiting = self.waiting.get(parent.get("msg_id"))
                if waiting is None:  # of another client, or of one that we were
                    assert channel == "iopub" or not parent["msg_id"].startswith(f"{self.number}-{self._generation}-")
                    continue
                if channel == "iopub":
                    kind = self.session.unpack(frames[4]).get("execution_state")
                else:
                    kind = "reply"
                    # kernel_info is answered while cells run; requests of one kind keep their order.
                    expected = self.order[channel, parent["msg_type"]].popleft()
                    assert parent["msg_id"] == expected, f"{parent['msg_id']} answered before {expected}"
                waiting.append(kind)
                if len(waiting) == 3:
                    self.finish(parent["msg_id"])

    def finish(self, msg_id: str) -> None:
        kinds = self.waiting.pop(msg_id)
        assert sorted(kinds) == ["busy", "idle", "reply"], kinds
        assert kinds.index("busy") < kinds.index("idle"), kinds
        self.done["answered"] += 1


@pytest.mark.parametrize("backend", of(short=["trio"], long=["trio", "asyncio"]), scope="module")
def test_every_request_has_one_reply_one_busy_and_one_idle(own_kernel: KernelProcess, ours: None, backend: str) -> None:
    client = own_kernel.client()
    ports = {name: getattr(client.kc, f"{name}_port") for name in ("shell", "control", "iopub")}
    client.close()  # it would not read, and hold up the others
    rng = seeded()
    left, gone = REQUESTS, 0
    began = time.monotonic()
    with zmq.Context() as context, ExitStack() as stack:
        clients = [Fast(context, ports, Session(key=client.kc.session.key), n) for n in range(CLIENTS)]
        stack.callback(lambda: [one.disconnect() for one in clients])
        last = time.monotonic()
        while left or any(one.waiting for one in clients):
            before = sum(len(one.waiting) for one in clients), left
            for one in clients:
                one.take()
                if left and len(one.waiting) < WINDOW and rng.random() < 0.3:
                    burst = min(left, rng.choice([1, 1, 2, 5, 50, 150]))
                    left -= burst
                    for _ in range(burst):
                        ask(one, rng)
                if left and rng.random() < 0.0005:
                    gone += len(one.waiting)
                    one.disconnect()
                    one.connect()
            if before != (sum(len(one.waiting) for one in clients), left):
                last = time.monotonic()
            waits = {one.number: list(one.waiting.items())[:3] for one in clients if one.waiting}
            assert time.monotonic() < last + PATIENCE_S, f"nothing came for {PATIENCE_S} s; these wait: {waits}"
        took = time.monotonic() - began
    client = own_kernel.client()
    answered = sum(one.done["answered"] for one in clients)
    assert answered + gone == REQUESTS
    assert client.run("6 * 7").text == "42"
    counts = client.request("drop_counts_request", channel="control").reply
    assert (counts["bad_messages"], counts["output"], counts["refused_requests"]) == (0, 0, 0)
    record(
        "requests of eight clients",
        backend=backend,
        requests=REQUESTS,
        answered=answered,
        abandoned=gone,
        undeliverable=counts["replies"],
        seconds=round(took, 1),
    )


def ask(client: Fast, rng: random.Random) -> None:
    """Send something quick."""
    channel = rng.choice(["shell", "shell", "control"])
    if channel == "shell" and rng.random() < 0.5:
        client.send("execute_request", {"code": "", "silent": True, "store_history": False}, "shell")
    else:
        client.send("kernel_info_request", {}, channel)


@pytest.mark.parametrize("backend", ["trio", "asyncio"], scope="module")
def test_no_first_message_is_lost(start: Callable[..., KernelProcess], ours: None) -> None:
    for _ in range(STARTS):
        kernel = start()
        client: Client = kernel.client(ready=False)  # before the kernel listens
        first = client.start("print('first')\n6 * 7")
        asked = client.send("kernel_info_request")
        result = client.result(first, timeout=60)
        assert (result.kinds, result.text) == (
            ["busy", "execute_input", "stdout", "execute_result", "idle"],
            "42",
        )
        assert client.result(asked).status == "ok"
        kernel.end()
    record("cold starts", starts=STARTS)

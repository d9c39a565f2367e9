"""The whole I/O loop with real sockets on loopback, from a shell loop of either backend; clients are threads."""

from __future__ import annotations

import gc
import logging
import os
import socket as sockets
import subprocess
import sys
import tempfile
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.lowlevel
import pytest
import zmq
from anyio import to_thread
from jupyter_client.session import Session

from async_kernel.channels.io_loop import IOLoop, IOSettings
from async_kernel.channels.stdin import StdinClosedError
from async_kernel.lifetime.pending import Pending
from async_kernel.transport.codec import Codec, LocalError
from async_kernel.transport.connection import PortInUseError, Ports
from tests.sockets import OwningContext

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from async_kernel.protocol.request import Request

pytestmark = pytest.mark.anyio
T = TypeVar("T")
PATIENCE_MS = 30_000


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def clients() -> Generator[Clients]:
    clients = Clients()
    yield clients
    clients.context.close()


class Clients:
    """Makes clients of a loop."""

    def __init__(self) -> None:
        self.context = OwningContext()

    def connect(self, io: IOLoop, *, without: str = "") -> Client:
        return Client(self.context, io, without)


class Client:
    """A blocking client with sockets of its own; its methods run in a thread."""

    def __init__(self, context: OwningContext, io: IOLoop, without: str) -> None:
        self.session = Session(key=b"key")
        self._io = io
        self._context = context
        self._sockets: dict[str, Any] = {}
        for kind, channel in (
            (zmq.DEALER, "shell"),
            (zmq.DEALER, "control"),
            (zmq.DEALER, "stdin"),
            (zmq.SUB, "iopub"),
        ):
            if channel != without:
                self.connect(channel, kind)

    def connect(self, channel: str, kind: int = zmq.DEALER) -> None:
        socket = self._sockets[channel] = self._context.socket(kind)
        if kind == zmq.SUB:
            socket.subscribe(b"")
        else:
            socket.identity = self.session.bsession
        port = getattr(self._io.ports, channel)
        ip = self._io.ip or "127.0.0.1"
        socket.connect(f"ipc://{ip}-{port}" if ip.startswith("/") else f"tcp://{ip}:{port}")

    async def __call__(self, fn: Callable[..., T], *args: Any) -> T:
        return await to_thread.run_sync(lambda: fn(*args))

    def send(self, channel: str, msg_type: str, content: dict[str, Any], parent: Any = None) -> str:
        message = self.session.msg(msg_type, content, parent=parent)
        self._sockets[channel].send_multipart(self.session.serialize(message))
        return message["msg_id"]

    def get(self, channel: str) -> dict[str, Any]:
        assert self._sockets[channel].poll(PATIENCE_MS), f"nothing came on {channel}"
        frames = self._sockets[channel].recv_multipart()
        return self.session.deserialize(self.session.feed_identities(frames)[1])

    def ask(self, channel: str, msg_type: str, content: dict[str, Any]) -> dict[str, Any]:
        self.send(channel, msg_type, content)
        return self.get(channel)


@dataclass
class Rig:
    """A running loop that answers each request with its own content, and hands it to ``arrived``."""

    io: IOLoop
    requests: list[Request] = field(default_factory=list)


@asynccontextmanager
async def running(settings: IOSettings | None = None, **options: Any) -> AsyncGenerator[Rig]:
    requests: list[Request] = []

    def submit(request: Request) -> None:
        requests.append(request)
        if request.content.get("echo"):
            io.publish("status", {"execution_state": "busy"}, parent=request.header)
            io.reply(request, request.content)
            io.publish("status", {"execution_state": "idle"}, parent=request.header)

    io = IOLoop(settings or IOSettings(), Codec(Session(key=b"key")), submit, logging.getLogger("test"), **options)

    async def run(*, task_status: Any) -> None:
        await io.run(task_status=task_status)

    async with anyio.create_task_group() as tasks:
        await tasks.start(run)
        yield Rig(io, requests)
        io.close()


def leftovers() -> tuple[set[str], int]:
    """Threads of ours, and open descriptors (without what other tests left to the collector)."""
    gc.collect()
    threads = {thread.name for thread in threading.enumerate() if thread.name.startswith("async-kernel")}
    return threads, len(list(Path("/proc/self/fd").iterdir()))


async def test_requests_and_outputs_of_both_channels(clients: Clients) -> None:
    async with running() as rig:
        client = clients.connect(rig.io)
        welcome = await client(client.get, "iopub")
        replies = [
            await client(client.ask, channel, "x_request", {"echo": channel}) for channel in ("shell", "control")
        ]
        outputs = [await client(client.get, "iopub") for _ in range(4)]
    assert welcome["msg_type"] == "iopub_welcome"
    assert [(reply["msg_type"], reply["content"]) for reply in replies] == [
        ("x_reply", {"echo": "shell"}),
        ("x_reply", {"echo": "control"}),
    ]
    assert [output["content"]["execution_state"] for output in outputs] == ["busy", "idle"] * 2
    assert {output["parent_header"]["msg_id"] for output in outputs[:2]} == {replies[0]["parent_header"]["msg_id"]}


async def test_nothing_is_left_behind(clients: Clients) -> None:
    async with running():
        pass  # whatever is made once in a process
    before = leftovers()
    async with running() as rig:
        client = clients.connect(rig.io)
        await client(client.ask, "shell", "x_request", {"echo": 1})
        clients.context.close()
    clients.context = OwningContext()
    assert leftovers() == before


async def test_the_heartbeat_beats(clients: Clients) -> None:
    async with running() as rig:
        socket = clients.context.socket(zmq.REQ)
        socket.connect(f"tcp://127.0.0.1:{rig.io.ports.hb}")
        await to_thread.run_sync(socket.send, b"ping")
        assert await to_thread.run_sync(socket.recv) == b"ping"


async def test_what_was_said_before_closing_arrives(clients: Clients) -> None:
    async with running() as rig:
        client = clients.connect(rig.io)
        await client(client.get, "iopub")
        await client(client.ask, "shell", "x_request", {"echo": 1})
        for _ in range(2):
            await client(client.get, "iopub")
        rig.io.reply(rig.requests[0], {"last": "reply"})
        rig.io.stream("stdout", "no newline", parent=rig.requests[0].header)
        rig.io.publish("shutdown_reply", {}, parent=rig.requests[0].header)
    found = [client.get("shell")["content"], client.get("iopub")["content"], client.get("iopub")["msg_type"]]
    assert found == [{"last": "reply"}, {"name": "stdout", "text": "no newline"}, "shutdown_reply"]


async def test_after_the_end_everything_is_accepted_and_counted() -> None:
    async with running() as rig:
        pass
    request: Any = _request()
    rig.io.publish("status", {}, parent=None)
    rig.io.stream("stdout", "late", parent=None)
    rig.io.reply(request, {})
    answer: Pending[str] = Pending()
    rig.io.ask_input(request, "? ", answer)
    rig.io.start_soon(anyio.sleep, 0)
    rig.io.barrier(lambda: None)
    rig.io.stop_reading()
    rig.io.close()
    with pytest.raises(StdinClosedError):
        answer.result()
    counts = rig.io.drop_counts()
    assert (counts.output, counts.replies) == (2, 1)


def _request() -> Request:
    from tests.fakes import request

    return request("execute_request")


async def test_cancelling_closes_in_order(clients: Clients) -> None:
    before = leftovers()[0]
    async with anyio.create_task_group() as tasks:
        io = IOLoop(IOSettings(), Codec(Session(key=b"key")), lambda _request: None, logging.getLogger("test"))

        async def run(*, task_status: Any) -> None:
            await io.run(task_status=task_status)

        await tasks.start(run)
        client = clients.connect(io)
        await client(client.get, "iopub")
        io.publish("display_data", {"last": True}, parent=None)
        tasks.cancel_scope.cancel()
    assert (client.get("iopub")["content"], leftovers()[0]) == ({"last": True}, before)


async def test_what_a_channel_raises_leaves_run() -> None:
    async def crash() -> None:
        msg = "crash"
        raise ValueError(msg)

    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="crash"), flatten_subgroups=True):
        async with running() as rig:
            rig.io.start_soon(crash)
            await anyio.sleep_forever()


async def test_what_is_to_be_started_after_a_failure_is_not() -> None:
    async def crash() -> None:
        msg = "crash"
        raise ValueError(msg)

    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="crash"), flatten_subgroups=True):
        async with running() as rig:
            rig.io.start_soon(crash)
            while True:
                rig.io.start_soon(anyio.lowlevel.checkpoint)
                await anyio.lowlevel.checkpoint()


async def test_a_port_in_use_is_one_clear_error() -> None:
    for channel in ("hb", "shell", "iopub", "stdin", "control"):
        with sockets.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            io = IOLoop(
                IOSettings(ports=Ports(**{channel: port})),
                Codec(Session(key=b"key")),
                lambda _request: None,
                logging.getLogger("test"),
            )
            with pytest.raises(PortInUseError, match=f"port {port} of the {channel} channel"):
                await io.run()


async def test_closed_before_it_runs_it_ends_at_once() -> None:
    io = IOLoop(IOSettings(), Codec(Session(key=b"key")), lambda _request: None, logging.getLogger("test"))
    io.close()
    with anyio.fail_after(PATIENCE_MS / 1000):
        await io.run()


async def test_one_client_is_asked_and_answers_after_all_output(clients: Clients) -> None:
    async with running() as rig:
        client, other = clients.connect(rig.io), clients.connect(rig.io)
        for each in (client, other):
            await each(each.get, "iopub")
        await client(client.get, "iopub")  # the welcome of the other
        client.send("shell", "execute_request", {"code": ""})
        while not rig.requests:
            await anyio.lowlevel.checkpoint()
        answer: Pending[str] = Pending()
        rig.io.stream("stdout", "before", parent=rig.requests[0].header)
        rig.io.ask_input(rig.requests[0], "name? ", answer)
        question = await client(client.get, "stdin")
        before = client._sockets["iopub"].poll(0)
        client.send("stdin", "input_reply", {"value": "Ada"})
        value = await answer
    assert (question["content"], bool(before), value) == ({"prompt": "name? ", "password": False}, True, "Ada")


async def test_a_client_whose_stdin_connects_late_is_asked_then(clients: Clients) -> None:
    async with running() as rig:
        client = clients.connect(rig.io, without="stdin")
        client.send("shell", "execute_request", {"code": ""})
        while not rig.requests:
            await anyio.lowlevel.checkpoint()
        answer: Pending[str] = Pending()
        rig.io.ask_input(rig.requests[0], "? ", answer)
        await anyio.wait_all_tasks_blocked()
        client.connect("stdin")
        await client(client.get, "stdin")
        client.send("stdin", "input_reply", {"value": "late"})
        assert await answer == "late"


async def test_stop_reading_leaves_requests_unread(clients: Clients) -> None:
    async with running() as rig:
        client = clients.connect(rig.io)
        await client(client.ask, "shell", "x_request", {"echo": 1})
        rig.io.stop_reading()
        called = anyio.Event()
        from async_kernel.lifetime.loop_token import current_loop_token

        token = current_loop_token()
        rig.io.barrier(lambda: token.call_soon(called.set))
        client.send("shell", "x_request", {"echo": 2})
        client.send("control", "x_request", {"echo": 3})
        await called.wait()
    assert [request.content for request in rig.requests] == [{"echo": 1}]


async def test_garbage_on_every_channel_leaves_it_working(clients: Clients, caplog: pytest.LogCaptureFixture) -> None:
    async with running() as rig:
        client = clients.connect(rig.io)
        await client(client.get, "iopub")
        for channel in ("shell", "control", "stdin"):
            for _ in range(10):
                client._sockets[channel].send_multipart([b"garbage"] * 7)
        replies = [
            await client(client.ask, channel, "x_request", {"echo": channel}) for channel in ("shell", "control")
        ]
        while rig.io.drop_counts().bad_messages < 30:
            await anyio.lowlevel.checkpoint()
    assert [reply["content"]["echo"] for reply in replies] == ["shell", "control"]
    assert sorted(message.split(":")[0] for message in caplog.messages if "frame" in message) == [
        "control channel",
        "shell channel",
        "stdin channel",
    ]


async def test_content_that_cannot_be_sent_is_the_callers_error(clients: Clients) -> None:
    async with running() as rig:
        client = clients.connect(rig.io)
        await client(client.get, "iopub")
        with pytest.raises(LocalError):
            rig.io.publish("display_data", {"x": object()}, parent=None)
        rig.io.publish("display_data", {"x": 1}, parent=None)
        assert (await client(client.get, "iopub"))["content"] == {"x": 1}


async def test_a_stalled_client_does_not_hold_up_the_end(clients: Clients) -> None:
    settings = IOSettings(flush_s=0.1, linger_ms=100, output_high_water_mark=2)
    with anyio.fail_after(PATIENCE_MS / 1000):
        async with running(settings) as rig:
            socket = clients.context.socket(zmq.SUB)
            socket.rcvhwm = 1
            socket.subscribe(b"")
            socket.connect(f"tcp://127.0.0.1:{rig.io.ports.iopub}")
            assert await to_thread.run_sync(socket.poll, PATIENCE_MS)
            for _ in range(300):
                rig.io.publish("display_data", {"x": "x" * 100_000}, parent=None)
    assert rig.io.drop_counts().output > 0


async def test_producers_that_wait_are_released_by_the_end(clients: Clients) -> None:
    settings = IOSettings(flush_s=0.1, linger_ms=100, output_high_water_mark=2, iopub_limit_bytes=1_000_000)
    async with running(settings) as rig:
        socket = clients.context.socket(zmq.SUB)
        socket.rcvhwm = 1
        socket.subscribe(b"")
        socket.connect(f"tcp://127.0.0.1:{rig.io.ports.iopub}")
        assert await to_thread.run_sync(socket.poll, PATIENCE_MS)

        def produce() -> None:
            for _ in range(300):
                rig.io.publish("display_data", {"x": "x" * 100_000}, parent=None)

        producer = threading.Thread(target=produce)
        producer.start()
        while not rig.io._queue._waiters:
            await anyio.lowlevel.checkpoint()
    producer.join()


async def test_over_ipc(clients: Clients) -> None:
    async with running(IOSettings(transport="ipc")) as rig:
        directory = Path(rig.io.ip).parent
        client = clients.connect(rig.io)
        await client(client.get, "iopub")
        reply = await client(client.ask, "shell", "x_request", {"echo": 1})
    assert (reply["content"], directory.exists()) == ({"echo": 1}, False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_prints_to_its_descriptor_and_disturbs_nothing(clients: Clients) -> None:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.py"
        script.write_text(_FORKING)
        result = subprocess.run(
            [sys.executable, str(script)], capture_output=True, timeout=60, check=True, cwd=Path(__file__).parents[2]
        )
    assert result.stdout == b"from the child\nparent: 1 message\n"


_FORKING = """
import logging, os, sys
sys.path.insert(0, os.getcwd())
import anyio
from jupyter_client.session import Session
from async_kernel.channels.io_loop import IOLoop, IOSettings
from async_kernel.transport.codec import Codec

async def main():
    io = IOLoop(IOSettings(), Codec(Session(key=b"key")), lambda request: None, logging.getLogger("test"))
    async with anyio.create_task_group() as tasks:
        await tasks.start(lambda *, task_status: io.run(task_status=task_status))
        pid = os.fork()
        if pid == 0:
            io.stream("stdout", "from the child\\n", parent=None)
            io.publish("display_data", {}, parent=None)
            os._exit(0)
        os.waitpid(pid, 0)
        io.close()
    io.publish("display_data", {}, parent=None)
    os.write(1, b"parent: %d message\\n" % io.drop_counts().output)

anyio.run(main, backend="trio")
"""

"""The Debug Adapter Protocol, spoken with a debugger that the test plays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

import anyio
import anyio.lowlevel
import pytest
from anyio.streams.stapled import StapledObjectStream

from async_kernel.kernel.debugging.connection import Connection, ConnectionLostError

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


def framed(message: dict[str, Any]) -> bytes:
    data = json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n%b" % (len(data), data)


class Played:
    """The other end of a connection."""

    def __init__(self) -> None:
        to_us, self._ours = anyio.create_memory_object_stream[bytes](100)
        theirs, self.requests = anyio.create_memory_object_stream[bytes](100)
        self._streams = to_us, self._ours, theirs, self.requests
        self.say = to_us.send_nowait
        self.hang_up = to_us.close
        self.events: list[Any] = []
        stream: Any = StapledObjectStream(theirs, self._ours)
        self.connection = Connection(stream, self.events.append)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._streams:
            stream.close()

    @property
    def all_read(self) -> bool:
        """Whether nothing of what was said is on its way."""
        return not self._ours.statistics().current_buffer_used

    async def request(self) -> dict[str, Any]:
        """The next request, without its header."""
        return json.loads((await self.requests.receive()).partition(b"\r\n\r\n")[2])


@pytest.fixture
def played() -> Generator[Played]:
    with Played() as played:
        yield played


async def test_responses_find_their_requests_in_whatever_order_they_come(played: Played) -> None:
    found: dict[str, Any] = {}

    async def ask(command: str) -> None:
        found[command] = await played.connection.ask(command, {"n": command})

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(played.connection.read)
        for command in ("one", "two"):
            tasks.start_soon(ask, command)
        for request in reversed([await played.request(), await played.request()]):
            assert request["arguments"] == {"n": request["command"]}
            played.say(framed({"type": "response", "request_seq": request["seq"], "body": request["command"]}))
        while len(found) < 2:
            await anyio.lowlevel.checkpoint()
        played.hang_up()
    assert {command: response["body"] for command, response in found.items()} == {"one": "one", "two": "two"}


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_messages_are_found_in_whatever_pieces_they_come(played: Played, size: int) -> None:
    events = [{"type": "event", "event": name, "body": {"text": "ü" * 20}} for name in ("a", "b", "c")]
    data = b"".join(framed(event) for event in events)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(played.connection.read)
        for start in range(0, len(data), size):
            played.say(data[start : start + size])
            while not played.all_read:
                await anyio.lowlevel.checkpoint()
        played.hang_up()
    assert played.events == events


async def test_who_waits_when_the_connection_ends_is_told(played: Played) -> None:
    async def ask() -> None:
        with pytest.raises(ConnectionLostError):
            await played.connection.ask("threads", {})

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(played.connection.read)
        tasks.start_soon(ask)
        await played.request()
        played.hang_up()
    with pytest.raises(ConnectionLostError):
        await played.connection.ask("threads", {})

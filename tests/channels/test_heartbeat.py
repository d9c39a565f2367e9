from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
import trio
import zmq

from async_kernel.channels.heartbeat import serve_heartbeat
from async_kernel.transport.connection import Endpoints, PortInUseError

if TYPE_CHECKING:
    from tests.sockets import OwningContext

PATIENCE_MS = 30_000
"""Until something is taken for hung."""


def new_threads(before: set[threading.Thread]) -> set[threading.Thread]:
    """Those that were not there before; trio's idle ones, which other tests have left, may end meanwhile."""
    return set(threading.enumerate()) - before


@pytest.mark.trio
async def test_it_echoes_until_cancelled_and_leaves_no_thread(context: OwningContext) -> None:
    before = set(threading.enumerate())
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve_heartbeat, context, Endpoints(), 0)
        client = context.socket(zmq.REQ)
        client.connect(f"tcp://127.0.0.1:{port}")
        echoes: list[bytes] = []
        for number in range(3):
            client.send(b"ping %d" % number)
            assert client.poll(PATIENCE_MS)  # blocks this loop: the echo needs none
            echoes.append(client.recv())
        nursery.cancel_scope.cancel()
    assert (echoes, new_threads(before)) == ([b"ping 0", b"ping 1", b"ping 2"], set())


@pytest.mark.trio
async def test_it_answers_while_the_interpreter_is_held(context: OwningContext) -> None:
    """The client is in C, too: its message and the echo pass while this thread never lets go of the interpreter."""
    async with trio.open_nursery() as nursery:
        port = await nursery.start(serve_heartbeat, context, Endpoints(), 0)
        client = context.socket(zmq.REQ)
        client.connect(f"tcp://127.0.0.1:{port}")
        client.send(b"connected")
        client.recv()
        client.send(b"ping")
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not client.getsockopt(zmq.EVENTS) & zmq.POLLIN and time.monotonic() < deadline:
            sum(range(10**6))
        echoed = client.getsockopt(zmq.EVENTS) & zmq.POLLIN
        nursery.cancel_scope.cancel()
    assert echoed


@pytest.mark.trio
async def test_a_port_in_use_ends_it_with_its_name(context: OwningContext) -> None:
    other = context.socket(zmq.ROUTER)
    port = other.bind_to_random_port("tcp://127.0.0.1")
    before = set(threading.enumerate())
    with pytest.RaisesGroup(pytest.RaisesExc(PortInUseError, match=f"port {port} of the hb channel")):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_heartbeat, context, Endpoints(), port)
    assert new_threads(before) == set()


@pytest.mark.trio
@pytest.mark.parametrize("attempt", range(20))
async def test_cancelling_at_once_ends_it(context: OwningContext, attempt: int) -> None:
    before = set(threading.enumerate())
    with trio.fail_after(PATIENCE_MS / 1000):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_heartbeat, context, Endpoints(), 0)
            for _ in range(attempt):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert new_threads(before) == set()

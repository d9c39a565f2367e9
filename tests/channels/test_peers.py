from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import trio
import zmq

from async_kernel.channels.complaints import Complaints
from async_kernel.channels.peers import Departure, Peers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sockets import OwningContext


class _Telling(Complaints):
    """Tells somebody at once."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        super().__init__(logging.getLogger("test"), "iopub channel")
        self._tell = tell

    def add(self, what: object) -> None:
        self._tell(str(what))


class Rig:
    """A watched XPUB socket, and what was reported."""

    def __init__(self, context: OwningContext, nursery: trio.Nursery, *, curve: bool = False) -> None:
        self.socket = context.socket(zmq.XPUB)
        if curve:
            self.socket.curve_publickey, self.socket.curve_secretkey = zmq.curve_keypair()
            self.socket.curve_server = True
        self.socket.bind("tcp://127.0.0.1:*")
        self.address = self.socket.get_string(zmq.LAST_ENDPOINT)
        self.came = trio.Semaphore(0)
        self.gone, self._gone = trio.open_memory_channel[Departure](10)
        self._complained, self.complaint = trio.open_memory_channel[str](10)
        self.peers = Peers(
            self.socket,
            trio.lowlevel.current_trio_token(),
            _Telling(self._complained.send_nowait),
            came=self.came.release,
            gone=self.gone.send_nowait,
        )
        nursery.start_soon(self.peers.serve)

    def departures(self) -> trio.MemoryReceiveChannel[Departure]:
        return self._gone

    def close(self) -> None:
        self.peers.close()
        self.gone.close()
        self._gone.close()
        self._complained.close()
        self.complaint.close()


@pytest.mark.trio
async def test_clients_come_and_go_by_name(context: OwningContext) -> None:
    async with trio.open_nursery() as nursery:
        rig = Rig(context, nursery)
        client = context.socket(zmq.SUB)
        client.connect(rig.address)
        await rig.came.acquire()
        client.close(linger=0)
        departure = await rig.departures().receive()
        nursery.cancel_scope.cancel()
    rig.close()
    assert departure.name.startswith("the client at 127.0.0.1:")
    assert departure.untaken == (0, 0.0)


@pytest.mark.trio
async def test_a_client_that_leaves_while_it_is_behind_has_not_stalled(context: OwningContext) -> None:
    async with trio.open_nursery() as nursery:
        rig = Rig(context, nursery)
        client = context.socket(zmq.SUB)
        client.rcvhwm = 1
        client.subscribe(b"")
        client.connect(rig.address)
        assert await trio.to_thread.run_sync(rig.socket.recv) == b"\x01"
        for _ in range(100):
            rig.socket.send(b"x" * 100_000)
        client.close(linger=0)
        departure = await rig.departures().receive()
        nursery.cancel_scope.cancel()
    rig.close()
    assert departure.untaken.silence < 10


@pytest.mark.trio
async def test_a_client_without_our_key_is_complained_about(context: OwningContext) -> None:
    async with trio.open_nursery() as nursery:
        rig = Rig(context, nursery, curve=True)
        client = context.socket(zmq.SUB)
        client.connect(rig.address)
        assert "refused" in await rig.complaint.receive()
        nursery.cancel_scope.cancel()
    rig.close()

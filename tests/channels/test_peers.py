from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING

import pytest
import trio
import zmq

from async_kernel.channels.complaints import Complaints
from async_kernel.channels.peers import Peers
from async_kernel.platforms.tcp import TELLS_PROGRESS

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
        self._complained, self.complaint = trio.open_memory_channel[str](10)
        self.peers = Peers(
            self.socket,
            trio.lowlevel.current_trio_token(),
            _Telling(self._complained.send_nowait),
            came=self.came.release,
            remembers=True,
        )
        nursery.start_soon(self.peers.serve)

    def close(self) -> None:
        self.peers.close()
        self._complained.close()
        self.complaint.close()


@pytest.mark.trio
async def test_clients_are_known_while_they_are_there(context: OwningContext) -> None:
    async with trio.open_nursery() as nursery:
        rig = Rig(context, nursery)
        client = context.socket(zmq.SUB)
        client.connect(rig.address)
        await rig.came.acquire()
        assert len(rig.peers._connections) == 1
        client.close(linger=0)
        while rig.peers._connections:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    rig.close()


@pytest.mark.skipif(not TELLS_PROGRESS, reason="the system does not tell")
@pytest.mark.trio
async def test_a_client_that_takes_nothing_is_seen_and_let_go_by_name(context: OwningContext) -> None:
    async with trio.open_nursery() as nursery:
        rig = Rig(context, nursery)
        client = context.socket(zmq.SUB)
        client.rcvhwm = 1
        client.subscribe(b"")
        client.connect(rig.address)
        await rig.came.acquire()
        assert await trio.to_thread.run_sync(rig.socket.recv) == b"\x01"
        ((key, before),) = rig.peers.progress().items()
        for _ in range(100):
            rig.socket.send(b"x" * 100_000)
        while not rig.peers.progress()[key].waiting:
            await trio.lowlevel.checkpoint()
        assert rig.peers.progress()[key].taken > before.taken
        assert rig.peers.let_go(key).startswith("the client at 127.0.0.1:")
        while rig.peers._connections:  # ZMQ has forgotten him
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    rig.close()


@pytest.mark.trio
async def test_a_client_that_cannot_be_remembered_is_noted(
    context: OwningContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_descriptor(_: int) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    async with trio.open_nursery() as nursery:
        rig = Rig(context, nursery)
        assert rig.peers.all_known
        monkeypatch.setattr("async_kernel.channels.peers.os.dup", no_descriptor)
        client = context.socket(zmq.SUB)
        client.connect(rig.address)
        await rig.came.acquire()
        nursery.cancel_scope.cancel()
    assert not rig.peers.all_known
    rig.close()


@pytest.mark.trio
async def test_a_client_without_our_key_is_complained_about(context: OwningContext) -> None:
    async with trio.open_nursery() as nursery:
        rig = Rig(context, nursery, curve=True)
        client = context.socket(zmq.SUB)
        client.connect(rig.address)
        assert "refused" in await rig.complaint.receive()
        nursery.cancel_scope.cancel()
    rig.close()

"""Raw frames on every channel of a real kernel: it refuses them, counts them, and serves the next client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import zmq
from jupyter_client.session import Session

from tests.torture.frames import Mutator
from tests.torture.kernels import KEY, fed_kernel
from tests.torture.scale import of, record, seeded

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.harness.process import KernelProcess

IN_PROCESS = of(short=2_000, long=200_000)
ON_WIRE = of(short=4_000, long=1_000_000)


@pytest.mark.parametrize("backend", of(short=["trio"], long=["trio", "asyncio"]))
def test_frames_with_faults_are_refused_or_answered(tmp_path: Path, backend: str) -> None:
    mutator = Mutator(seeded(), Session(key=KEY))
    with fed_kernel(tmp_path, backend) as fed:
        for _ in range(IN_PROCESS):
            fed.serve([b"client", *mutator.frames()])
        record(
            "frames with faults, in process", backend=backend, frames=IN_PROCESS, served=fed.served, refused=fed.refused
        )
        assert fed.served > IN_PROCESS // 20
        assert fed.refused > IN_PROCESS // 4


@pytest.mark.filterwarnings("ignore:Interpreting naive datetime")  # one that was made here: of jupyter_client
@pytest.mark.parametrize("backend", of(short=["trio"], long=["trio", "asyncio"]), scope="module")
def test_a_kernel_outlives_frames_on_all_its_channels(own_kernel: KernelProcess, ours: None, backend: str) -> None:
    client = own_kernel.client()
    mutator = Mutator(seeded(), client.kc.session)
    kinds = {"shell": zmq.DEALER, "control": zmq.DEALER, "stdin": zmq.DEALER, "iopub": zmq.XSUB, "hb": zmq.DEALER}
    counts = dict.fromkeys(kinds, 0)
    with zmq.Context() as context:
        sockets = {}
        for channel, kind in kinds.items():
            sockets[channel] = socket = context.socket(kind)
            socket.linger = 0
            socket.connect(f"tcp://127.0.0.1:{getattr(client.kc, f'{channel}_port')}")
        rng = seeded()
        for number in range(ON_WIRE):
            channel = rng.choice(list(kinds))
            socket = sockets[channel]
            frames = mutator.frames()
            socket.send_multipart(frames if channel != "iopub" else [b"".join(frames)])
            counts[channel] += len(frames)
            while socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:
                socket.recv_multipart()
            if number % 5_000 == 4_999:  # let it keep up, and look whether it lives
                for name in ("shell", "control"):
                    assert client.request("kernel_info_request", channel=name).status == "ok"
                client.received.clear()
        for socket in sockets.values():
            socket.linger = 10_000
            socket.close()
    for name in ("shell", "control"):
        assert client.request("kernel_info_request", channel=name).status == "ok"
    assert client.run("6 * 7", timeout=60).text == "42"
    refused = client.request("drop_counts_request", channel="control").reply["bad_messages"]
    record("frames with faults, on the wire", backend=backend, messages=ON_WIRE, frames=counts, refused=refused)
    assert refused > ON_WIRE // 8
    assert own_kernel.alive

"""Twenty subscribers of one long output: those that read get all of it in order, whatever the others do.

Memory of the kernel is bound by what it declares: 32 MiB of output that waits in its own queue, and 64 messages of up
to 1 MiB for each subscriber that does not keep up (they share the memory of a message), and what the machine's sockets
hold.
"""

from __future__ import annotations

import multiprocessing
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import zmq
from jupyter_client.session import Session

from tests.torture.scale import of, record

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from tests.e2e.harness.process import KernelProcess

MEGABYTE = 1_000_000
OUTPUT = of(short=60, long=1_000)
"""Megabytes."""
SUBSCRIBERS = of(short=5, long=20)
BOUND = 400 * MEGABYTE
STALLED_S = of(short=4.0, long=60.0)
"""Of the long form the default: ZMQ reads on only when half of its 1000 messages are taken, which may take a while."""
SLOW = of(short=4, long=1) * MEGABYTE
"""Bytes that a slow subscriber reads in a second: far fewer than the cell prints."""
LINE = "{:07d} " + "x" * 991 + "\n"


def read(port: int, key: bytes, kind: str, to_parent: Connection) -> None:
    """A subscriber in a process of its own: ``reads``, ``slow`` (see SLOW), ``stalls`` after the first."""
    session = Session(key=key)
    context: zmq.Context[Any] = zmq.Context()
    socket = context.socket(zmq.SUB)
    socket.rcvhwm = 4 if kind != "reads" else 1000
    socket.setsockopt(zmq.RCVBUF, 1 << 16)
    socket.subscribe(b"")
    socket.connect(f"tcp://127.0.0.1:{port}")
    text: list[str] = []
    shown: list[int] = []
    lines = 0
    began = None
    while True:
        _, frames = session.feed_identities(socket.recv_multipart())
        header, content = session.unpack(frames[1]), session.unpack(frames[4])
        if header["msg_type"] == "iopub_welcome":
            to_parent.send("welcome")
        elif header["msg_type"] == "stream":
            if kind == "stalls":
                to_parent.send("stalled")
                time.sleep(3600)  # it is killed
            began = began or time.monotonic()
            text.append(content["text"])
            while "\n" in text[-1]:  # compare line by line, and keep nothing
                *whole, rest = "".join(text).split("\n")
                for line in whole:
                    assert line == LINE.format(lines)[:-1], (lines, line[:20])
                    lines += 1
                text = [rest]
            if kind == "slow":
                time.sleep(max(0.0, began + lines * len(LINE.format(0)) / SLOW - time.monotonic()))
        elif header["msg_type"] == "display_data":
            shown.append(lines)  # a display comes after all that was printed before
            assert content["data"]["text/plain"] == repr(lines), (content, lines)
        elif header["msg_type"] == "status" and content["execution_state"] == "idle" and lines:
            to_parent.send((lines, len(shown)))
            return


def said(connection: Connection, timeout_s: float) -> Any:
    """What a reader says last; every subscription is welcomed for all to see."""
    while True:
        assert connection.poll(timeout_s)
        message = connection.recv()
        if message != "welcome":
            return message


CELL = """
line = {line!r}
for n in range({lines}):
    if n % 10_000 == 0: display(n)
    print(line.format(n), end="")
"""


@pytest.mark.parametrize("backend", of(short=["trio"], long=["trio", "asyncio"]), scope="module")
def test_live_subscribers_get_all_output(start: Callable[..., KernelProcess], ours: None, backend: str) -> None:
    kernel = start(f"--ZMQInterface.stalled_client={STALLED_S}")
    client = kernel.client()
    assert client.run("1").status == "ok"
    client.warm_up()
    context = multiprocessing.get_context("spawn")
    kinds = ["stalls", "killed", "slow", *["reads"] * (SUBSCRIBERS - 3)]
    if OUTPUT > 100:
        kinds[2] = "reads"  # a gigabyte at 1 MB/s is a quarter of an hour: the slow one has a test of its own
    readers = []
    for kind in kinds:
        ours_, theirs = context.Pipe()
        process = context.Process(
            target=read, args=(client.kc.iopub_port, client.kc.session.key, kind, theirs), daemon=True
        )
        process.start()
        readers.append((kind, process, ours_))
    try:
        for _, _, connection in readers:
            assert connection.poll(600)
            assert connection.recv() == "welcome"
        lines = OUTPUT * MEGABYTE // len(LINE.format(0))
        memory, most = psutil.Process(kernel.pid), 0
        before = memory.memory_info().rss
        began = time.monotonic()
        running = client.start(CELL.format(line=LINE, lines=lines))
        client.until(lambda: any(r.kind == "stream" for r in client.received), "some output")
        next(process for kind, process, _ in readers if kind == "killed").kill()

        def done() -> bool:
            nonlocal most
            most = max(most, memory.memory_info().rss - before)
            finished = client.so_far(running).done
            if not finished:
                client.received[:] = [r for r in client.received if r.kind not in ("stream", "display_data")]
            return finished

        client.until(done, "the end of the cell", timeout=600)
        took = time.monotonic() - began
        for kind, _, connection in readers:
            if kind in ("reads", "slow"):
                assert said(connection, 600) == (lines, -(-lines // 10_000)), kind
        counts = client.request("drop_counts_request", channel="control").reply
        warnings = [line for line in kernel.log.splitlines() if "took no output" in line]
        assert counts["stalled_clients"] == len(warnings) == 1
        assert (counts["output"], counts["bad_messages"]) == (0, 0)
        assert "127.0.0.1:" in warnings[0]
        shown = client.run("%dropped").stdout
        assert "stalled clients   1" in shown
        assert most < BOUND
        record(
            "output",
            backend=backend,
            megabytes=OUTPUT,
            subscribers=SUBSCRIBERS,
            seconds=round(took, 1),
            memory_megabytes=round(most / MEGABYTE),
            dropped=counts["stalled_clients"],
        )
    finally:
        for _, process, _ in readers:
            process.kill()
            process.join()

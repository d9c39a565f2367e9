"""A service that answers all the time, with a kernel in its loop: it misses nothing, with or without clients."""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.e2e.harness.client import wait_for
from tests.e2e.harness.process import start_program
from tests.torture.scale import of, record

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.harness.subject import Home

SERVED_S = of(short=2.0, long=60.0)

SERVICE = """
import sys
import anyio
from async_kernel import Interface

async def answer(stream):
    async with stream:
        async for line in stream:
            await stream.send(line)

async def main():
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with Interface(["-f", sys.argv[1]]), anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer)
        print("port", listener.extra(anyio.abc.SocketAttribute.local_port), flush=True)
        await anyio.sleep_forever()

anyio.run(main, backend=%r)
"""
ASKS = """
import json, socket, sys, time
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
sock.settimeout(30)
until, times = time.monotonic() + float(sys.argv[2]), []
while time.monotonic() < until:
    began = time.perf_counter()
    line = b"%d\\n" % len(times)
    sock.sendall(line)
    got = b""
    while not got.endswith(b"\\n"): got += sock.recv(100)
    assert got == line, got
    times.append(time.perf_counter() - began)
    time.sleep(0.001)
print(json.dumps(times))
"""


def latencies(port: str) -> list[float]:
    """Seconds of every answer of the service, asked one after another from another process."""
    import json

    asked = subprocess.run(
        [sys.executable, "-c", ASKS, port, str(SERVED_S)], capture_output=True, text=True, check=True, timeout=600
    )
    return json.loads(asked.stdout)


@pytest.mark.parametrize("backend", ["trio", "asyncio"], scope="module")
def test_a_service_with_a_kernel_misses_no_request(home: Home, tmp_path: Path, ours: None, backend: str) -> None:
    path = tmp_path / "connection.json"
    with start_program(home, SERVICE % backend, folder=tmp_path, connection_file=path) as program:
        client = program.client()
        wait_for(lambda: program.log.partition("port ")[2].endswith("\n"), "the port of the service")
        port = program.log.partition("port ")[2].split()[0]
        quiet = latencies(port)

        done = threading.Event()
        cells = 0

        def chat() -> None:
            nonlocal cells
            while not done.is_set():
                for code in (
                    "print('x' * 10_000)",
                    "import anyio\nawait anyio.sleep(0.001)",
                    "1 / 0",
                    "sum(range(1000))",
                ):
                    client.run(code, store_history=False)
                client.request("complete_request", {"code": "pri", "cursor_pos": 3})
                client.received.clear()
                cells += 4

        chatting = threading.Thread(target=chat)
        chatting.start()
        try:
            chatty = latencies(port)
        finally:
            done.set()
            chatting.join()
        assert client.run("6 * 7").text == "42"
    assert len(quiet) > 100
    assert len(chatty) > 50
    record("embedded", backend=backend, cells=cells, **ms("quiet", quiet), **ms("chatty", chatty))


def ms(name: str, times: list[float]) -> dict[str, float]:
    """Figures in milliseconds."""
    quantiles = statistics.quantiles(times, n=100)
    return {
        f"{name} answers": len(times),
        f"{name} median ms": round(1000 * quantiles[49], 2),
        f"{name} p99 ms": round(1000 * quantiles[98], 2),
    }

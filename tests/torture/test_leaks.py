"""A day in minutes: cells, comms, subshells, interrupts, clients; at the end there is what there was at first."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.torture.scale import of, record

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess

CELLS = of(short=300, long=100_000)
COMMS = of(short=50, long=10_000)
SUBSHELLS = of(short=5, long=1_000)
INTERRUPTS = of(short=5, long=1_000)
GENERATIONS = of(short=3, long=100)
ROUNDS = of(short=3, long=20)
"""So many times the figures are read; a part of everything is done between two of them."""
GROWTH = of(short=8, long=24) * 1_000_000
"""Bytes that resident memory may grow after the first round: allocators keep some, and 65 536 signatures take 13 MB."""

INSIDE = (
    "(lambda gc, threading, sys: (gc.collect(), [threading.active_count(),"
    " sum(type(o).__module__.startswith('zmq') and type(o).__name__ == 'Socket' and not o.closed"
    " for o in gc.get_objects()), {tasks}])[1])(__import__('gc'), __import__('threading'), __import__('sys'))"
)
"""Threads, sockets and tasks. Sockets are those made since the start: what starting made is frozen, and not listed."""
TASKS = {
    "trio": "__import__('trio').lowlevel.current_statistics().tasks_living",
    "asyncio": "len(__import__('asyncio').all_tasks())",
}


def figures(kernel: KernelProcess, client: Client, backend: str) -> dict[str, int]:
    """What a kernel has of everything."""
    threads, sockets, tasks = eval(client.value(INSIDE.format(tasks=TASKS[backend])))
    process = psutil.Process(kernel.pid)
    return {
        "rss": process.memory_info().rss,
        "descriptors": process.num_fds(),
        "system threads": process.num_threads(),
        "threads": threads,
        "sockets": sockets,
        "tasks": tasks,
    }


def work(kernel: KernelProcess, client: Client) -> None:
    """A part of everything."""
    run = {"silent": False, "store_history": False}
    for number in range(CELLS // ROUNDS):
        client.run(f"print({number})\nvalue = list(range(100))\nvalue", **run)
        client.received.clear()
    client.run(
        "import comm\n"
        f"for number in range({COMMS // ROUNDS}):\n"
        "    one = comm.create_comm(target_name='t', data={'x': number})\n    one.send({'y': 1})\n    one.close()",
        **run,
    )
    for _ in range(-(-SUBSHELLS // ROUNDS)):
        subshell = client.request("create_subshell_request", channel="control").reply["subshell_id"]
        client.result(client.send("execute_request", {"code": "1", **run}, subshell_id=subshell))
        client.request("delete_subshell_request", {"subshell_id": subshell}, channel="control")
        client.received.clear()
    for number in range(-(-INTERRUPTS // ROUNDS)):
        code = "print('ready', flush=True)\n" + (
            "while True: pass" if number % 2 else "import anyio\nawait anyio.sleep(99)"
        )
        running = client.start(code, **run)
        client.printed(running, "ready")
        client.interrupt()
        client.result(running)
        client.received.clear()
    for _ in range(-(-GENERATIONS // ROUNDS)):
        other = kernel.client()
        other.run("1", **run)
        other.close()
        client.received.clear()


@pytest.mark.parametrize("backend", ["trio", "asyncio"], scope="module")
def test_everything_is_given_back(start: Callable[..., KernelProcess], ours: None, backend: str) -> None:
    kernel = start()
    client = kernel.client()
    began = time.monotonic()
    client.warm_up()
    work(kernel, client)  # what is made once is made
    readings: list[dict[str, Any]] = []
    for _ in range(ROUNDS):
        readings.append({"seconds": round(time.monotonic() - began, 1), **settled(kernel, client, backend, readings)})
        work(kernel, client)
        gc.collect()
    first, last = readings[0], settled(kernel, client, backend, readings)
    record(
        "leaks", backend=backend, cells=CELLS, comms=COMMS, subshells=SUBSHELLS, interrupts=INTERRUPTS,
        generations=GENERATIONS, readings=[*readings, {"seconds": round(time.monotonic() - began, 1), **last}],
    )  # fmt: skip
    counted = ("descriptors", "system threads", "threads", "sockets", "tasks")
    assert {name: last[name] for name in counted} == {name: first[name] for name in counted}
    assert last["rss"] - first["rss"] < GROWTH


def settled(kernel: KernelProcess, client: Client, backend: str, readings: list[Any]) -> dict[str, int]:
    """The figures, when the connections of clients that have left are closed on both sides."""
    for _ in range(50):
        now = figures(kernel, client, backend)
        if not readings or now["descriptors"] <= readings[0]["descriptors"]:
            break
    return now

"""Many requests at once: how many cells per second a kernel gets through when it never has to wait for one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import zmq

from benchmarks.errors import NoAnswerError
from benchmarks.model import Effort, Figure, Probe

if TYPE_CHECKING:
    from benchmarks.client import Client
    from benchmarks.model import Readings
    from benchmarks.stage import Stage

__all__ = ["PROBES", "pipeline"]

CELLS = Effort(250, 2000)
PATIENCE = Effort(10, 60)
"""Seconds after which a kernel counts as one that answers no more."""
EXECUTES = Figure("execute_rate", "`pass` cells per second, pipelined", "1/s", "higher")


def pipeline(client: Client, count: int, *, code: str = "pass", timeout: float = 120.0) -> float:
    """Send ``count`` cells without waiting; return the seconds until the last reply and the last idle.

    Raises:
        NoAnswerError: if not all replies and idles came within ``timeout`` seconds.
    """
    started = time.perf_counter()
    deadline = started + timeout
    for _ in range(count):
        client.send_cell(code)
    replies = idles = 0
    poller = zmq.Poller()
    poller.register(client.shell, zmq.POLLIN)
    poller.register(client.iopub, zmq.POLLIN)
    while replies < count or idles < count:
        ready = dict(poller.poll(max(0, int((deadline - time.perf_counter()) * 1000))))
        if not ready:
            raise NoAnswerError(f"{replies} replies and {idles} idles to {count} cells within {timeout:g} s")
        if client.shell in ready:
            replies += len(client.drain(client.shell))
        if client.iopub in ready:
            idles += sum(message.is_idle for message in client.drain(client.iopub))
    return time.perf_counter() - started


def many_cells(stage: Stage) -> Readings:
    """Pipelined cells."""
    client, count = stage.client, stage.effort(CELLS)
    pipeline(client, 10, timeout=stage.effort(PATIENCE))
    return {EXECUTES.name: count / pipeline(client, count, timeout=stage.effort(PATIENCE))}


PROBES = (
    Probe(
        name="execute_rate",
        family="throughput",
        title="pipelined cells",
        figures=(EXECUTES,),
        run=many_cells,
        rounds=Effort(3, 7),
    ),
)

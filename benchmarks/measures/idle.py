"""Doing nothing: what a kernel costs while nobody uses it.

All kernels are left alone at the same time, after each has answered a request and run a cell.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.errors import KernelError
from benchmarks.model import Effort, Figure, Probe
from benchmarks.process import memory, thread_count, voluntary_switches

if TYPE_CHECKING:
    from benchmarks.model import Readings
    from benchmarks.stage import Stage

__all__ = ["PROBES"]

RSS = Figure("idle_rss", "resident memory, idle", "MB")
PSS = Figure("idle_pss", "proportional memory, idle", "MB")
THREADS = Figure("idle_threads", "threads, idle", "")
WAKE_UPS = Figure("idle_wake_ups", "wake-ups per second, idle", "1/s")
CPU = Figure("idle_cpu", "CPU time per second, idle")


def look(stage: Stage) -> Readings:
    """Read the counters of a kernel; what they counted since the last look is the reading."""
    session = stage.session
    pid = session.process.pid
    if "idle" not in stage.memory:
        session.client.round_trip("execute_request", {"code": "pass", "silent": False, "store_history": True})
    counted, used, now = voluntary_switches(pid), session.cpu(), time.perf_counter()
    before = stage.memory.get("idle")
    stage.memory["idle"] = (counted, used, now)
    if session.process.poll() is not None:
        raise KernelError("it ended while it was left alone")
    sizes = memory(pid)
    readings = {RSS.name: sizes.rss, THREADS.name: float(thread_count(pid))}
    if sizes.pss is not None:
        readings[PSS.name] = sizes.pss
    if before:
        seconds = now - before[2]
        readings[CPU.name] = (used - before[1]) / seconds * 1e3
        if counted is not None:
            readings[WAKE_UPS.name] = (counted - before[0]) / seconds
    return readings


PROBES = (
    Probe(
        name="idle",
        family="idle",
        title="memory, threads and wake-ups of an idle kernel",
        figures=(RSS, PSS, THREADS, WAKE_UPS, CPU),
        run=look,
        rounds=Effort(1, 1),
        window=Effort(6, 60),
    ),
)

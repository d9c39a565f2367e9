"""Cells beside each other: many cells that each await a tenth of a second, by each kernel's own means.

A kernel without concurrent cells runs them one after another, and its figure shows that.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.client import ANSWER_TIMEOUT
from benchmarks.model import Effort, Feature, Figure, Probe

if TYPE_CHECKING:
    from benchmarks.model import Readings
    from benchmarks.stage import Stage

__all__ = ["PROBES"]

CELLS = Effort(10, 50)
SECONDS = 0.1
OVERHEAD = Figure("concurrent_overhead", "time per concurrent cell beyond its 0.1 s of awaiting")
TOTAL = Figure("concurrent_total", "all concurrent cells, each awaiting 0.1 s")


def beside_each_other(stage: Stage) -> Readings:
    """Send cells that await, all at once; the time until all have replied."""
    client, count = stage.client, stage.effort(CELLS)
    code = f"{stage.kernel.concurrent}\nawait {stage.kernel.await_seconds.format(seconds=SECONDS)}".strip()
    client.run(code)
    started = time.perf_counter()
    ids = [client.send_cell(code) for _ in range(count)]
    missing = set(ids)
    while missing:
        missing.discard(client.receive(client.shell, started + ANSWER_TIMEOUT).parent_id)
    took = time.perf_counter() - started
    missing = set(ids)
    while missing:
        message = client.receive(client.iopub, started + ANSWER_TIMEOUT)
        if message.is_idle:
            missing.discard(message.parent_id)
    return {TOTAL.name: took * 1e3, OVERHEAD.name: (took - SECONDS) / count * 1e3}


PROBES = (
    Probe(
        name="concurrent_cells",
        family="concurrency",
        title="concurrent cells",
        figures=(TOTAL, OVERHEAD),
        run=beside_each_other,
        needs=frozenset({Feature.awaits}),
        rounds=Effort(1, 5),
    ),
)

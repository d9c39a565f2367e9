"""What is measured: a module for each family of measures, and the list of all probes in the order of a run."""

from __future__ import annotations

from benchmarks.measures import (
    blocked,
    buffers,
    clients,
    comms,
    concurrency,
    growth,
    idle,
    interrupts,
    introspection,
    output,
    round_trips,
    start,
    throughput,
)

__all__ = ["PROBES"]

PROBES = (
    *start.PROBES,
    *idle.PROBES,
    *round_trips.PROBES,
    *throughput.PROBES,
    *output.PROBES,
    *buffers.PROBES,
    *comms.PROBES,
    *introspection.PROBES,
    *blocked.PROBES,
    *interrupts.PROBES,
    *concurrency.PROBES,
    *clients.PROBES,
    *growth.PROBES,
)

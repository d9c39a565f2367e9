"""Is anybody there? Heartbeat and control while a cell sleeps, computes in Python, or holds the GIL in C."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.client import ANSWER_TIMEOUT
from benchmarks.measures.introspection import begin_cell
from benchmarks.model import Effort, Feature, Figure, Probe

if TYPE_CHECKING:
    from benchmarks.client import Client
    from benchmarks.model import Readings
    from benchmarks.stage import Stage

__all__ = ["PROBES"]

MILLISECONDS = Effort(600, 3000)

SLEEP = "time.sleep({seconds})"
LOOP = "_end = time.monotonic() + {seconds}\nwhile time.monotonic() < _end: sum(i for i in range(100))"
HOLD = """
_t = time.perf_counter(); sum(range(1_000_000)); _t = time.perf_counter() - _t
sum(range(int({seconds} / _t * 1_000_000)))
"""
"""One call into C that does not give the GIL away; how much work that is, is found out first."""


def _busy(client: Client, msg_id: str) -> bool:
    """Whether the cell still runs, as far as iopub says so."""
    return not any(message.is_idle and message.parent_id == msg_id for message in client.drain(client.iopub))


def heartbeat(stage: Stage, *, name: str, code: str) -> Readings:
    """Ping, wait for the echo, ping again, as long as the cell runs."""
    client = stage.client
    client.ping()
    msg_id = begin_cell(client, code.format(seconds=stage.effort(MILLISECONDS) / 1000))
    samples = list[float]()
    while True:
        samples.append(client.ping() * 1e3)
        if not _busy(client, msg_id):
            break
        # Not a flood: the pings shall not keep a core busy that the kernel needs.
        time.sleep(0.005)
    client.reply_to(msg_id)
    return {name: samples, f"{name}_max": max(samples)}


def control(stage: Stage, *, name: str, code: str) -> Readings:
    """kernel_info on the control channel, one after another, as long as the cell runs."""
    client = stage.client
    client.request("kernel_info_request", {}, channel="control")
    msg_id = begin_cell(client, code.format(seconds=stage.effort(MILLISECONDS) / 1000))
    samples = list[float]()
    while True:
        took, _ = client.request("kernel_info_request", {}, channel="control", timeout=ANSWER_TIMEOUT)
        samples.append(took * 1e3)
        if not _busy(client, msg_id):
            break
        time.sleep(0.005)
    client.reply_to(msg_id)
    return {name: samples}


def _heartbeat_probe(name: str, title: str, code: str) -> Probe:
    return Probe(
        name=name,
        family="blocked",
        title=f"heartbeat during {title}",
        figures=(Figure(name, f"heartbeat during {title}"), Figure(f"{name}_max", f"slowest heartbeat during {title}")),
        run=partial(heartbeat, name=name, code=code),
        needs=frozenset({Feature.executes, Feature.heartbeat}),
        rounds=Effort(1, 3),
    )


def _control_probe(name: str, title: str, code: str) -> Probe:
    return Probe(
        name=name,
        family="blocked",
        title=f"kernel_info on control during {title}",
        figures=(Figure(name, f"control kernel_info during {title}"),),
        run=partial(control, name=name, code=code),
        needs=frozenset({Feature.executes, Feature.control}),
        rounds=Effort(1, 3),
    )


PROBES = (
    _heartbeat_probe("heartbeat_sleep", "time.sleep", SLEEP),
    _heartbeat_probe("heartbeat_gil", "C code that holds the GIL", HOLD),
    _control_probe("control_sleep", "time.sleep", SLEEP),
    _control_probe("control_gil", "C code that holds the GIL", HOLD),
    _control_probe("control_loop", "a busy Python loop", LOOP),
)

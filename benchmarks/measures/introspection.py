"""Completion and inspection: on an idle kernel, and while a cell sleeps, computes or awaits."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.client import ANSWER_TIMEOUT
from benchmarks.errors import WrongAnswerError
from benchmarks.model import Effort, Feature, Figure, Probe

if TYPE_CHECKING:
    from benchmarks.client import Client
    from benchmarks.model import Readings
    from benchmarks.stage import Stage

__all__ = ["PROBES", "begin_cell"]

REPEATS = Effort(10, 50)
BUSY_SECONDS = 0.7
"""How long the cell is busy: a kernel that answers only afterwards shows this figure."""

COMPLETE = {"code": "os.pat", "cursor_pos": 6}
INSPECT = {"code": "os.path.join", "cursor_pos": 12, "detail_level": 0}


def begin_cell(client: Client, code: str) -> str:
    """Send a cell, and wait until its code runs (it prints a line before it goes on)."""
    msg_id = client.send_cell(f"print('in', flush=True)\n{code}")
    deadline = time.perf_counter() + ANSWER_TIMEOUT
    while True:
        message = client.receive(client.iopub, deadline)
        if message.msg_type == "stream" and message.parent_id == msg_id:
            return msg_id


def _ask(client: Client, msg_type: str, content: dict[str, Any]) -> float:
    """Milliseconds until the answer, which must be one."""
    took, reply = client.request(msg_type, content)
    if not (reply.get("matches") or reply.get("found")):
        raise WrongAnswerError(f"{msg_type} was answered with nothing")
    return took * 1e3


def idle(stage: Stage) -> Readings:
    """Warm requests, one after another, nothing else going on."""
    client = stage.client
    stage.once("os", "import os")
    for _ in range(2):
        _ask(client, "complete_request", COMPLETE)
        _ask(client, "inspect_request", INSPECT)
    repeats = stage.effort(REPEATS)
    return {
        "complete": [_ask(client, "complete_request", COMPLETE) for _ in range(repeats)],
        "inspect": [_ask(client, "inspect_request", INSPECT) for _ in range(repeats)],
    }


def busy(stage: Stage, *, name: str, code: str) -> Readings:
    """Warm requests while a cell goes on for a while; asked until it has ended, at most five of each."""
    client = stage.client
    stage.once("os", "import os")
    _ask(client, "complete_request", COMPLETE)
    _ask(client, "inspect_request", INSPECT)
    awaiting = stage.kernel.await_seconds.format(seconds=BUSY_SECONDS)
    started = time.perf_counter()
    msg_id = begin_cell(client, code.format(await_seconds=awaiting, seconds=BUSY_SECONDS))
    completed, inspected = list[float](), list[float]()
    request_ids = list[str]()
    for _ in range(5):
        if completed and time.perf_counter() - started > BUSY_SECONDS * 0.8:
            break
        # Asked together, as a front-end with a tooltip does; what waits for the cell waits once.
        asked = time.perf_counter()
        request_ids = [client.send("complete_request", COMPLETE), client.send("inspect_request", INSPECT)]
        for _ in request_ids:
            message = client.receive(client.shell, asked + ANSWER_TIMEOUT)
            while message.parent_id not in request_ids:
                message = client.receive(client.shell, asked + ANSWER_TIMEOUT)
            took = (time.perf_counter() - asked) * 1e3
            (completed if message.parent_id == request_ids[0] else inspected).append(took)
    _until_cell_ended(client, msg_id)
    return {f"complete_{name}": completed, f"inspect_{name}": inspected}


def _until_cell_ended(client: Client, msg_id: str) -> None:
    """Its reply may have been passed over while other replies were read: its idle has not."""
    client.outputs_until_idle(msg_id)
    client.round_trip("kernel_info_request", {})


def _busy_probe(name: str, title: str, code: str, feature: Feature) -> Probe:
    return Probe(
        name=f"introspection_{name}",
        family="introspection",
        title=f"complete and inspect during {title}",
        figures=(
            Figure(f"complete_{name}", f"complete during {title}"),
            Figure(f"inspect_{name}", f"inspect during {title}"),
        ),
        run=partial(busy, name=name, code=code),
        needs=frozenset({Feature.introspects, feature}),
        rounds=Effort(1, 5),
    )


PROBES = (
    Probe(
        name="introspection",
        family="introspection",
        title="complete and inspect, idle",
        figures=(Figure("complete", "complete, warm, idle"), Figure("inspect", "inspect, warm, idle")),
        run=idle,
        needs=frozenset({Feature.introspects}),
        rounds=Effort(2, 7),
    ),
    _busy_probe("sleeping", "a sleeping cell", "time.sleep({seconds})", Feature.executes),
    _busy_probe(
        "computing",
        "a busy Python loop",
        "_end = time.monotonic() + {seconds}\nwhile time.monotonic() < _end: pass",
        Feature.executes,
    ),
    _busy_probe("awaiting", "an awaiting cell", "await {await_seconds}", Feature.awaits),
)

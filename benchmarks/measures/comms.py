"""Comm messages: one there and back, and a burst of them. The other end is the ``comm`` package in a cell."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from benchmarks.client import ANSWER_TIMEOUT
from benchmarks.errors import NoAnswerError
from benchmarks.model import Effort, Feature, Figure, Probe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.client import Message
    from benchmarks.model import Readings
    from benchmarks.stage import Stage

__all__ = ["PROBES", "exchange", "open_comm"]

ROUND_TRIP = Figure("comm_round_trip", "comm message there and back")
RATE = Figure("comm_rate", "comm messages per second, burst", "1/s", "higher")

REPEATS = Effort(60, 300)
BURST = Effort(500, 2000)

TARGET = """
import comm as _comm

_bench_comm = _comm.create_comm(target_name="bench", data={})

def _answer(message):
    data, buffers = message["content"]["data"], message.get("buffers") or []
    if data.get("give"):
        _bench_comm.send({"n": data["n"]}, buffers=[bytes(data["give"])])
    elif data.get("take"):
        _bench_comm.send({"n": data["n"], "size": sum(len(b) for b in buffers)})
    else:
        _bench_comm.send(data, buffers=list(buffers))

_bench_comm.on_msg(_answer)
print(_bench_comm.comm_id)
"""
"""Opens a comm, as a widget does, and echoes what it gets; ``give: size`` is answered with that many bytes,
``take`` with the size of what came."""


def open_comm(stage: Stage) -> str:
    """The id of this session's comm, opened at the first call."""
    client = stage.client
    if "comm" not in stage.memory:
        comm_id = uuid.uuid4().hex
        if Feature.executes in stage.kernel.features:
            # Printed, because not every kernel publishes comm_open as an output of the cell.
            comm_id = client.run(TARGET).text().strip()
        stage.memory["comm"] = comm_id
        exchange(stage, {"n": 0})
    return stage.memory["comm"]


def exchange(
    stage: Stage, data: dict[str, Any], buffers: Sequence[bytes] = (), *, timeout: float = ANSWER_TIMEOUT
) -> tuple[float, Message]:
    """Send a comm message; return the seconds until the answer came, and the answer.

    Raises:
        NoAnswerError: if the kernel is idle again without having answered, or does not come back at all.
    """
    comm_id, client = stage.memory["comm"], stage.client
    started = time.perf_counter()
    msg_id = client.send("comm_msg", {"comm_id": comm_id, "data": data}, buffers=buffers)
    deadline = started + timeout
    answer, took, idle = None, 0.0, False
    while not (answer and idle):
        message = client.receive(client.iopub, deadline)
        if message.msg_type == "comm_msg":
            took = time.perf_counter() - started
            answer = message
        elif message.parent_id == msg_id and message.is_idle:
            idle = True
            # Some kernels publish a comm message without a parent, none after the idle for long.
            deadline = min(deadline, time.perf_counter() + 2.0)
    return took, answer


def round_trip(stage: Stage) -> Readings:
    """One comm message after another."""
    open_comm(stage)
    return {ROUND_TRIP.name: [exchange(stage, {"n": n})[0] * 1e3 for n in range(stage.effort(REPEATS))]}


def burst(stage: Stage) -> Readings:
    """Many comm messages without waiting, until the last echo."""
    comm_id, client, count = open_comm(stage), stage.client, stage.effort(BURST)
    started = time.perf_counter()
    deadline = started + ANSWER_TIMEOUT
    last = ""
    for n in range(count):
        last = client.send("comm_msg", {"comm_id": comm_id, "data": {"n": n}})
    echoes, idle, took = 0, False, 0.0
    while echoes < count or not idle:
        try:
            message = client.receive(client.iopub, deadline)
        except NoAnswerError:
            raise NoAnswerError(f"{echoes} echoes of {count} comm messages") from None
        if message.msg_type == "comm_msg":
            echoes, took = echoes + 1, time.perf_counter() - started
        elif message.parent_id == last and message.is_idle:
            idle = True
    return {RATE.name: count / took}


PROBES = (
    Probe(
        name="comm_round_trip",
        family="comms",
        title="comm round trip",
        figures=(ROUND_TRIP,),
        run=round_trip,
        needs=frozenset({Feature.comms}),
    ),
    Probe(
        name="comm_burst",
        family="comms",
        title="a burst of comm messages",
        figures=(RATE,),
        run=burst,
        needs=frozenset({Feature.comms}),
    ),
)

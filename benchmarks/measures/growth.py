"""Growth: the same round trip when there is more of something. Curves, not numbers: flat is what one wants.

Each curve is taken with a kernel of its own, which is thrown away afterwards. A curve breaks off where its
next point would take longer than a measure may (:data:`PATIENCE`): that, too, is a result.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from benchmarks.client import ANSWER_TIMEOUT
from benchmarks.errors import NoAnswerError, WrongAnswerError
from benchmarks.measures.comms import exchange, open_comm
from benchmarks.measures.throughput import pipeline
from benchmarks.model import Effort, Feature, Figure, Probe
from benchmarks.process import memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.client import Client
    from benchmarks.model import Readings
    from benchmarks.stage import Stage

__all__ = ["PROBES"]

PATIENCE = Effort(4, 90)
"""Seconds that one point of a curve may take."""
CEILING = Effort(2, 0)
"""In the short form curves end this many decades below their full length."""
REPEATS = Effort(20, 50)
SAMPLES = 100
"""Cells that stand behind the first points of the curve over queued requests."""

PASS = {"code": "pass", "silent": False, "store_history": True, "allow_stdin": False}

TASKS = Figure("growth_tasks", "`pass` with n background tasks", x_label="background tasks")
TASKS_RSS = Figure("growth_tasks_rss", "resident memory with n background tasks", "MB", x_label="background tasks")
QUEUE = Figure("growth_queue", "time per cell, n queued at once", "µs", x_label="queued requests")
MESSAGE = Figure("growth_message", "echo of a comm buffer", x_label="bytes")
SUBSHELLS = Figure("growth_subshells", "`pass` in the main shell with n subshells", x_label="subshells")
SUBSHELLS_MAKE = Figure("growth_subshells_make", "making one subshell more", x_label="subshells")
HISTORY = Figure("growth_history", "`pass` after n cells of history", x_label="history entries")
HISTORY_TAIL = Figure("growth_history_tail", "history request for the last 100, n entries", x_label="history entries")


def _steps(stage: Stage, highest: int, *, lowest: int = 1) -> list[int]:
    """Powers of ten, from ``lowest`` to ``highest`` (lower in the short form)."""
    steps, x = list[int](), lowest
    highest //= 10 ** stage.effort(CEILING)
    while x <= highest:
        steps.append(x)
        x *= 10
    return steps


def _typical(stage: Stage, client: Client) -> float:
    """The median round trip of a `pass` cell, ms."""
    client.round_trip("execute_request", PASS)
    trips = [client.round_trip("execute_request", PASS) for _ in range(stage.effort(REPEATS))]
    return statistics.median(trips) * 1e3


def tasks(stage: Stage) -> Readings:
    """Background tasks that sleep: they should cost memory, and no time."""
    times, sizes, there = dict[float, float](), dict[float, float](), 0
    with stage.open() as session:
        for count in _steps(stage, 10_000):
            session.client.run(stage.kernel.background.format(count=count - there))
            there = count
            times[count] = _typical(stage, session.client)
            sizes[count] = memory(session.process.pid).rss
    return {TASKS.name: times, TASKS_RSS.name: sizes}


def queue(stage: Stage) -> Readings:
    """Requests that wait in a queue: the time for each should not depend on how many there are."""
    curve = dict[float, float]()
    with stage.open(*stage.kernel.boundless) as session:
        per_cell = pipeline(session.client, 10) / 10
        for count in _steps(stage, 100_000):
            if count * per_cell > stage.effort(PATIENCE):
                break
            # A few cells alone would be a sample of noise.
            try:
                times = [pipeline(session.client, count) / count for _ in range(max(1, SAMPLES // count))]
            except NoAnswerError:
                if not curve:
                    raise
                break
            per_cell = statistics.median(times)
            curve[count] = per_cell * 1e6
    return {QUEUE.name: curve}


def message(stage: Stage) -> Readings:
    """Buffers from 1 KB to 500 MB, echoed: linear at the end, because bytes must be moved."""
    curve = dict[float, float]()
    stage.discard()
    try:
        open_comm(stage)
        for size in [*_steps(stage, 100_000_000, lowest=1000), *stage.effort(Effort(0, 1)) * [500_000_000]]:
            payload, samples = bytes(size), list[float]()
            for _ in range(2 if size > 10_000_000 else 5):
                took, answer = exchange(stage, {"n": 1}, [payload], timeout=60)
                if sum(map(len, answer.buffers)) != size:
                    raise WrongAnswerError(f"an echo of {size} bytes came back incomplete")
                samples.append(took * 1e3)
            curve[size] = statistics.median(samples)
    finally:
        stage.discard()
    return {MESSAGE.name: curve}


def subshells(stage: Stage) -> Readings:
    """Subshells that do nothing: they should cost the main shell no time."""
    times, makes, there = dict[float, float](), dict[float, float](), 0
    with stage.open() as session:
        for count in [count for count in (1, 3, 10, 30, 100) if count <= stage.effort(Effort(10, 100))]:
            samples = list[float]()
            while there < count:
                took, reply = session.client.request("create_subshell_request", {}, channel="control")
                if reply.get("status") != "ok":
                    raise WrongAnswerError(f"no subshell was made: {reply.get('evalue') or reply.get('status')}")
                samples.append(took * 1e3)
                there += 1
            makes[count] = statistics.median(samples)
            times[count] = _typical(stage, session.client)
    return {SUBSHELLS.name: times, SUBSHELLS_MAKE.name: makes}


def history(stage: Stage) -> Readings:
    """Cells that fill the history: neither the next cell nor a look back should become slower."""
    times, tails, there = dict[float, float](), dict[float, float](), 0
    with stage.open() as session:
        client = session.client
        per_cell = pipeline(client, 10, code="x = 1") / 10
        for count in _steps(stage, 10_000, lowest=10):
            if (count - there) * per_cell > stage.effort(PATIENCE):
                break
            per_cell = pipeline(client, count - there, code="x = 1") / max(1, count - there)
            there = count
            times[count] = _typical(stage, client)
            tails[count] = _tail(client)
    if len(times) < 2:
        raise NoAnswerError("too slow for a curve")
    return {HISTORY.name: times, HISTORY_TAIL.name: tails}


def _tail(client: Client) -> float:
    """The median time of a history request as consoles make it when they start, ms."""
    content = {"hist_access_type": "tail", "n": 100, "raw": True, "output": False}
    samples = list[float]()
    for _ in range(5):
        started = time.perf_counter()
        client.reply_to(client.send("history_request", content), timeout=ANSWER_TIMEOUT)
        samples.append(time.perf_counter() - started)
    return statistics.median(samples) * 1e3


def _probe(
    name: str, title: str, figures: tuple[Figure, ...], run: Callable[[Stage], Readings], *needs: Feature
) -> Probe:
    return Probe(
        name=name,
        family="growth",
        title=title,
        figures=figures,
        run=run,
        needs=frozenset(needs),
        rounds=Effort(1, 1),
        long_only=True,
    )


PROBES = (
    _probe(TASKS.name, "background tasks", (TASKS, TASKS_RSS), tasks, Feature.executes, Feature.background),
    _probe(QUEUE.name, "queued requests", (QUEUE,), queue),
    _probe(MESSAGE.name, "size of messages", (MESSAGE,), message, Feature.comms),
    _probe(SUBSHELLS.name, "subshells", (SUBSHELLS, SUBSHELLS_MAKE), subshells, Feature.subshells),
    _probe(HISTORY.name, "history entries", (HISTORY, HISTORY_TAIL), history, Feature.executes, Feature.history),
)

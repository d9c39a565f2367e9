"""Beside each other: many cells that await, by each kernel's own means; tasks, one cancelled and all seen.

A kernel without concurrent cells runs fifty of them one after another, and its figure shows that; a thousand are
asked only of kernels that have them.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from benchmarks.client import ANSWER_TIMEOUT
from benchmarks.errors import WrongAnswerError
from benchmarks.model import Effort, Feature, Figure, Probe

if TYPE_CHECKING:
    from benchmarks.client import Client
    from benchmarks.model import Readings
    from benchmarks.stage import Stage

__all__ = ["PROBES"]

CELLS = Effort(10, 50)
SECONDS = 0.1
OVERHEAD = Figure("concurrent_overhead", "time per concurrent cell beyond its 0.1 s of awaiting")
TOTAL = Figure("concurrent_total", "all concurrent cells, each awaiting 0.1 s")

THOUSAND = Figure("concurrent_thousand", "1000 concurrent cells, each awaiting 0.5 s")

TASKS = 10_000
CANCELS = Effort(20, 200)
LOOKS = Effort(2, 10)
CANCEL = Figure("cancel_one", "cancelling one of 10,000 tasks, to the reply")
SEEN = Figure("tasks_seen", "`%tasks` of 10,000 tasks")
TREE = Figure("task_tree", "task_tree_request of 10,000 tasks")


def beside_each_other(stage: Stage) -> Readings:
    """Cells that await a tenth of a second."""
    count = stage.effort(CELLS)
    took = _all_at_once(stage, count, SECONDS)
    return {TOTAL.name: took * 1e3, OVERHEAD.name: (took - SECONDS) / count * 1e3}


def a_thousand(stage: Stage) -> Readings:
    """A thousand cells that await half a second."""
    return {THOUSAND.name: _all_at_once(stage, 1000, 0.5) * 1e3}


def _all_at_once(stage: Stage, count: int, seconds: float) -> float:
    """Send cells that await, all at once; the seconds until all have replied."""
    client = stage.client
    code = f"{stage.kernel.concurrent}\nawait {stage.kernel.await_seconds.format(seconds=seconds)}".strip()
    client.run(code)
    started = time.perf_counter()
    ids = [client.send_cell(code) for _ in range(count)]
    missing = set(ids)
    while missing:
        message = client.receive(client.shell, started + ANSWER_TIMEOUT)
        if message.parent_id in missing and message.content["status"] != "ok":
            raise WrongAnswerError(f"a concurrent cell ended with {message.content['status']}")
        missing.discard(message.parent_id)
    took = time.perf_counter() - started
    missing = set(ids)
    while missing:
        message = client.receive(client.iopub, started + ANSWER_TIMEOUT)
        if message.is_idle:
            missing.discard(message.parent_id)
    return took


def cancel_one(stage: Stage) -> Readings:
    """Cancel tasks out of ten thousand, one after another, in no order."""
    samples = list[float]()
    with stage.open() as session:
        client = session.client
        ids = _begin_tasks(stage, client)
        for task_id in random.Random(4).sample(ids, stage.effort(CANCELS)):
            took, reply = client.request("cancel_request", {"task_ids": [task_id]}, channel="control")
            expected = {"id": task_id, "kind": "task", "state": "awaiting"}
            if reply.get("cancelled") != [expected]:
                raise WrongAnswerError(f"the cancellation of {task_id} was answered by {reply}")
            samples.append(took * 1e3)
    return {CANCEL.name: samples}


def see_all(stage: Stage) -> Readings:
    """Show ten thousand tasks in a cell, and ask for them on the control channel."""
    shown, asked = list[float](), list[float]()
    with stage.open() as session:
        client = session.client
        _begin_tasks(stage, client)
        for _ in range(stage.effort(LOOKS)):
            cell = client.run("%tasks")
            if not cell.outputs:
                raise WrongAnswerError("%tasks showed nothing")
            shown.append((cell.finished - cell.sent) * 1e3)
            took, reply = client.request("task_tree_request", {"stacks": True}, channel="control")
            if reply.get("status") != "ok":
                raise WrongAnswerError(f"task_tree_request: {reply.get('evalue') or reply.get('status')}")
            asked.append(took * 1e3)
    return {SEEN.name: shown, TREE.name: asked}


def _begin_tasks(stage: Stage, client: Client) -> list[str]:
    """Leave the tasks running; returns their ids."""
    wait = stage.kernel.await_seconds.format(seconds=1e6)
    client.run(f"async def _wait(): await {wait}\nfor _ in range({TASKS}): nursery.start_soon(_wait)")
    ids = client.run("print(*session.tasks)").text().split()
    if len(ids) != TASKS:
        raise WrongAnswerError(f"{len(ids)} tasks run instead of {TASKS}")
    return ids


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
    Probe(
        name="concurrent_thousand",
        family="concurrency",
        title="a thousand concurrent cells",
        figures=(THOUSAND,),
        run=a_thousand,
        needs=frozenset({Feature.awaits, Feature.concurrency}),
        rounds=Effort(1, 5),
    ),
    Probe(
        name="cancel_one",
        family="concurrency",
        title="cancelling one of 10,000 tasks",
        figures=(CANCEL,),
        run=cancel_one,
        needs=frozenset({Feature.scopes}),
        rounds=Effort(1, 3),
    ),
    Probe(
        name="tasks_seen",
        family="concurrency",
        title="the tree of 10,000 tasks",
        figures=(SEEN, TREE),
        run=see_all,
        needs=frozenset({Feature.scopes}),
        rounds=Effort(1, 3),
    ),
)

"""Interrupts: from the request (or the signal, where the kernelspec says so) to the error reply of the cell.

Every session has shown an error before: what the first traceback of a process imports is a figure of its own.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.client import ANSWER_TIMEOUT
from benchmarks.errors import NoAnswerError, WrongAnswerError
from benchmarks.measures.introspection import begin_cell
from benchmarks.model import Effort, Feature, Figure, Probe

if TYPE_CHECKING:
    from benchmarks.model import Readings
    from benchmarks.session import Session
    from benchmarks.stage import Stage

__all__ = ["PROBES"]

CELL_SECONDS = 3
REPEATS = Effort(2, 10)
PATIENCE = 2.0
"""Seconds after which an interrupt counts as without effect; the cell itself ends later than that."""


FIRST_ERROR = Figure("error_cold", "first error of a session, to its reply")
ERROR = Figure("error", "a later error, to its reply")


def errors(stage: Stage) -> Readings:
    """Cells that fail at once: what showing an error takes."""
    with stage.open() as session:
        first, *later = [_fail(session) for _ in range(1 + stage.effort(REPEATS))]
    return {FIRST_ERROR.name: first, ERROR.name: later}


def _fail(session: Session) -> float:
    """Milliseconds from sending a cell that fails to its error reply."""
    client = session.client
    started = time.perf_counter()
    msg_id = client.send_cell("1 / 0")
    reply = client.reply_to(msg_id, timeout=ANSWER_TIMEOUT)
    took = time.perf_counter() - started
    if reply["status"] != "error":
        raise WrongAnswerError(f"a division by zero ended with {reply['status']}")
    client.outputs_until_idle(msg_id)
    return took * 1e3


def interrupt(stage: Stage, *, name: str, code: str) -> Readings:
    """Interrupt a cell that has been running for a little while, again and again."""
    session, samples = stage.session, list[float]()
    client = session.client
    if "has failed" not in stage.memory:
        _fail(session)
        stage.memory["has failed"] = True
    awaiting = stage.kernel.await_seconds.format(seconds=CELL_SECONDS)
    for _ in range(stage.effort(REPEATS)):
        msg_id = begin_cell(client, code.format(await_seconds=awaiting, seconds=CELL_SECONDS))
        # The line that says that it runs is printed before it sleeps: give it the time to get there.
        time.sleep(0.05)
        started = time.perf_counter()
        session.interrupt()
        try:
            reply = client.reply_to(msg_id, timeout=PATIENCE)
        except NoAnswerError:
            ended = session.process.poll() is not None
            raise NoAnswerError("the kernel died" if ended else f"no effect within {PATIENCE:g} s") from None
        samples.append((time.perf_counter() - started) * 1e3)
        if reply["status"] != "error":
            raise WrongAnswerError(f"the interrupted cell ended with {reply['status']}")
        client.outputs_until_idle(msg_id)
        client.run("pass")
    return {name: samples}


def _probe(name: str, title: str, code: str, feature: Feature = Feature.executes) -> Probe:
    return Probe(
        name=name,
        family="interrupts",
        title=f"interrupt of {title}",
        figures=(Figure(name, f"interrupt → error reply, {title}"),),
        run=partial(interrupt, name=name, code=code),
        needs=frozenset({feature}),
        rounds=Effort(1, 3),
    )


PROBES = (
    Probe(
        name="errors",
        family="interrupts",
        title="showing an error",
        figures=(FIRST_ERROR, ERROR),
        run=errors,
        needs=frozenset({Feature.executes}),
        rounds=Effort(1, 5),
    ),
    _probe("interrupt_sleeping", "time.sleep", "time.sleep({seconds})"),
    _probe("interrupt_busy", "a busy loop", "_end = time.monotonic() + {seconds}\nwhile time.monotonic() < _end: pass"),
    _probe("interrupt_awaiting", "an awaiting cell", "await {await_seconds}", Feature.awaits),
)

"""The run: every probe, every round, every kernel in turn.

The order is probe by probe, and within a probe round by round, each round starting with another kernel:
kernels that are compared are measured within seconds of each other, and none is always first. A kernel that
fails is started anew for its next turn, and given up for this probe after its second failure.
"""

from __future__ import annotations

import contextlib
import gc
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zmq
from rich.markup import escape

from benchmarks.errors import KernelError, NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from benchmarks.model import Form, Probe
    from benchmarks.progress import Display
    from benchmarks.results import Results
    from benchmarks.stage import Stage

__all__ = ["Runner", "count_steps", "turns"]

STARTS_ALLOWED = 3
"""A kernel that hangs at one start in five is still a kernel; the results say that it did."""
FAILURES_ALLOWED = 2
SETTLING_SECONDS = 3.0
"""What starting and a cell left to do, such as writing history, is done after that time; it is not idleness."""


def turns(stages: Sequence[Stage], round_number: int) -> list[Stage]:
    """The order of a round: as given, begun one further each time."""
    first = round_number % len(stages) if stages else 0
    return [*stages[first:], *stages[:first]]


def count_steps(probes: Sequence[Probe], stages: Sequence[Stage], form: Form, rounds: int | None = None) -> int:
    """How many turns a run has."""
    return sum(
        (3 if probe.window else rounds or probe.rounds.of(form))
        for probe in probes
        for stage in stages
        if probe.needs <= stage.kernel.features
    )


@dataclass
class Runner:
    """Runs probes on kernels and fills the results.

    Attributes:
        stages: a stage for each kernel; the runner ends their sessions.
        rounds: in place of what the probes say; None leaves it to them.
    """

    stages: list[Stage]
    probes: Sequence[Probe]
    form: Form
    results: Results
    display: Display
    rounds: int | None = None

    def run(self) -> None:
        """Warm up, then run all probes; sessions are ended also if it is broken off."""
        try:
            self._warm_up()
            self.display.begin(count_steps(self.probes, self.stages, self.form, self.rounds))
            for probe in self.probes:
                self.results.expect(probe)
                able = [stage for stage in self.stages if self._is_able(stage, probe)]
                with _without_garbage_collection():
                    if probe.window:
                        self._watch(probe, able, probe.window.of(self.form))
                    else:
                        self._take_turns(probe, able)
        finally:
            for stage in self.stages:
                stage.discard()

    def _warm_up(self) -> None:
        """Start each kernel once, so that no first start pays for a cold disk; leave out what does not start."""
        for stage in list(self.stages):
            self.display.step("first start, not measured", stage.kernel.name)
            reason = ""
            for _ in range(STARTS_ALLOWED):
                try:
                    with stage.open():
                        break
                except (KernelError, zmq.ZMQError, OSError) as e:
                    reason = str(e)
                    self.results.miss(stage.kernel.name, "first start", f"failed once: {reason}")
            else:
                self.results.miss(stage.kernel.name, "*", f"does not start: {reason}")
                self.display.say(f"[yellow]{stage.kernel.name} is left out: it does not start: {escape(reason)}")
                self.stages.remove(stage)

    def _is_able(self, stage: Stage, probe: Probe) -> bool:
        missing = probe.needs - stage.kernel.features
        if missing and stage.kernel.group != "floor":
            self.results.miss(stage.kernel.name, probe.name, f"not a kernel that {', '.join(sorted(missing))}")
        return not missing

    def _take_turns(self, probe: Probe, stages: Sequence[Stage]) -> None:
        failures = dict.fromkeys((stage.kernel.name for stage in stages), 0)
        for number in range(self.rounds or probe.rounds.of(self.form)):
            for stage in turns(stages, number):
                self.display.step(probe.title, stage.kernel.name)
                if failures[stage.kernel.name] < FAILURES_ALLOWED and not self._take_turn(probe, stage):
                    failures[stage.kernel.name] += 1

    def _take_turn(self, probe: Probe, stage: Stage, *, keep: bool = True) -> bool:
        gc.collect()
        try:
            readings = probe.run(stage)
        except (KernelError, zmq.ZMQError, OSError) as e:
            reason = str(e) if isinstance(e, KernelError) else f"{type(e).__name__}: {e}"
            if isinstance(e, NoAnswerError) and (words := _last_words(stage)):
                reason = f"{reason} ({words})"
            self.results.miss(stage.kernel.name, probe.name, reason)
            stage.discard()
            return False
        if keep:
            self.results.add(stage.kernel.name, readings.items())
        return True

    def _watch(self, probe: Probe, stages: Sequence[Stage], seconds: int) -> None:
        """Look, so that all that a first look does is done; then look, leave all kernels alone, and look again."""
        alive = list(stages)
        for pause in (SETTLING_SECONDS, seconds):
            for stage in alive:
                self.display.step(probe.title, stage.kernel.name)
            alive = [stage for stage in alive if self._take_turn(probe, stage, keep=False)]
            time.sleep(pause)
        for stage in alive:
            self.display.step(probe.title, stage.kernel.name)
            self._take_turn(probe, stage)


def _last_words(stage: Stage) -> str:
    """What a kernel that died said; nothing if it lives, because then its output is not about this."""
    session = stage.session_if_any
    return session.last_words() if session and session.process.poll() is not None else ""


@contextlib.contextmanager
def _without_garbage_collection() -> Generator[None]:
    """The client's own garbage collection would show up as a slow kernel."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()

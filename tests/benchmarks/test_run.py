"""A run: turns, failures, and the floor as a real kernel behind real sockets."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.environments import Environment
from benchmarks.errors import KernelError, NoAnswerError, WrongAnswerError
from benchmarks.kernels import KERNELS
from benchmarks.measures import PROBES
from benchmarks.model import Effort, Feature, Figure, Form, Probe
from benchmarks.results import Absence, Results
from benchmarks.runner import Runner, count_steps, turns
from benchmarks.session import open_session
from benchmarks.stage import Stage

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from benchmarks.model import Readings

HERE = Environment(Path(sys.executable), Path(sys.executable).parent, {})
FLOOR = next(kernel for kernel in KERNELS if kernel.name == "floor")
FIGURE = Figure("figure", "a figure")


class Silent:
    """A display that only counts."""

    def __init__(self) -> None:
        self.total = 0
        self.steps: list[tuple[str, str]] = []
        self.said: list[str] = []

    def begin(self, total: int) -> None:
        self.total = total
        self.steps.clear()

    def step(self, title: str, kernel: str) -> None:
        self.steps.append((title, kernel))

    def say(self, text: str) -> None:
        self.said.append(text)


def stage(folder: Path, name: str = "floor") -> Stage:
    return Stage(replace(FLOOR, name=name), HERE, Form.short, folder / name)


def probe(run: Callable[[Stage], Readings], *, rounds: int = 2, needs: frozenset[Feature] = frozenset()) -> Probe:
    return Probe(
        name="probe",
        family="family",
        title="a probe",
        figures=(FIGURE,),
        run=run,
        rounds=Effort(rounds, rounds),
        needs=needs,
    )


def run(stages: list[Stage], *probes: Probe) -> tuple[Results, Silent]:
    results, display = Results(), Silent()
    Runner(stages, probes, Form.short, results, display).run()
    return results, display


def test_every_round_begins_with_another_kernel(tmp_path: Path) -> None:
    stages = [stage(tmp_path, name) for name in "abc"]
    order = [[each.kernel.name for each in turns(stages, number)] for number in range(4)]
    assert order == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]


def test_nobody_has_no_turns() -> None:
    assert turns([], 3) == []


def test_kernels_take_turns_and_their_readings_are_kept(tmp_path: Path) -> None:
    order: list[str] = []

    def note(stage: Stage) -> Readings:
        order.append(stage.kernel.name)
        return {"figure": float(len(order))}

    results, display = run([stage(tmp_path, "a"), stage(tmp_path, "b")], probe(note))
    assert order == ["a", "b", "b", "a"]
    assert results.readings == {"figure": {"a": [1.0, 4.0], "b": [2.0, 3.0]}}
    assert (display.total, len(display.steps)) == (4, 4)


@pytest.mark.parametrize("error", [KernelError("broken"), WrongAnswerError("broken"), NoAnswerError("broken")])
def test_a_kernel_that_fails_twice_is_given_up_for_this_probe(error: Exception, tmp_path: Path) -> None:
    calls: list[str] = []

    def fail(stage: Stage) -> Readings:
        calls.append(stage.kernel.name)
        raise error

    results, _ = run([stage(tmp_path)], probe(fail, rounds=5))
    assert len(calls) == 2
    assert results.absences == [Absence("floor", "probe", "broken")]
    assert results.readings == {}


def test_a_kernel_is_started_anew_after_a_failure(tmp_path: Path) -> None:
    pids: list[int] = []

    def fail_once(stage: Stage) -> Readings:
        pids.append(stage.session.process.pid)
        if len(pids) == 1:
            raise KernelError("broken")
        return {"figure": 1.0}

    run([stage(tmp_path)], probe(fail_once, rounds=3))
    assert pids[0] != pids[1] == pids[2]


def test_what_a_kernel_lacks_is_said_and_not_tried(tmp_path: Path) -> None:
    lacking = stage(tmp_path, "a")
    lacking.kernel = replace(FLOOR, name="a", group="a", features=frozenset())
    results, _ = run([lacking], probe(lambda _: {"figure": 1.0}, needs=frozenset({Feature.comms})))
    assert results.absences == [Absence("a", "probe", "not a kernel that echoes comm messages")]
    assert results.readings == {}


def test_a_kernel_that_does_not_start_is_left_out(tmp_path: Path) -> None:
    broken = stage(tmp_path, "broken")
    broken.kernel = replace(FLOOR, name="broken", argv=("{python}", "-c", "raise SystemExit('no such thing')"))
    results, display = run([broken, stage(tmp_path)], probe(lambda _: {"figure": 1.0}))
    assert list(results.readings["figure"]) == ["floor"]
    assert results.absences == [
        Absence("broken", "first start", "failed once: it ended with code 1: no such thing"),
        Absence("broken", "*", "does not start: it ended with code 1: no such thing"),
    ]
    assert len(display.said) == 1


def test_no_process_is_left(tmp_path: Path) -> None:
    only = stage(tmp_path)

    def look(stage: Stage) -> Readings:
        processes.append(stage.session.process)
        return {"figure": 1.0}

    processes: list[subprocess.Popen[bytes]] = []
    run([only], probe(look, rounds=1))
    ended = [process.returncode for process in processes]
    assert (ended, only.session_if_any) == ([0], None)


def test_steps_are_counted_with_what_kernels_can_do(tmp_path: Path) -> None:
    able, lacking = stage(tmp_path, "a"), stage(tmp_path, "b")
    lacking.kernel = replace(FLOOR, name="b", features=frozenset())
    needy = probe(lambda _: {}, rounds=3, needs=frozenset({Feature.comms}))
    assert count_steps([needy, probe(lambda _: {}, rounds=2)], [able, lacking], Form.short) == 3 + 4
    assert count_steps([needy], [able, lacking], Form.short, rounds=7) == 7


def test_the_floor_answers_what_it_is_measured_with(tmp_path: Path) -> None:
    names = ("start", "kernel_info", "execute_pass", "execute_rate", "comm_round_trip", "comm_burst", "clients")
    probes = [replace(each, rounds=Effort(1, 1)) for each in PROBES if each.name in names]
    results, _ = run([stage(tmp_path)], *probes)
    assert results.absences == []
    expected = {figure.name for each in probes for figure in each.figures} - {"complete_cold"}
    assert set(results.readings) == expected


def test_idleness_is_read_over_a_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.runner.SETTLING_SECONDS", 0)
    idle = next(each for each in PROBES if each.name == "idle")
    results, display = run([stage(tmp_path)], replace(idle, window=Effort(1, 1)))
    assert {"idle_rss", "idle_threads", "idle_cpu"} <= set(results.readings)
    assert [len(rounds["floor"]) for rounds in results.readings.values()] == [1] * len(results.readings)
    assert display.total == len(display.steps) == 3


def test_an_answer_that_does_not_come_is_an_error(tmp_path: Path) -> None:
    with open_session(FLOOR, HERE, tmp_path) as session, pytest.raises(NoAnswerError):
        session.client.reply_to("a request that nobody sent", timeout=0.01)


def test_the_heartbeat_comes_back(tmp_path: Path) -> None:
    with open_session(FLOOR, HERE, tmp_path) as session:
        assert session.client.ping() > 0

"""Goals against results."""

from __future__ import annotations

import pytest

from benchmarks.goals import GOALS, Goal, Verdict, judge
from benchmarks.kernels import KERNELS
from benchmarks.measures import PROBES
from benchmarks.model import Figure
from benchmarks.results import Subject
from tests.benchmarks.makers import make_results


def test_a_goal_alone_is_in_the_figures_unit() -> None:
    results = make_results({"shutdown": {"ours-trio": [90.0, 80.0, 120.0]}})
    assert judge(Goal("shutdown", "≤", 100), results, "ours-trio") == Verdict(90.0, met=True)
    assert judge(Goal("shutdown", "≤", 80), results, "ours-trio") == Verdict(90.0, met=False)


def test_a_goal_of_another_is_a_ratio_of_medians() -> None:
    results = make_results({"execute_pass": {"ours-trio": [1.0], "ipykernel": [5.0, 4.0, 6.0]}})
    assert judge(Goal("execute_pass", "≤", 0.2, "ipykernel"), results, "ours-trio") == Verdict(0.2, met=True)


@pytest.mark.parametrize(("better", "expected"), [("lower", 2.0), ("higher", 0.5)])
def test_the_best_configuration_of_another_is_the_measure(better: str, expected: float) -> None:
    results = make_results(
        {"figure": {"ours-trio": [10.0], "one": [5.0], "two": [20.0]}},
        figures=(Figure("figure", "a figure", "ms", "lower" if better == "lower" else "higher"),),
        subjects=(Subject("ours-trio", "ours", ""), Subject("one", "peer", ""), Subject("two", "peer", "")),
    )
    assert judge(Goal("figure", "≤", 1, "peer"), results, "ours-trio").value == expected


def test_a_goal_may_be_about_a_percentile_or_the_worst() -> None:
    results = make_results({"figure": {"ours-trio": [[1.0] * 99 + [50.0]]}})
    assert judge(Goal("figure", "≤", 5, statistic="maximum"), results, "ours-trio") == Verdict(50.0, met=False)
    assert judge(Goal("figure", "≤", 5, statistic="p99"), results, "ours-trio").met is True


@pytest.mark.parametrize(
    "goal",
    [
        Goal("unknown", "≤", 1),
        Goal("figure", "≤", 1, "absent"),
        Goal("figure", "≤", 1, "ipykernel"),
        Goal("figure", "≤", 1, statistic="p99"),
    ],
)
def test_what_was_not_measured_is_neither_met_nor_missed(goal: Goal) -> None:
    results = make_results({"figure": {"ours-trio": [1.0], "ipykernel": [0.0]}})
    assert judge(goal, results, "ours-trio") == Verdict(None, None)


@pytest.mark.parametrize("goal", GOALS, ids=str)
def test_every_goal_is_about_something_that_is_measured(goal: Goal) -> None:
    figures = {figure.name for probe in PROBES for figure in probe.figures}
    groups = {kernel.group for kernel in KERNELS}
    assert goal.figure in figures
    assert goal.of in groups | {""}

"""What this project wants to reach, as data: the one place where the goals stand.

A goal is about a figure of one of our kernels, either alone or by the same figure of another project in the same
run. Where that project took part in several configurations, its best one is the measure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from benchmarks.results import Results
    from benchmarks.statistics import Summary

__all__ = ["GOALS", "Goal", "Verdict", "judge"]

Statistic = Literal["median", "p99", "maximum"]


@dataclass(frozen=True, slots=True)
class Goal:
    """``figure`` shall be at most (or at least) ``limit``: times another's if ``of`` is given, else in its unit."""

    figure: str
    relation: Literal["≤", "≥"]
    limit: float
    of: str = ""
    statistic: Statistic = "median"

    def __str__(self) -> str:
        prefix = "" if self.statistic == "median" else f"{self.statistic} "
        return f"{prefix}{self.relation} {self.limit:g}" + (f" × {self.of}" if self.of else "")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far one kernel is: ``value`` is what is compared with the goal's limit; None was not measured."""

    value: float | None
    met: bool | None


GOALS: tuple[Goal, ...] = (
    Goal("execute_pass", "≤", 2.0, "floor"),
    Goal("execute_pass", "≤", 0.22, "ipykernel"),
    Goal("execute_pass", "≤", 0.45, "async-kernel"),
    Goal("execute_pass", "≤", 0.6, "xeus-python"),
    Goal("kernel_info", "≤", 1.5, "floor"),
    Goal("execute_pass_cpu", "≤", 0.25, "ipykernel"),
    Goal("execute_rate", "≥", 7, "ipykernel"),
    Goal("execute_rate", "≥", 1.2, "xeus-python"),
    Goal("start_kernel_info", "≤", 0.55, "ipykernel"),
    Goal("start_execute", "≤", 0.7, "ipykernel"),
    Goal("idle_rss", "≤", 0.8, "ipykernel"),
    Goal("idle_wake_ups", "≤", 0),
    Goal("prints", "≤", 0.5, "ipykernel"),
    Goal("prints_lost", "≤", 0, statistic="maximum"),
    Goal("first_line", "≤", 5),
    Goal("display_rate", "≥", 1.5, "xeus-python"),
    Goal("comm_round_trip", "≤", 1.5, "floor"),
    Goal("comm_rate", "≥", 0.6, "xeus-python"),
    Goal("buffer_echo_50mb", "≤", 0.9, "ipykernel"),
    # At least 0.8 of the throughput of a bare echo, said as a time.
    Goal("buffer_echo_50mb", "≤", 1.25, "floor"),
    Goal("interrupt_sleeping", "≤", 10),
    Goal("interrupt_busy", "≤", 10),
    Goal("interrupt_awaiting", "≤", 10),
    Goal("concurrent_thousand", "≤", 1500),
    Goal("cancel_one", "≤", 10),
    Goal("tasks_seen", "≤", 1000),
    Goal("heartbeat_gil_max", "≤", 50, statistic="maximum"),
    Goal("control_sleep", "≤", 5, statistic="p99"),
    Goal("control_loop", "≤", 15),
    Goal("complete_sleeping", "≤", 50),
    Goal("complete_awaiting", "≤", 50),
    Goal("unread_lost", "≤", 0, statistic="maximum"),
    Goal("shutdown", "≤", 100),
)


def judge(goal: Goal, results: Results, kernel: str) -> Verdict:
    """Compare a kernel's figure with a goal."""
    value = _value(results.summary(goal.figure, kernel), goal.statistic)
    if value is not None and goal.of:
        others = [results.summary(goal.figure, name) for name in results.group(goal.of)]
        medians = [other.median for other in others if other]
        lower = results.figures[goal.figure].better == "lower" if goal.figure in results.figures else True
        reference = (min(medians) if lower else max(medians)) if medians else 0.0
        value = value / reference if reference else None
    if value is None:
        return Verdict(None, None)
    return Verdict(value, value <= goal.limit if goal.relation == "≤" else value >= goal.limit)


def _value(summary: Summary | None, statistic: Statistic) -> float | None:
    if summary is None:
        return None
    if statistic == "median":
        return summary.median
    if statistic == "p99":
        return summary.p99
    return summary.maximum

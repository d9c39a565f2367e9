"""From readings to figures: medians, spreads, percentiles, ratios, and the shape of a curve. Pure functions.

A round's reading is one number, or many samples whose median stands for the round. The figure is the median
of the rounds; its spread is the lowest and the highest round. Percentiles are taken over the samples of all
rounds together, and only where there are enough of them to mean something.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.model import Curve

__all__ = ["Ratio", "Shape", "Summary", "merge_curves", "percentile", "ratio", "shape", "summarize"]

ENOUGH_FOR_PERCENTILES = 20

Shape = Literal["falling", "flat", "rising", "linear", "steeper than linear", "too short to tell"]


@dataclass(frozen=True, slots=True)
class Summary:
    """A figure of one kernel.

    Attributes:
        median: of the rounds.
        low, high: the lowest and the highest round.
        maximum: the highest of all samples.
        p95, p99: over all samples; None if there are fewer than 20.
        rounds: the value of each round, in their order.
    """

    median: float
    low: float
    high: float
    maximum: float
    p95: float | None
    p99: float | None
    rounds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Ratio:
    """One kernel's figure by another's: of the medians, and the lowest and highest of the rounds paired."""

    value: float
    low: float
    high: float


def percentile(samples: Sequence[float], rank: float) -> float:
    """The percentile ``rank`` (0 to 100), interpolated between neighbours.

    Raises:
        ValueError: without samples, or for a rank outside 0 to 100.
    """
    if not samples:
        raise ValueError("a percentile of nothing")
    if not 0 <= rank <= 100:
        raise ValueError(f"a percentile's rank is 0 to 100, not {rank:g}")
    ordered = sorted(samples)
    position = (len(ordered) - 1) * rank / 100
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def summarize(readings: Sequence[float | Sequence[float]]) -> Summary:
    """Summarize the rounds of a figure.

    Raises:
        ValueError: without readings.
    """
    per_round = [[reading] if isinstance(reading, (int, float)) else list(reading) for reading in readings]
    rounds = tuple(statistics.median(samples) for samples in per_round if samples)
    if not rounds:
        raise ValueError("a summary of nothing")
    samples = [sample for samples in per_round for sample in samples]
    enough = len(samples) >= ENOUGH_FOR_PERCENTILES
    return Summary(
        median=statistics.median(rounds),
        low=min(rounds),
        high=max(rounds),
        maximum=max(samples),
        p95=percentile(samples, 95) if enough else None,
        p99=percentile(samples, 99) if enough else None,
        rounds=rounds,
    )


def ratio(figure: Summary, reference: Summary) -> Ratio | None:
    """One figure by another; None where the reference is zero.

    Rounds are paired in their order, because kernels that took their turns next to each other shared the
    noise of that moment.
    """
    if not reference.median:
        return None
    paired = [mine / its for mine, its in zip(figure.rounds, reference.rounds, strict=False) if its]
    value = figure.median / reference.median
    return Ratio(value, min([value, *paired]), max([value, *paired]))


def merge_curves(curves: Sequence[Mapping[float, float]]) -> Curve:
    """The median curve of several rounds, in the order of x; points that some rounds lack count all the same."""
    points: dict[float, list[float]] = {}
    for curve in curves:
        for x, y in curve.items():
            points.setdefault(x, []).append(y)
    return {x: statistics.median(points[x]) for x in sorted(points)}


def shape(curve: Mapping[float, float]) -> Shape:
    """How a curve grows, by its last decade or more of x.

    The start of a curve is a constant cost, which hides what grows; so its second half (on a logarithmic
    axis) decides: its slope there, 0 being flat and 1 being linear. A curve that does not double there, from its lowest
    to its highest point, is flat whatever its slope, because that is within what noise can do.
    """
    points = [(math.log(x), y) for x, y in sorted(curve.items()) if x > 0 and y > 0]
    if len(points) < 3 or points[-1][0] - points[0][0] < math.log(9):
        return "too short to tell"
    middle = (points[0][0] + points[-1][0]) / 2
    upper = [(x, math.log(y)) for x, y in points if x >= middle]
    if len(upper) < 2:
        upper = [(x, math.log(y)) for x, y in points[-2:]]
    xs, ys = zip(*upper, strict=True)
    if max(ys) - min(ys) < math.log(2):
        return "flat"
    slope = statistics.linear_regression(xs, ys).slope
    if slope < 0.2:
        return "falling" if slope < -0.2 else "flat"
    if slope < 0.75:
        return "rising"
    return "linear" if slope <= 1.25 else "steeper than linear"

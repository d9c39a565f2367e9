"""How numbers are written: three significant digits, and never more than the spread deserves."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.model import Figure
    from benchmarks.statistics import Ratio, Summary

__all__ = ["number", "with_spread", "written_ratio", "written_x"]


def number(value: float) -> str:
    """Three significant digits, thousands separated, no exponent; what is almost nothing is 0."""
    if abs(value) < 0.0005:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    if abs(value) >= 1:
        return f"{value:.2f}"
    return f"{value:.3f}".rstrip("0").rstrip(".")


def with_spread(summary: Summary) -> str:
    """The median, and the lowest and highest round behind it if there were several that differ."""
    median, low, high = number(summary.median), number(summary.low), number(summary.high)
    return median if low == high else f"{median} ({low}–{high})"


def written_ratio(ratio: Ratio | None) -> str:
    """A ratio and its spread over the paired rounds."""
    if ratio is None:
        return "–"
    value, low, high = f"{ratio.value:.2f}", f"{ratio.low:.2f}", f"{ratio.high:.2f}"
    return f"{value} ×" if low == high else f"{value} × ({low}–{high})"


def written_x(x: float, figure: Figure) -> str:
    """A point on a curve's axis: bytes in their multiples, all else in digits."""
    if figure.x_label == "bytes":
        for size, unit in ((1_000_000, "MB"), (1000, "KB")):
            if x >= size:
                return f"{x / size:g} {unit}"
    return f"{x:,.0f}"

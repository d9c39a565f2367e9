"""Plots as SVG: our ratios at a glance, and the growth curves. Needs matplotlib, which nothing else here does."""

from __future__ import annotations

import importlib
import importlib.util
import math
from typing import TYPE_CHECKING, Any

from benchmarks.report.numbers import written_x

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.model import Figure
    from benchmarks.results import Results

__all__ = ["OVERVIEW", "can_plot", "draw"]

OVERVIEW = (
    "execute_pass",
    "execute_pass_cpu",
    "kernel_info",
    "execute_rate",
    "start_kernel_info",
    "start_execute",
    "shutdown",
    "idle_rss",
    "prints",
    "first_line",
    "display_rate",
    "comm_round_trip",
    "comm_rate",
    "buffer_echo_50mb",
)
REFERENCE = "ipykernel"
COLOURS = {
    "floor": "#b0b0b0",
    "ours-trio": "#c8501e",
    "ours-asyncio": "#ec8a4c",
    "ours-uvloop": "#f6bd93",
    "ipykernel": "#1b6ca8",
    "async-kernel": "#7a5ba6",
    "async-kernel-trio": "#b79ad2",
    "async-kernel-uvloop": "#d8c8e8",
    "xeus-python": "#4f9a55",
    "akernel": "#8a7a3c",
}
"""A kernel has one colour in all pictures, and a project one hue."""
OTHERS = ("#2aa198", "#6fc7c0", "#b5e3df", "#444444")
"""For what is not among them: our own kernel at another revision."""
DECADES = 2
"""What a curve's axis spans at least, so that a flat one looks flat."""


def can_plot() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def draw(results: Results, folder: Path) -> list[Path]:
    """Write all plots that the results have data for; return their paths."""
    pyplot = _pyplot()
    paths = [path for path in (_overview(pyplot, results, folder),) if path]
    names = [subject.name for subject in results.subjects]
    curves = [figure for figure in results.figures.values() if any(results.curve(figure.name, n) for n in names)]
    return [*paths, *(_curve(pyplot, results, figure, folder) for figure in curves)]


def _pyplot() -> Any:
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    # The same figures give the same file.
    matplotlib.rcParams.update({"svg.hashsalt": "async-trio", "font.size": 9, "svg.fonttype": "none"})
    return importlib.import_module("matplotlib.pyplot")


def _colours(results: Results) -> dict[str, str]:
    others = [subject.name for subject in results.subjects if subject.name not in COLOURS]
    return COLOURS | {name: OTHERS[index % len(OTHERS)] for index, name in enumerate(others)}


def _plain_ticks(axis: Any, write: Callable[[float], str] = "{:,g}".format) -> None:
    """Write the numbers of a logarithmic axis as people do."""
    ticker = importlib.import_module("matplotlib.ticker")

    def written(value: float, _: object) -> str:
        return write(value)

    axis.set_major_formatter(ticker.FuncFormatter(written))
    axis.set_minor_formatter(ticker.NullFormatter())


def _save(pyplot: Any, drawing: Any, path: Path) -> Path:
    drawing.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    pyplot.close(drawing)
    return path


def _speed(figure: Figure, mine: float, reference: float) -> float:
    """How many times better than the reference, whichever way is better."""
    return reference / mine if figure.better == "lower" else mine / reference


def _overview(pyplot: Any, results: Results, folder: Path) -> Path | None:
    """Grouped bars: how many times better than ipykernel, on a logarithmic axis."""
    rows: list[tuple[Figure, dict[str, float]]] = []
    names = [s.name for s in results.subjects if s.name != REFERENCE]
    for figure in (results.figures[name] for name in OVERVIEW if name in results.figures):
        reference = results.summary(figure.name, REFERENCE)
        values = {
            name: _speed(figure, summary.median, reference.median)
            for name in names
            if reference and reference.median and (summary := results.summary(figure.name, name)) and summary.median
        }
        if values:
            rows.append((figure, values))
    if not rows:
        return None
    drawing, axes = pyplot.subplots(figsize=(8, 0.5 + 0.13 * (len(names) + 1.5) * len(rows)))
    height = 0.85 / len(names)
    colours = _colours(results)
    for index, name in enumerate(names):
        places = [row + index * height for row, (_, values) in enumerate(rows) if name in values]
        axes.barh(
            places,
            [values[name] - 1 for _, values in rows if name in values],
            height,
            left=1,
            label=name,
            color=colours[name],
        )
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    _plain_ticks(axes.xaxis)
    axes.grid(visible=True, which="major", axis="x", linewidth=0.3)
    axes.set_axisbelow(True)
    axes.set_yticks([row + 0.4 for row in range(len(rows))], [_plain(figure.title) for figure, _ in rows])
    axes.invert_yaxis()
    axes.set_xlabel(f"times better than {REFERENCE} (logarithmic)")
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=4, frameon=False)
    return _save(pyplot, drawing, folder / "overview.svg")


def _curve(pyplot: Any, results: Results, figure: Figure, folder: Path) -> Path:
    drawing, axes = pyplot.subplots(figsize=(6, 3.5))
    colours, values = _colours(results), list[float]()
    for subject in results.subjects:
        curve = results.curve(figure.name, subject.name)
        if curve:
            xs: Sequence[float] = sorted(curve)
            values += curve.values()
            axes.plot(
                xs,
                [curve[x] for x in xs],
                marker="o",
                markersize=3,
                label=subject.name,
                color=colours[subject.name],
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(*_around(values))
    _plain_ticks(axes.xaxis, lambda x: written_x(x, figure))
    _plain_ticks(axes.yaxis)
    axes.set_title(f"{_plain(figure.title)} [{figure.unit}]", loc="left", fontsize=9)
    axes.set_xlabel(figure.x_label)
    axes.grid(visible=True, which="major", linewidth=0.3)
    axes.legend(frameon=False, fontsize=7)
    return _save(pyplot, drawing, folder / f"{figure.name}.svg")


def _around(values: Sequence[float]) -> tuple[float, float]:
    """The limits of a logarithmic axis for positive values: at least :data:`DECADES`, with some room."""
    low, high = math.log10(min(values)) - 0.2, math.log10(max(values)) + 0.2
    missing = max(0.0, DECADES - (high - low)) / 2
    return 10 ** (low - missing), 10 ** (high + missing)


def _plain(title: str) -> str:
    return title.replace("`", "")

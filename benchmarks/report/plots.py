"""Plots as SVG: our ratios at a glance, and the growth curves. Needs matplotlib, which nothing else here does."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.model import Figure
    from benchmarks.results import Results

__all__ = ["can_plot", "draw"]

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
COLOURS = ("#1b6ca8", "#4fa3d1", "#9ccbe6", "#e07a2f", "#8e6bb0", "#b79ad2", "#5b9a55", "#8c8c8c")


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
    for index, name in enumerate(names):
        places = [row + index * height for row, (_, values) in enumerate(rows) if name in values]
        axes.barh(
            places,
            [values[name] - 1 for _, values in rows if name in values],
            height,
            left=1,
            label=name,
            color=COLOURS[index % len(COLOURS)],
        )
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks([row + 0.4 for row in range(len(rows))], [figure.title for figure, _ in rows])
    axes.invert_yaxis()
    axes.set_xlabel(f"times better than {REFERENCE} (logarithmic)")
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=4, frameon=False)
    return _save(pyplot, drawing, folder / "overview.svg")


def _curve(pyplot: Any, results: Results, figure: Figure, folder: Path) -> Path:
    drawing, axes = pyplot.subplots(figsize=(6, 3.5))
    for index, subject in enumerate(results.subjects):
        curve = results.curve(figure.name, subject.name)
        if curve:
            xs: Sequence[float] = sorted(curve)
            axes.plot(
                xs,
                [curve[x] for x in xs],
                marker="o",
                markersize=3,
                label=subject.name,
                color=COLOURS[index % len(COLOURS)],
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(figure.x_label)
    axes.set_ylabel(f"{figure.title} [{figure.unit}]")
    axes.grid(visible=True, which="major", linewidth=0.3)
    axes.legend(frameon=False, fontsize=7)
    return _save(pyplot, drawing, folder / f"{figure.name}.svg")

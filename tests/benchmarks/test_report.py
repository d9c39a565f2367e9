"""The report's text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.model import Figure
from benchmarks.report import plots
from benchmarks.report.markdown import goal_table, render, table
from benchmarks.report.numbers import number, with_spread, written_ratio, written_x
from benchmarks.results import Subject
from benchmarks.statistics import Ratio, summarize
from tests.benchmarks.makers import SUBJECTS, make_results

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (0.0004, "0"),
        (0.0123, "0.012"),
        (0.5, "0.5"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (123.4, "123"),
        (1_234_567.0, "1,234,567"),
        (-3.14159, "-3.14"),
    ],
)
def test_numbers_have_three_digits(value: float, expected: str) -> None:
    assert number(value) == expected


def test_spread_is_shown_where_there_is_one() -> None:
    assert with_spread(summarize([1.0, 2.0, 3.0])) == "2.00 (1.00–3.00)"
    assert with_spread(summarize([2.0, 2.0])) == "2.00"


def test_ratios_show_their_spread() -> None:
    assert written_ratio(Ratio(0.5, 0.25, 0.75)) == "0.50 × (0.25–0.75)"
    assert written_ratio(Ratio(0.5, 0.5, 0.5)) == "0.50 ×"
    assert written_ratio(None) == "–"


@pytest.mark.parametrize(
    ("x", "label", "expected"),
    [(1000.0, "bytes", "1 KB"), (500e6, "bytes", "500 MB"), (10.0, "bytes", "10"), (10_000.0, "tasks", "10,000")],
)
def test_points_are_written_in_their_unit(x: float, label: str, expected: str) -> None:
    assert written_x(x, Figure("f", "f", x_label=label)) == expected


def test_a_table_is_markdown() -> None:
    assert table(["a", "b"], [["x", "1"], ["y", "2"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |\n| y | 2 |\n"


def test_goals_say_met_not_met_and_not_measured() -> None:
    results = make_results({"execute_pass": {"floor": [1.0], "ours-trio": [1.5], "ours-asyncio": [2.5]}})
    rows = goal_table(results).splitlines()
    assert rows[2] == "| execute pass | ≤ 2 × floor | 1.50 × met | **2.50 × not met** |"
    assert rows[3] == "| execute pass | ≤ 0.22 × ipykernel | not measured | not measured |"
    assert rows[-1] == "| **sum** |  | 1 of 4 met | 0 of 4 met |"


def test_without_our_kernel_there_are_no_goals() -> None:
    assert goal_table(make_results({"execute_pass": {"floor": [1.0]}}, subjects=SUBJECTS[:1])) == ""


def test_the_report_has_figures_ratios_curves_and_reasons() -> None:
    results = make_results(
        {
            "figure": {"floor": [1.0], "ours-trio": [2.0]},
            "curve": {"ours-trio": [{1.0: 1.0, 10.0: 1.0, 100.0: 1.1}]},
        },
        figures=(Figure("figure", "a figure", "µs"), Figure("curve", "a curve", "ms", x_label="things")),
    )
    results.miss("ipykernel", "probe", "no | answer")
    results.about = {"interrupted": True}
    text = render(results)
    for line in (
        "| a figure | lower | 2.00 × | – |",
        "| a figure [µs] | 1.00 | 2.00 | – | – |",
        "| a curve [ms] | shape | 1 | 10 | 100 |",
        "| ours-trio | flat | 1.00 | 1.00 | 1.10 |",
        "| ipykernel | probe | no / answer |",
        "- **the run was broken off**: later measures are missing",
    ):
        assert line in text.splitlines()


def test_another_revision_is_compared_with_this_one() -> None:
    subjects = (Subject("ours-trio", "ours", ""), Subject("ours-trio@v1", "ours@v1", ""))
    text = render(make_results({"figure": {"ours-trio": [3.0], "ours-trio@v1": [4.0]}}, subjects=subjects))
    assert "| figure [ms] | lower | 4.00 → 3.00: 0.75 × |" in text.splitlines()


def test_plots_are_svg(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    results = make_results(
        {
            "execute_pass": {"floor": [1.0], "ours-trio": [2.0], "ipykernel": [6.0]},
            "growth": {"ours-trio": [{1.0: 1.0, 10.0: 2.0}]},
        },
        figures=(Figure("growth", "growth", x_label="tasks"),),
    )
    paths = plots.draw(results, tmp_path)
    assert [path.name for path in paths] == ["overview.svg", "growth.svg"]
    assert all("<svg" in path.read_text(encoding="utf-8") for path in paths)


def test_a_kernel_has_one_colour_in_all_plots_and_another_revision_its_own(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    subjects = tuple(Subject(name, "", "") for name in ("floor", "ours-trio@v1", "ours-trio", "ipykernel"))
    results = make_results(
        {
            "execute_pass": {subject.name: [1.0] for subject in subjects},
            "growth": {name: [{1.0: 1.0, 10.0: 2.0}] for name in ("ours-trio", "ours-trio@v1")},
        },
        figures=(Figure("growth", "growth", x_label="tasks"),),
        subjects=subjects,
    )
    texts = [path.read_text(encoding="utf-8") for path in plots.draw(results, tmp_path)]
    for colour in (plots.COLOURS["ours-trio"], plots.OTHERS[0]):
        assert all(colour in text for text in texts)


def test_a_flat_curve_looks_flat_and_its_axis_has_plain_numbers(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    results = make_results(
        {"growth": {"ours-trio": [{1e3: 500.0, 1e6: 600.0}]}}, figures=(Figure("growth", "growth", x_label="bytes"),)
    )
    text = plots.draw(results, tmp_path)[0].read_text(encoding="utf-8")
    assert all(f">{tick}</text>" in text for tick in ("1 KB", "1 MB", "100", "1,000"))


def test_nothing_to_plot_is_no_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert plots.draw(make_results({"figure": {"floor": [1.0]}}), tmp_path) == []

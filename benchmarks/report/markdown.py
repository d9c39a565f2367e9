"""The report as Markdown: goals, ratios, figures, curves, and what could not be measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.goals import GOALS, judge
from benchmarks.report.numbers import number, with_spread, written_ratio, written_x
from benchmarks.report.plots import OVERVIEW
from benchmarks.statistics import ratio, shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.goals import Goal
    from benchmarks.model import Figure
    from benchmarks.results import Results

__all__ = ["about", "curve_shapes", "glance", "goal_figures", "goal_table", "pictures", "render", "table"]

OURS = "ours"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int = 1) -> str:
    """A Markdown table; the first ``texts`` columns are text, the others are aligned to the right."""
    rule = [*["---"] * texts, *["---:"] * (len(header) - texts)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, rule, *rows]) + "\n"


def render(results: Results) -> str:
    """The whole report."""
    sections = [
        "# Benchmark of Jupyter kernels for Python\n",
        about(results),
        _section("Goals", goal_table(results)),
        _section("Compared with the other revision", _against(results)),
        _section("Ratios", _ratios(results)),
        *(_section(f"Figures: {family.replace('_', ' ')}", _figures(results, family)) for family in results.families),
        _section("Curves", _curves(results)),
        _section("Not measured", _absences(results)),
        _section("Versions", _versions(results)),
    ]
    return "\n".join(section for section in sections if section)


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def about(results: Results) -> str:
    """When, where and how it was measured."""
    facts = results.about
    machine = facts.get("machine", {})
    lines = [
        f"- form: {facts.get('form')}, {facts.get('date')}, {number(facts.get('seconds', 0))} s",
        f"- machine: {machine.get('processor')}, {machine.get('cores')} cores, {machine.get('system')}; "
        f"load before {machine.get('load_before')}, after {machine.get('load_after')}",
        f"- Python {facts.get('python')}; our commit {facts.get('commit') or 'unknown'}",
        f"- noise: half of all figures vary by more than {results.typical_spread():.0f} % between their rounds",
        "- a cell is the median of the rounds (lowest–highest round); ratios are of medians within this run",
    ]
    if added := facts.get("added"):
        lines.append(f"- figures of an earlier run are among them: {added}")
    if facts.get("interrupted"):
        lines.append("- **the run was broken off**: later measures are missing")
    return "\n".join(lines) + "\n"


def goal_table(results: Results) -> str:
    """Every goal with the value of each of our kernels, and whether it is met."""
    ours = results.group(OURS)
    goals = [goal for goal in GOALS if goal.figure in results.figures]
    if not ours or not goals:
        return ""
    rows = [
        [_goal_title(results, goal), str(goal), *(_verdict(results, goal, name) for name in ours)] for goal in goals
    ]
    counts = [f"{sum(judge(goal, results, name).met is True for goal in goals)} of {len(goals)} met" for name in ours]
    return table(["measure", "goal", *ours], [*rows, ["**sum**", "", *counts]], texts=2)


def goal_figures(results: Results) -> str:
    """Every figure that a goal is about, of every kernel, with its spread."""
    names = [subject.name for subject in results.subjects]
    figures = dict.fromkeys(goal.figure for goal in GOALS if goal.figure in results.figures)
    rows = list[list[str]]()
    for figure in (results.figures[name] for name in figures):
        summaries = [results.summary(figure.name, name) for name in names]
        if any(summaries):
            unit = f" [{figure.unit}]" if figure.unit else ""
            rows.append([figure.title + unit, *(with_spread(s) if s else "–" for s in summaries)])
    return table(["figure", *names], rows) if rows else ""


def curve_shapes(results: Results) -> str:
    """How every curve grows, and its value at both ends, for every kernel."""
    subjects = [subject.name for subject in results.subjects]
    rows = list[list[str]]()
    for figure in results.figures.values():
        curves = [results.curve(figure.name, name) for name in subjects]
        if any(curves):
            title = f"{figure.title} [{figure.unit}], over {figure.x_label}"
            rows.append([title, *(_ends(curve, figure) if curve else "–" for curve in curves)])
    return table(["curve", *subjects], rows) if rows else ""


def _ends(curve: Mapping[float, float], figure: Figure) -> str:
    """``flat: 1.2 (1) … 1.3 (10,000)``."""
    first, last = min(curve), max(curve)
    ends = f"{number(curve[first])} ({written_x(first, figure)}) … {number(curve[last])} ({written_x(last, figure)})"
    return f"{shape(curve)}: {ends}"


def glance(results: Results) -> str:
    """The usual figures of every kernel, medians only, and their image; for a page beside the folder ``benchmarks``."""
    names = [subject.name for subject in results.subjects]
    rows = list[list[str]]()
    for figure in (results.figures[name] for name in OVERVIEW if name in results.figures):
        summaries = [results.summary(figure.name, name) for name in names]
        if any(summaries):
            unit = f" [{figure.unit}]" if figure.unit else ""
            rows.append([figure.title + unit, *(number(s.median) if s else "–" for s in summaries)])
    image = "![How many times better than ipykernel, for each measure](benchmarks/overview.svg)"
    return f"{table(['figure', *names], rows)}\n{image}\n" if rows else ""


def pictures(results: Results) -> str:
    """Images of every curve, from a page beside the folder ``benchmarks``."""
    curves = [
        figure
        for figure in results.figures.values()
        if any(results.curve(figure.name, subject.name) for subject in results.subjects)
    ]
    lines = [f"![{figure.title}, over {figure.x_label}](benchmarks/{figure.name}.svg)\n" for figure in curves]
    return "\n".join(lines)


def _goal_title(results: Results, goal: Goal) -> str:
    figure = results.figures[goal.figure]
    return figure.title + (f" [{figure.unit}]" if figure.unit and not goal.of else "")


def _verdict(results: Results, goal: Goal, kernel: str) -> str:
    verdict = judge(goal, results, kernel)
    if verdict.value is None:
        return "not measured"
    written = f"{verdict.value:.2f} ×" if goal.of else number(verdict.value)
    return f"{written} met" if verdict.met else f"**{written} not met**"


def _ratios(results: Results) -> str:
    """Our first kernel by each of the others, figure by figure."""
    ours = results.group(OURS)
    if not ours:
        return ""
    subject = ours[0]
    others = [other.name for other in results.subjects if other.name not in ours]
    rows = list[list[str]]()
    for figure in results.figures.values():
        mine = results.summary(figure.name, subject)
        if mine is None or figure.unit == "%":
            continue
        cells = [
            written_ratio(ratio(mine, its)) if (its := results.summary(figure.name, other)) else "–" for other in others
        ]
        if any(cell != "–" for cell in cells):
            rows.append([figure.title, figure.better, *cells])
    if not rows:
        return ""
    note = f"`{subject}` by each of the others (lowest–highest of the rounds paired).\n\n"
    return note + table(["figure", "better", *others], rows)


def _against(results: Results) -> str:
    """Each of our kernels by itself at the other revision."""
    pairs = [
        (mine, other.name)
        for mine in results.group(OURS)
        for other in results.subjects
        if other.name.startswith(f"{mine}@")
    ]
    rows = list[list[str]]()
    for figure in results.figures.values():
        cells = list[str]()
        for mine, other in pairs:
            now, then = results.summary(figure.name, mine), results.summary(figure.name, other)
            cells.append(
                f"{number(then.median)} → {number(now.median)}: {written_ratio(ratio(now, then))}"
                if now and then
                else "–"
            )
        if any(cell != "–" for cell in cells):
            rows.append([f"{figure.title} [{figure.unit}]", figure.better, *cells])
    return table(["figure", "better", *(mine for mine, _ in pairs)], rows) if rows else ""


def _figures(results: Results, family: str) -> str:
    names = [subject.name for subject in results.subjects]
    rows = list[list[str]]()
    for figure in (results.figures[name] for name in results.families[family]):
        summaries = {name: results.summary(figure.name, name) for name in names}
        if not any(summaries.values()):
            continue
        unit = f" [{figure.unit}]" if figure.unit else ""
        rows.append([figure.title + unit, *(with_spread(s) if s else "–" for s in summaries.values())])
        if any(s and s.p95 is not None for s in summaries.values()):
            rows.append(["· p95 / p99" + unit, *(_percentiles(s.p95, s.p99) if s else "–" for s in summaries.values())])
    return table(["figure", *names], rows) if rows else ""


def _percentiles(p95: float | None, p99: float | None) -> str:
    return "–" if p95 is None or p99 is None else f"{number(p95)} / {number(p99)}"


def _curves(results: Results) -> str:
    parts = list[str]()
    for figure in results.figures.values():
        curves = {s.name: c for s in results.subjects if (c := results.curve(figure.name, s.name))}
        if not curves:
            continue
        xs = sorted({x for curve in curves.values() for x in curve})
        rows = [
            [name, shape(curve), *(number(curve[x]) if x in curve else "–" for x in xs)]
            for name, curve in curves.items()
        ]
        header = [f"{figure.title} [{figure.unit}]", "shape", *(written_x(x, figure) for x in xs)]
        parts.append(f"Over {figure.x_label}:\n\n{table(header, rows)}")
    return "\n".join(parts)


def _absences(results: Results) -> str:
    rows = [
        [a.kernel, "everything" if a.probe == "*" else a.probe, a.reason.replace("|", "/")] for a in results.absences
    ]
    return table(["kernel", "measure", "reason"], rows, texts=3) if rows else ""


def _versions(results: Results) -> str:
    rows = [[subject.name, subject.version] for subject in results.subjects]
    return table(["kernel", "version"], rows, texts=2)

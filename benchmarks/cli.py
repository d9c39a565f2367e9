"""The command line: what to measure, how long, against what, and where the result goes."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.environments import Environment, Workshop
from benchmarks.errors import BenchError, InstallationError
from benchmarks.kernels import KERNELS, ours_at
from benchmarks.machine import describe_machine, load
from benchmarks.measures import PROBES
from benchmarks.model import Form
from benchmarks.progress import display_for
from benchmarks.report import markdown, plots
from benchmarks.report.publish import publish
from benchmarks.results import Results, Subject
from benchmarks.runner import Runner
from benchmarks.selection import at_revision, select_kernels, select_probes, split
from benchmarks.stage import Stage
from benchmarks.worktree import describe_tree, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.kernels import Kernel
    from benchmarks.model import Probe

__all__ = ["main", "make_parser"]

PROJECT = Path(__file__).resolve().parent.parent

DESCRIPTION = """\
Compare Jupyter kernels for Python on this machine: this project's kernel on trio, asyncio and uvloop, its
peers, and a floor that only echoes. Environments are made at the first run (a minute or two, needs a package
index) and kept. Kernels take turns; figures are medians, their ratios are what counts.
"""

EPILOG = """\
examples:
  python -m benchmarks                               the short form, three minutes if no kernel hangs
  python -m benchmarks --long                        all measures and growth curves, about an hour
  python -m benchmarks --list                        names of kernels and measures
  python -m benchmarks -k ours,ipykernel -m start    a family of measures, some kernels
  python -m benchmarks -m 'execute_*,shutdown'       measures by pattern
  python -m benchmarks --against HEAD~5              this working tree by an older revision of it
  python -m benchmarks --constrain 'ipython<9.18'    the same versions as somebody else
  python -m benchmarks --render results.json         tell an old run again

Close what else uses the processor: the report says how much the figures varied.
"""


def make_parser() -> argparse.ArgumentParser:
    """The parser of ``python -m benchmarks``."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_argument_group("what is measured")
    form = what.add_mutually_exclusive_group()
    form.add_argument(
        "--short",
        dest="form",
        action="store_const",
        const=Form.short,
        default=Form.short,
        help="the default: the usual measures, few rounds",
    )
    form.add_argument(
        "--long",
        dest="form",
        action="store_const",
        const=Form.long,
        help="all measures, many rounds, growth curves to their ends",
    )
    what.add_argument(
        "-k",
        "--kernels",
        action="append",
        default=[],
        metavar="NAMES",
        help="kernels or their projects, between commas; patterns work",
    )
    what.add_argument(
        "-m",
        "--measures",
        action="append",
        default=[],
        metavar="NAMES",
        help="measures, families or figures, between commas; patterns work",
    )
    what.add_argument("--rounds", type=_positive, metavar="N", help="rounds for every measure, in place of its own")
    what.add_argument(
        "--against", metavar="REV", help="measure our kernel at this git revision too; without -k, floor and ours only"
    )
    how = parser.add_argument_group("environments")
    how.add_argument(
        "--python",
        type=Path,
        default=Path(sys.executable),
        metavar="FILE",
        help="interpreter of all kernels (default: this one)",
    )
    how.add_argument(
        "--constrain",
        action="append",
        default=[],
        metavar="REQUIREMENT",
        help="a version constraint for all environments; may be repeated",
    )
    how.add_argument("--renew", action="store_true", help="make all environments anew, with the newest versions")
    how.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        default=platformdirs.user_cache_path("async-trio-bench"),
        help="where environments are kept (default: %(default)s)",
    )
    out = parser.add_argument_group("results")
    out.add_argument(
        "-o",
        "--output",
        type=Path,
        default=PROJECT / "build" / "bench",
        metavar="FOLDER",
        help="for results.json, results.md and plots (default: build/bench in the project)",
    )
    out.add_argument("--no-plots", action="store_true", help="no SVG files, even if matplotlib is there")
    out.add_argument("--render", type=Path, metavar="FILE", help="measure nothing: report on an earlier results.json")
    out.add_argument(
        "--add", type=Path, metavar="FILE", help="what this run does not measure comes from an earlier results.json"
    )
    out.add_argument(
        "--publish", action="store_true", help="write tables and plots into docs/performance.md and docs/benchmarks"
    )
    out.add_argument("--list", action="store_true", help="show the kernels and the measures, and end")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"at least 1, not {value}")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite; the exit code is 0, 2 for what the user can put right, or 130 if it was broken off."""
    options = make_parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        if options.list:
            _show_lists(Console())
            return 0
        earlier = Results.from_json(options.add) if options.add else None
        results = Results.from_json(options.render) if options.render else _measure(options, console)
        if earlier is not None:
            results.take_over(earlier)
        _report(results, options, console)
    except BenchError as e:
        console.print(f"[bold red]error:[/] {escape(str(e))}", highlight=False, soft_wrap=True)
        return 2
    return 130 if results.about.get("interrupted") else 0


def _show_lists(console: Console) -> None:
    kernels = Table("kernel", "project", "installed", "", title="kernels", title_justify="left", box=None)
    for kernel in KERNELS:
        installed = "this working tree" if kernel.recipe.revision == "" else ""
        what = escape(", ".join([*([installed] if installed else []), *kernel.recipe.requirements]))
        kernels.add_row(kernel.name, kernel.group, what, "on request" if kernel.only_on_request else "")
    measures = Table("measure", "family", "figures", "", title="measures", title_justify="left", box=None)
    for probe in PROBES:
        names = ", ".join(figure.name for figure in probe.figures)
        measures.add_row(probe.name, probe.family, names, "long form" if probe.long_only else "")
    console.print(kernels, "", measures)


@dataclass(frozen=True)
class _Plan:
    form: Form
    kernels: list[Kernel]
    probes: list[Probe]


def _plan(options: argparse.Namespace) -> _Plan:
    kernels = list(KERNELS)
    patterns = split(options.kernels)
    if options.against:
        kernels += ours_at(resolve(PROJECT, options.against), options.against)
        patterns = at_revision(patterns, options.against, kernels) or ["floor", "ours*"]
    return _Plan(
        options.form,
        select_kernels(patterns, kernels),
        select_probes(split(options.measures), PROBES, options.form),
    )


def _measure(options: argparse.Namespace, console: Console) -> Results:
    plan, results, began = _plan(options), Results(), time.monotonic()
    python = options.python.absolute()
    if not python.is_file():
        raise BenchError(f"there is no interpreter {options.python}")
    workshop = Workshop(options.cache.absolute(), PROJECT, python, tuple(options.constrain), options.renew)
    results.about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "form": plan.form.value,
        "commit": describe_tree(PROJECT),
        "machine": describe_machine(),
        "constraints": options.constrain,
    }
    with tempfile.TemporaryDirectory(prefix="async-trio-bench-") as scratch, display_for(console) as display:
        stages = list[Stage]()
        for kernel in plan.kernels:
            display.step("making environments", kernel.name)
            try:
                environment = workshop.prepare(kernel.recipe)
            except InstallationError as e:
                results.miss(kernel.name, "*", f"could not be installed: {e}")
                display.say(f"[yellow]{kernel.name} is left out: it could not be installed: {escape(str(e))}")
                continue
            results.subjects.append(Subject(kernel.name, kernel.group, _version(kernel, environment)))
            results.about["python"] = environment.versions["python"]
            results.about.setdefault("environments", {})[kernel.recipe.name] = environment.versions
            stages.append(Stage(kernel, environment, plan.form, Path(scratch) / kernel.name.replace("/", "-")))
        if not stages:
            raise BenchError("no kernel could be installed: is there a package index?")
        ready = time.monotonic()
        try:
            Runner(stages, plan.probes, plan.form, results, display, options.rounds).run()
        except KeyboardInterrupt:
            results.about["interrupted"] = True
        results.about["seconds"] = round(time.monotonic() - ready, 1)
        results.about["seconds_with_installation"] = round(time.monotonic() - began, 1)
    results.about["machine"]["load_after"] = load()
    return results


def _version(kernel: Kernel, environment: Environment) -> str:
    version = f"{kernel.distribution} {environment.versions.get(kernel.distribution, '?')}"
    if kernel.recipe.revision is not None:
        version += f" ({kernel.recipe.revision[:10] or describe_tree(PROJECT) or 'working tree'})"
    return version


def _report(results: Results, options: argparse.Namespace, console: Console) -> None:
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown.render(results)
    (folder / "results.md").write_text(text, encoding="utf-8")
    if not options.render:
        (folder / "results.json").write_bytes(results.to_json())
    if not options.no_plots:
        if plots.can_plot():
            plots.draw(results, folder)
        else:
            console.print("no plots: matplotlib is not installed here", highlight=False)
    if options.publish:
        publish(results, PROJECT / "docs")
    print(text)
    console.print(f"written to {folder}", highlight=False, soft_wrap=True)

"""All that a run found out, and its form as JSON.

Readings are kept as they were taken, one for each round; medians, spreads and ratios are computed when they
are asked for, so that a file from an old run can be told in a new way.
"""

from __future__ import annotations

import re
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from benchmarks.errors import BenchError
from benchmarks.model import Figure
from benchmarks.statistics import Summary, merge_curves, summarize

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from benchmarks.model import Curve, Probe, Reading

__all__ = ["Absence", "Results", "Subject"]

FORMAT = 1
_FOLDERS = re.compile(r"(?:/[\w.+-]+)+/(?=[\w.+-]+)")
"""What stands before a file's name, and says something of this machine only."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A kernel that took part."""

    name: str
    group: str
    version: str


@dataclass(frozen=True, slots=True)
class Absence:
    """Why there is no reading: a kernel that could not be had, a feature that it lacks, a failure in a round."""

    kernel: str
    probe: str
    reason: str


@dataclass
class Results:
    """The outcome of a run.

    Attributes:
        about: when, where and how the run was made; plain JSON.
        subjects: the kernels, in the order of the tables.
        families: figure names by family, in the order of the run.
        readings: figure → kernel → its rounds.
    """

    about: dict[str, Any] = field(default_factory=dict[str, Any])
    subjects: list[Subject] = field(default_factory=list[Subject])
    figures: dict[str, Figure] = field(default_factory=dict[str, Figure])
    families: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    readings: dict[str, dict[str, list[Reading]]] = field(default_factory=dict[str, "dict[str, list[Reading]]"])
    absences: list[Absence] = field(default_factory=list[Absence])

    def expect(self, probe: Probe) -> None:
        """Make room for what a probe reads."""
        for figure in probe.figures:
            self.figures[figure.name] = figure
            names = self.families.setdefault(probe.family, [])
            if figure.name not in names:
                names.append(figure.name)

    def add(self, kernel: str, readings: Iterable[tuple[str, Reading]]) -> None:
        """Keep what a probe read in one round."""
        for name, reading in readings:
            self.readings.setdefault(name, {}).setdefault(kernel, []).append(reading)

    def miss(self, kernel: str, probe: str, reason: str) -> None:
        """Keep why there is nothing to keep."""
        absence = Absence(kernel, probe, _FOLDERS.sub("", reason))
        if absence not in self.absences:
            self.absences.append(absence)

    def take_over(self, earlier: Results) -> None:
        """Have what only an earlier run measured, too: whole figures, so that kernels are compared within one run."""
        there = {subject.name for subject in self.subjects}
        self.subjects += [subject for subject in earlier.subjects if subject.name not in there]
        new = [name for name in earlier.figures if name not in self.figures]
        for name in new:
            self.figures[name] = earlier.figures[name]
            self.readings[name] = earlier.readings.get(name, {})
        for family, names in earlier.families.items():
            mine = self.families.setdefault(family, [])
            mine += [name for name in names if name in new]
        self.absences += [absence for absence in earlier.absences if absence not in self.absences]
        self.about["added"] = f"{earlier.about.get('form')}, {earlier.about.get('date')}"

    def summary(self, figure: str, kernel: str) -> Summary | None:
        """A kernel's figure; None if there is no reading (or if the figure is a curve)."""
        values = [r for r in self.readings.get(figure, {}).get(kernel, []) if not isinstance(r, dict) and r != []]
        return summarize(values) if values else None

    def curve(self, figure: str, kernel: str) -> Curve:
        """A kernel's curve, the median of its rounds; empty if there is none."""
        return merge_curves([r for r in self.readings.get(figure, {}).get(kernel, []) if isinstance(r, dict)])

    def group(self, name: str) -> list[str]:
        """The kernels of a project."""
        return [subject.name for subject in self.subjects if subject.group == name]

    def to_json(self) -> bytes:
        """The run as a JSON document, medians and percentiles beside the readings for readers without this code."""
        summaries = {
            figure: {
                subject.name: asdict(summary)
                for subject in self.subjects
                if (summary := self.summary(figure, subject.name))
            }
            for figure in self.figures
        }
        document = {
            "format": FORMAT,
            "about": self.about,
            "subjects": [asdict(subject) for subject in self.subjects],
            "figures": {name: asdict(figure) for name, figure in self.figures.items()},
            "families": self.families,
            "summaries": summaries,
            "readings": self.readings,
            "absences": [asdict(absence) for absence in self.absences],
        }
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)

    @classmethod
    def from_json(cls, path: Path) -> Results:
        """Read what :meth:`to_json` wrote.

        Raises:
            BenchError: if the file is not such a document.
        """
        try:
            document = orjson.loads(path.read_bytes())
            if document["format"] != FORMAT:
                raise BenchError(f"{path} was written by another version of this suite")
            return cls(
                about=document["about"],
                subjects=[Subject(**subject) for subject in document["subjects"]],
                figures={name: Figure(**figure) for name, figure in document["figures"].items()},
                families=document["families"],
                readings={
                    figure: {kernel: [_reading(r) for r in rounds] for kernel, rounds in kernels.items()}
                    for figure, kernels in document["readings"].items()
                },
                absences=[
                    Absence(a["kernel"], a["probe"], _FOLDERS.sub("", a["reason"])) for a in document["absences"]
                ],
            )
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as e:
            raise BenchError(f"{path} is not a result of this suite: {e}") from e

    def typical_spread(self) -> float:
        """The median over all figures of (high - low) / median, in percent: how noisy the run was."""
        spreads = [
            (summary.high - summary.low) / summary.median * 100
            for figure, kernels in self.readings.items()
            for kernel in kernels
            if (summary := self.summary(figure, kernel)) and len(summary.rounds) > 1 and summary.median > 0
        ]
        return statistics.median(spreads) if spreads else 0.0


def _reading(value: float | list[float] | dict[str, float]) -> Reading:
    """JSON knows no numbers as keys."""
    return {float(x): y for x, y in value.items()} if isinstance(value, dict) else value

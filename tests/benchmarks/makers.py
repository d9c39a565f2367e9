"""Results without a run: figures with the readings that a test says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.model import Figure, Probe
from benchmarks.results import Results, Subject

if TYPE_CHECKING:
    from benchmarks.model import Reading, Readings
    from benchmarks.stage import Stage

SUBJECTS = (
    Subject("floor", "floor", "pyzmq 27"),
    Subject("ours-trio", "ours", "async-trio 0.1"),
    Subject("ours-asyncio", "ours", "async-trio 0.1"),
    Subject("ipykernel", "ipykernel", "ipykernel 7"),
)


def nothing(stage: Stage) -> Readings:
    """A probe that is not run."""
    raise AssertionError(stage)


def make_results(
    readings: dict[str, dict[str, list[Reading]]],
    *,
    figures: tuple[Figure, ...] = (),
    subjects: tuple[Subject, ...] = SUBJECTS,
) -> Results:
    """Results of a family "family" with the given rounds; figures not described are milliseconds."""
    known = {figure.name: figure for figure in figures}
    described = tuple(known.get(name, Figure(name, name.replace("_", " "))) for name in readings)
    results = Results(subjects=list(subjects))
    results.expect(Probe(name="probe", family="family", title="a probe", figures=described, run=nothing))
    for name, kernels in readings.items():
        for kernel, rounds in kernels.items():
            for reading in rounds:
                results.add(kernel, [(name, reading)])
    return results

"""Which kernels and which measures: names and patterns from the command line, resolved or refused."""

from __future__ import annotations

import difflib
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from benchmarks.errors import BenchError
from benchmarks.model import Form

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.kernels import Kernel
    from benchmarks.model import Probe

__all__ = ["at_revision", "select_kernels", "select_probes", "split"]


def split(names: Sequence[str]) -> list[str]:
    """Options that may be given several times, and several names at once between commas."""
    return [part.strip() for name in names for part in name.split(",") if part.strip()]


def _refuse(kind: str, pattern: str, known: Sequence[str]) -> BenchError:
    near = difflib.get_close_matches(pattern, known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "--list shows them all"
    return BenchError(f"there is no {kind} {pattern!r}; {hint}")


def select_kernels(patterns: Sequence[str], kernels: Sequence[Kernel]) -> list[Kernel]:
    """The kernels whose name or project matches one of the patterns; without patterns, the usual ones.

    Raises:
        BenchError: for a pattern that matches nothing.
    """
    if not patterns:
        return [kernel for kernel in kernels if not kernel.only_on_request]
    for pattern in patterns:
        if not any(_fits(pattern, kernel.name, kernel.group) for kernel in kernels):
            raise _refuse("kernel", pattern, [name for kernel in kernels for name in (kernel.name, kernel.group)])
    names = {kernel.name for kernel in kernels}
    # A kernel's own name means that one, also where its project has the same name.
    return [
        kernel
        for kernel in kernels
        if any(kernel.name == p if p in names else _fits(p, kernel.name, kernel.group) for p in patterns)
    ]


def at_revision(patterns: Sequence[str], label: str, kernels: Sequence[Kernel]) -> list[str]:
    """The patterns, and those for the same kernels of ours at a revision: whoever names one means to compare it."""
    beside = [f"{pattern}@{label}" for pattern in patterns]
    return [*patterns, *(pattern for pattern in beside if any(_fits(pattern, k.name, k.group) for k in kernels))]


def select_probes(patterns: Sequence[str], probes: Sequence[Probe], form: Form) -> list[Probe]:
    """The probes whose name, family or figures match one of the patterns; without patterns, the form's.

    Raises:
        BenchError: for a pattern that matches nothing.
    """
    if not patterns:
        return [probe for probe in probes if form is Form.long or not probe.long_only]
    for pattern in patterns:
        if not any(_fits(pattern, *_names(probe)) for probe in probes):
            raise _refuse("measure", pattern, [name for probe in probes for name in _names(probe)])
    return [probe for probe in probes if any(_fits(pattern, *_names(probe)) for pattern in patterns)]


def _names(probe: Probe) -> list[str]:
    return [probe.name, probe.family, *(figure.name for figure in probe.figures)]


def _fits(pattern: str, *names: str) -> bool:
    return any(fnmatchcase(name, pattern) for name in names)

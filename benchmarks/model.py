"""The vocabulary of a run: figures, probes and readings. Pure data.

A *probe* is one piece of work done with one kernel in one round; it gives a reading for each of its
*figures*. A reading is a number, or samples (a list: percentiles are taken over those of all rounds), or a
curve (``{x: y}``). A *family* is a module of probes.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from benchmarks.stage import Stage

__all__ = ["Curve", "Effort", "Feature", "Figure", "Form", "Probe", "Reading", "Readings"]

Curve: TypeAlias = dict[float, float]
Reading: TypeAlias = float | list[float] | Curve
Readings: TypeAlias = Mapping[str, Reading]


class Form(enum.StrEnum):
    """How long a run may take: under three minutes, or as long as trustworthy figures need."""

    short = "short"
    long = "long"


class Feature(enum.StrEnum):
    """What a probe may need of a kernel."""

    executes = "runs Python code"
    awaits = "runs code with await"
    comms = "echoes comm messages"
    displays = "has IPython's display"
    introspects = "completes and inspects"
    control = "answers kernel_info on the control channel"
    heartbeat = "has a heartbeat"
    background = "lets a cell leave a background task"
    subshells = "has subshells"
    history = "keeps a history"
    concurrency = "runs cells beside each other"
    scopes = "cancels one task, and shows all"


@dataclass(frozen=True, slots=True)
class Effort:
    """A number (rounds, repetitions, seconds) for each form of a run."""

    short: int
    long: int

    def of(self, form: Form) -> int:
        return self.short if form is Form.short else self.long


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity.

    Attributes:
        name: unique; what ``--measures`` and the JSON call it.
        title: a few words for tables.
        unit: of all its values; "" for plain counts.
        better: which way is good.
        x_label: what a curve runs over; empty for figures that are not curves.
    """

    name: str
    title: str
    unit: Literal["ms", "µs", "s", "1/s", "MB", "%", ""] = "ms"
    better: Literal["lower", "higher"] = "lower"
    x_label: str = ""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One piece of work, done once for each kernel in each round.

    Attributes:
        run: does the work; raises :class:`benchmarks.errors.KernelError` where the kernel does not.
        needs: kernels without one of these are left out, and the report says why.
        rounds: how often every kernel takes its turn.
        window: seconds for which all kernels are left alone together, for what is measured over time and
            not by doing something: ``run`` is then called once to begin with, and before and after the window,
            with ``stage.memory`` to keep something in between; only the last call's result is used.
        long_only: not part of the short form unless it is asked for by name.
    """

    name: str
    family: str
    title: str
    figures: tuple[Figure, ...]
    run: Callable[[Stage], Readings]
    needs: frozenset[Feature] = frozenset()
    rounds: Effort = Effort(3, 9)
    window: Effort | None = None
    long_only: bool = False

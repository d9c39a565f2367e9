"""How hard the proofs try: ``short`` runs with the other tests (seconds), ``long`` in ``nox -s torture`` (minutes).

``TORTURE=long`` chooses the long form. Every proof asks :func:`of` for its counts, so that both forms are the same
code. What a proof has measured it hands to :func:`record`, which keeps it in the file that ``TORTURE_RESULTS`` names.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["LONG", "of", "record", "seeded"]

LONG = os.environ.get("TORTURE") == "long"

T = TypeVar("T")


def of(*, short: T, long: T) -> T:
    """The count of the chosen form; ``TORTURE_SCALE`` (a factor) makes numbers of the long form smaller."""
    if not LONG:
        return short
    factor = float(os.environ.get("TORTURE_SCALE", "1"))
    if factor != 1 and isinstance(long, int) and isinstance(short, int):
        return max(short, int(long * factor))  # type: ignore[return-value]
    return long


def seeded() -> random.Random:
    """Random numbers that can be had again by ``TORTURE_SEED``; the long form takes another seed each time."""
    seed = int(os.environ.get("TORTURE_SEED", random.randrange(1 << 32) if LONG else 7))
    print("seed", seed)
    return random.Random(seed)


def record(name: str, **figures: Any) -> None:
    """Keep what was measured."""
    print(name, figures)
    path = os.environ.get("TORTURE_RESULTS")
    if path:
        with Path(path).open("a") as file:
            file.write(json.dumps({"name": name, "form": "long" if LONG else "short", **figures}) + "\n")

"""Options below the floor where traitlets stop: plain frozen data, made once when an interface opens."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ClosingSettings"]

SECONDS = 1.0


class ClosingSettings(NamedTuple):
    """How long closing may take.

    Attributes:
        grace_s: seconds that cells and tasks get to end after they were cancelled; then a launched kernel ends its
            process with exit code 1, an embedded one goes on waiting and says so.
        children_s: seconds that child processes of a launched kernel get to end after they were asked to.
        threads_s: seconds that threads of user code get to end, when all else of a launched kernel has ended.
    """

    grace_s: float = 5 * SECONDS
    children_s: float = 0.5 * SECONDS
    threads_s: float = 1 * SECONDS

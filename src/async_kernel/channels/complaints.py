"""Warnings about what others do, a few of them only: a flood of rubbish must not become a flood of log lines."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

__all__ = ["Complaints"]

QUIET_S: Final = 10.0
"""Seconds between two warnings of one kind: often enough to notice that it goes on."""


class Complaints:
    """Logs the first of a kind at once, and the next after a while with the number of those between. One thread only.

    Args:
        log: where to.
        kind: what they have in common, as the beginning of each line.
        clock: seconds, for tests.
    """

    def __init__(self, log: logging.Logger, kind: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._kind = kind
        self._clock = clock
        self._last = -math.inf
        self._withheld = 0
        self.count: int = 0

    def add(self, what: object) -> None:
        """Count something bad that came in, and log it if it is time to."""
        self.count += 1
        self.tell(what)

    def tell(self, what: object) -> None:
        """Log something else, if it is time to."""
        now = self._clock()
        if now - self._last < QUIET_S:
            self._withheld += 1
            return
        self._last = now
        self._log.warning("%s: %s%s", self._kind, what, self._and_others())

    def close(self) -> None:
        """Say how many were not said."""
        if self._withheld:
            self._log.warning("%s%s", self._kind, self._and_others())

    def _and_others(self) -> str:
        others, self._withheld = self._withheld, 0
        return f" (and {others} more since the last warning)" if others else ""

"""How a :class:`~async_kernel.lifetime.pending.Pending` may end: with a value, with a failure, or cancelled.

Plain frozen data, and the exceptions that those who look at a Pending may get from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Cancellation", "Failure", "Outcome", "PendingCancelled", "PendingNotDone", "Value"]


class PendingCancelled(anyio.ClosedResourceError):
    """The Pending was cancelled; the message is the reason that was given.

    Its ``__cause__`` is the exception with which the cancelled work ended, if it did.
    """


class PendingNotDone(RuntimeError):  # noqa: N818 -- the documented name
    """The Pending has no outcome yet."""


class Value(NamedTuple):
    """It has a result."""

    value: Any


class Failure(NamedTuple):
    """Waiters raise this."""

    error: BaseException
    traceback: TracebackType | None


class Cancellation(NamedTuple):
    """It was cancelled, for this reason; :attr:`cause` is what the work ended with then."""

    message: str
    cause: BaseException | None = None


Outcome = Value | Failure | Cancellation

"""Telling cancellations from errors, of whatever backend and also where no loop runs."""

from __future__ import annotations

import math
import sys
from typing import Any, cast

import anyio

__all__ = ["being_cancelled", "first_cancellation", "is_cancellation", "without"]


def is_cancellation(exc: BaseException) -> bool:
    """Whether ``exc`` is how an async library unwinds a cancelled task."""
    trio, asyncio = sys.modules.get("trio"), sys.modules.get("asyncio")
    return (trio is not None and isinstance(exc, trio.Cancelled)) or (
        asyncio is not None and isinstance(exc, asyncio.CancelledError)
    )


def first_cancellation(exc: BaseException) -> BaseException | None:
    """``exc`` or the first of its members that is a cancellation, which has to reach the scope that it comes from."""
    if isinstance(exc, BaseExceptionGroup):
        for member in cast("BaseExceptionGroup[Any]", exc).exceptions:
            found = first_cancellation(member)
            if found is not None:
                return found
        return None
    return exc if is_cancellation(exc) else None


def without(exc: BaseException, kinds: tuple[type[BaseException], ...]) -> BaseException | None:
    """``exc``, or what is left of a group when its members of these kinds are taken out; None if nothing is left."""
    if isinstance(exc, BaseExceptionGroup):
        return cast("BaseExceptionGroup[Any]", exc).split(kinds)[1]
    return None if isinstance(exc, kinds) else exc


def being_cancelled() -> bool:
    """Whether the running task is being cancelled at this moment.

    Otherwise a cancellation that user code lets out belongs to nobody any more: it kept that of a scope which has
    ended, or awaited a cancelled asyncio task or future. It is an error like any other.
    """
    try:
        if anyio.current_effective_deadline() == -math.inf:
            return True
    except RuntimeError:
        return False  # no loop runs here
    asyncio = sys.modules.get("asyncio")
    try:
        task = asyncio.current_task() if asyncio is not None else None
    except RuntimeError:
        return False  # another loop runs here
    return task is not None and task.cancelling() > 0

"""Telling cancellations from errors, of whatever backend and also where no loop runs."""

from __future__ import annotations

import sys

__all__ = ["first_cancellation", "is_cancellation", "is_users_own"]


def is_cancellation(exc: BaseException) -> bool:
    """Whether ``exc`` is how an async library unwinds a cancelled task."""
    trio, asyncio = sys.modules.get("trio"), sys.modules.get("asyncio")
    return (trio is not None and isinstance(exc, trio.Cancelled)) or (
        asyncio is not None and isinstance(exc, asyncio.CancelledError)
    )


def first_cancellation(exc: BaseException) -> BaseException | None:
    """``exc`` or the first of its members that is a cancellation, which has to reach the scope that it comes from."""
    if isinstance(exc, BaseExceptionGroup):
        for member in exc.exceptions:  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] -- of any type
            found = first_cancellation(member)  # pyright: ignore[reportUnknownArgumentType] -- as above
            if found is not None:
                return found
        return None
    return exc if is_cancellation(exc) else None


def is_users_own(exc: BaseException) -> bool:
    """Whether a cancellation comes from something that user code awaited, while nobody cancels the running task.

    Under asyncio, awaiting a cancelled task or future raises CancelledError in the waiter: an error like any other.
    """
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or not isinstance(exc, asyncio.CancelledError):
        return False
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return True  # no asyncio loop runs here
    return task is None or task.cancelling() == 0

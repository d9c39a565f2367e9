"""A task that a person can see and stop: a background task of the session, or a child of a cell."""

from __future__ import annotations

import inspect
import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from async_kernel.protocol.request import Request

__all__ = ["Task", "check_function", "name_of", "new_id"]

_numbers = itertools.count(1)


def new_id() -> str:
    """``task-1``, ``task-2``…, whatever loop the task is in."""
    return f"task-{next(_numbers)}"


@dataclass(slots=True, eq=False)
class Task:
    """A task that user code has started.

    Attributes:
        id: for people and for cancel_request.
        name: of the function, unless another was given.
        request: of the cell that started it; None: nobody's.
        began: :func:`time.monotonic` when it was started, seconds.
        scope: cancelling it ends the task.
        native: the task object of the async library, once it runs.
        reason: why it was cancelled, in words, if somebody has said so.
    """

    id: str
    name: str
    request: Request | None
    began: float = field(default_factory=time.monotonic)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    native: Any = None
    reason: str | None = None


def name_of(fn: object, name: object) -> str:
    """What a task is called: its name if it was given one, otherwise its function's."""
    return str(name) if name is not None else getattr(fn, "__qualname__", repr(fn))


def check_function(fn: object) -> None:
    """See that ``fn`` can be started.

    Raises:
        TypeError: if it is a coroutine, as when ``start_soon(f())`` was written, or nothing that can be called.
    """
    if inspect.iscoroutine(fn):
        name = fn.__qualname__
        fn.close()  # it is not awaited any more, and need not be complained about a second time
        msg = f"start_soon wants the function and its arguments: start_soon({name}, ...), not start_soon({name}(...))"
        raise TypeError(msg)
    if not callable(fn):
        msg = f"start_soon wants an async function, not {fn!r}"
        raise TypeError(msg)

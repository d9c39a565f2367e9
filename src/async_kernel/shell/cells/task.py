"""A task that a person can see and stop: a background task of the session, or a child of a cell.

Its code runs behind a gate, as a cell's does: whether it blocks its loop is known, and then it can be stopped, too.
"""

from __future__ import annotations

import inspect
import itertools
import time
from typing import TYPE_CHECKING, Any, Literal

import anyio
import outcome

from async_kernel.shell.cells.cancellation import first_cancellation, without
from async_kernel.shell.cells.gate import Gate
from async_kernel.shell.cells.native import native_task

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from async_kernel.lifetime.loop_token import LoopToken
    from async_kernel.protocol.request import Request
    from async_kernel.shell.cells.cell import Cause

__all__ = ["Task", "check_function", "name_of", "new_id"]

_numbers = itertools.count(1)


def new_id() -> str:
    """``task-1``, ``task-2``…, whatever loop the task is in."""
    return f"task-{next(_numbers)}"


class Task:
    """A task that user code has started.

    Attributes:
        id: for people and for cancel_request.
        name: of the function, unless another was given.
        request: of the cell that started it; None: nobody's.
        token: the loop that it runs in.
        began: :func:`time.monotonic` when it was started, seconds.
        scope: cancelling it ends the task.
        native: the task object of the async library, once it runs.
        cause: why it was cut short, None if it was not.
        reason: words that came with the cause.
        ended: whether its code has ended.
    """

    __slots__ = (
        "began",
        "cause",
        "ended",
        "gate",
        "id",
        "is_showing",
        "name",
        "native",
        "reason",
        "request",
        "scope",
        "token",
    )

    def __init__(self, task_id: str, name: str, request: Request | None, token: LoopToken) -> None:
        self.id: str = task_id
        self.name: str = name
        self.request: Request | None = request
        self.token: LoopToken = token
        self.began: float = time.monotonic()
        self.scope: anyio.CancelScope = anyio.CancelScope()
        self.native: Any = None
        self.cause: Cause | None = None
        self.reason: str | None = None
        self.ended: bool = False
        self.gate: Gate = Gate(token.thread_id)
        self.is_showing: bool = False

    @property
    def state(self) -> Literal["queued", "awaiting", "blocking", "ended"]:
        """What it does at this moment, seen from any thread."""
        if self.ended:
            return "ended"
        if self.native is None:
            return "queued"
        return "blocking" if self.gate.inside else "awaiting"

    def cut(self, cause: Cause, reason: str | None = None) -> None:
        """Cancel it; from any thread. For one that blocks, see the interrupter. The first cause stands."""
        if self.cause is None:
            self.cause, self.reason = cause, reason
        self.token.call_soon(self.scope.cancel)

    async def run(self, fn: Callable[..., Awaitable[object]], *args: Any) -> object:
        """Run ``fn(*args)``, once or again; in its scope.

        Raises:
            BaseException: what the function raised; but not the KeyboardInterrupt that has cut it short.
        """
        results: list[outcome.Outcome[object]] = []

        async def body() -> None:
            results.append(await outcome.acapture(fn, *args))

        self.native = native_task()
        await self.gate.drive(body())
        try:
            return (results.pop() if results else outcome.Error(KeyboardInterrupt())).unwrap()
        except BaseException as exc:
            if self.cause is None or without(exc, (KeyboardInterrupt, anyio.get_cancelled_exc_class())) is not None:
                raise
            if (cancellation := first_cancellation(exc)) is not None:
                raise cancellation from None
            return None


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

"""Calls that come into a loop from everywhere, and the nursery that they run in.

A :class:`CallNursery` is a queue before its loop is there, a nursery in that loop while it is open, and refuses calls
afterwards. Whoever hands in a call gets a Pending that is completed in every case: with what the call returned or
raised, as cancelled when it was cancelled or the nursery closed, with the error that kept the loop from running.

Each call is a task of the nursery and runs in a copy of the context that it was handed in with; direct calls are no
tasks, but run between the steps of others. Tasks begin in no particular order, direct calls in that in which they came.
What a call raises is its Pending's and nobody else's; what a direct call raises is logged.
"""

from __future__ import annotations

import inspect
import threading
from collections import deque
from contextlib import asynccontextmanager
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from async_kernel.lifetime.loop_token import LoopToken, Wake, context_for, current_loop_token
from async_kernel.lifetime.pending import Pending, PendingCancelled

if TYPE_CHECKING:
    import logging
    from collections.abc import AsyncGenerator, Callable

    from anyio.abc import TaskGroup

__all__ = ["Call", "CallNursery", "DirectCall", "current_pending"]

current_pending: ContextVar[Pending[Any] | None] = ContextVar("async_kernel_current_pending", default=None)
"""The Pending of the call that runs in this context."""


class _Call(Protocol):
    def begin(self, group: TaskGroup, token: LoopToken) -> None:
        """Run it, or start to; in the nursery's loop."""
        ...

    def drop(self, error: BaseException) -> None:
        """It will not run."""
        ...


class Call:
    """A call that is a task.

    Args:
        pending: completed when it ends; cancelling it cancels the task.
        fn: called without arguments; what it returns is awaited if it can be.
        context: that the task's is a copy of.
        delay: seconds to wait before.
    """

    __slots__ = ("_context", "_delay", "_fn", "_pending")

    def __init__(self, pending: Pending[Any], fn: Callable[[], Any], context: Context, *, delay: float = 0.0) -> None:
        self._pending = pending
        self._fn = fn
        self._context = context
        self._delay = delay

    def begin(self, group: TaskGroup, token: LoopToken) -> None:
        """Start the task."""
        context = self._context.run(context_for, token.backend)
        context.run(group.start_soon, self._run, token, name=f"call of {self._fn!r}")

    def drop(self, error: BaseException) -> None:
        """Complete the Pending with why it will not run."""
        self._pending.set_exception(error)

    async def _run(self, token: LoopToken) -> None:
        pending = self._pending
        current_pending.set(pending)
        try:
            with anyio.CancelScope() as scope:
                pending.set_canceller(lambda _: token.call_soon(scope.cancel))
                if pending.cancelled():
                    return
                if self._delay > 0:
                    await anyio.sleep(self._delay)
                value = self._fn()
                if inspect.isawaitable(value):
                    value = await value
                pending.set_result(value)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseExceptionGroup as group:
            rest = group.split(anyio.get_cancelled_exc_class())[1]
            if rest is None:
                raise
            pending.set_exception(rest)  # a cancellation of this task's nursery comes back at the next checkpoint
        except BaseException as exc:  # noqa: BLE001 -- it belongs to whoever made the call
            pending.set_exception(exc)
        finally:
            pending.set_exception(PendingCancelled("the call was cancelled with its caller"))  # unless it is done


class DirectCall:
    """A call between the steps of the loop's tasks; nobody waits for it.

    Args:
        fn: called without arguments; must be short.
        context: that it runs in a copy of.
        log: where an exception of it goes.
    """

    __slots__ = ("_context", "_fn", "_log")

    def __init__(self, fn: Callable[[], Any], context: Context, log: logging.Logger) -> None:
        self._fn = fn
        self._context = context
        self._log = log

    def begin(self, group: TaskGroup, token: LoopToken) -> None:
        """Run it."""
        try:
            self._context.run(context_for, token.backend).run(self._fn)
        except Exception:  # noqa: BLE001 -- nobody waits for it
            self._log.exception("A direct call of %r failed.", self._fn)

    def drop(self, error: BaseException) -> None:
        """Say that it will not run."""
        self._log.error("A direct call of %r was not made: %s", self._fn, error)


class CallNursery:
    """A loop's nursery for calls from everywhere. :meth:`submit` and :meth:`cancel` are for any thread.

    Args:
        name: of the caller, for people.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.RLock()  # reentrant: a signal handler may submit in the middle of a submit
        self._queue: deque[_Call] = deque()
        self._group: TaskGroup | None = None
        self._token: LoopToken | None = None
        self._wake: Wake | None = None
        self._cancelled = False
        self._closed: BaseException | None = None

    @property
    def token(self) -> LoopToken | None:
        """The loop; None before it is open."""
        return self._token

    @property
    def is_open(self) -> bool:
        """Whether calls run."""
        return self._group is not None and self._closed is None and not self._cancelled

    @property
    def is_cancelled(self) -> bool:
        """Whether it was cancelled, even if it still has to end."""
        return self._cancelled

    @property
    def is_closed(self) -> bool:
        """Whether calls are refused."""
        return self._closed is not None

    def submit(self, call: _Call) -> None:
        """Have a call run; before the nursery is open it waits.

        Raises:
            RuntimeError: if the nursery is closed.
        """
        with self._lock:
            if self._closed is not None or self._cancelled:
                msg = f"Caller {self._name!r} is stopped and takes no calls any more"
                raise RuntimeError(msg)
            self._queue.append(call)
        if self._wake is not None:
            self._wake.set()

    def cancel(self) -> None:
        """Cancel all calls and whoever is inside :meth:`open`; at once when it is opened later. Idempotent."""
        self._cancelled = True
        if self._token is not None and self._group is not None:
            self._token.call_soon(self._group.cancel_scope.cancel)

    def close(self, error: BaseException) -> None:
        """Refuse calls from now on, and drop those that have not begun; without effect the second time."""
        with self._lock:
            if self._closed is not None:
                return
            self._closed = error
        while self._queue:
            self._queue.popleft().drop(error)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Run calls in this loop while inside; leaving cancels them and waits for their end. Once only.

        An exception of the body leaves as itself.
        """
        body_error: BaseException | None = None
        try:
            async with anyio.create_task_group() as self._group:
                self._token = current_loop_token()
                self._wake = Wake(self._token, self._begin)
                if self._cancelled:  # looked at after the group can be found
                    self._group.cancel_scope.cancel()
                self._begin()
                try:
                    yield
                except anyio.get_cancelled_exc_class():
                    raise
                except BaseException as exc:  # noqa: BLE001 -- raised below, when all calls have ended
                    body_error = exc
                finally:
                    self.close(PendingCancelled("the caller was stopped before the call began"))
                    self._group.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            if body_error is None:
                raise
            msg = "the body and the nursery of its calls failed"
            raise BaseExceptionGroup(msg, [body_error, group]) from None
        if body_error is not None:
            try:
                raise body_error
            finally:
                del body_error  # no cycle through this frame

    def _begin(self) -> None:
        if self._group is None or self._token is None:
            return
        while self._queue and not self._cancelled and self._closed is None:  # else close() drops them
            self._queue.popleft().begin(self._group, self._token)

"""The session nursery: where the user's background tasks live.

``nursery.start_soon(fn, *args)`` from a cell starts a task that outlives the cell and dies with the kernel. It is
supervised: when it fails, its siblings and the kernel go on, the error is shown in the cell that started it and is
kept in :attr:`Session.errors`. A task keeps the context of that cell, so its output arrives there too; an interrupt of
the cell does not touch it.
"""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import anyio
import anyio.lowlevel

from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.protocol.request import current_request
from async_kernel.shell.cells import current_cell

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from anyio.abc import TaskGroup, TaskStatus

    from async_kernel.lifetime.loop_token import LoopToken
    from async_kernel.protocol.request import Request

__all__ = ["BackgroundTask", "Session", "SessionNursery"]


@dataclass(slots=True, eq=False)
class BackgroundTask:
    """A task of the session nursery.

    Attributes:
        id: for people and for cancel_request: ``task-1``, ``task-2``…
        name: of the function, unless another was given.
        request: of the cell that started it; None: nobody's.
        began: :func:`time.monotonic` at its start, seconds.
    """

    id: str
    name: str
    request: Request | None
    began: float = field(default_factory=time.monotonic)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    reason: str | None = None


class SessionNursery:
    """A nursery for user code whose tasks fail alone; looks like trio's, on both backends."""

    def __init__(self, session: Session, group: TaskGroup, token: LoopToken) -> None:
        self._session = session
        self._group = group
        self._token = token

    @property
    def cancel_scope(self) -> anyio.CancelScope:
        """Cancelling it ends every background task, and the nursery."""
        return self._group.cancel_scope

    def start_soon(self, fn: Callable[..., Awaitable[object]], *args: Any, name: object = None) -> None:
        """Start ``fn(*args)`` as a background task; from any thread."""
        if threading.get_ident() == self._token.thread_id:
            self._group.start_soon(self._supervise, fn, args, _name(fn, name), name=_name(fn, name))
        else:
            context = copy_context()
            self._token.call_soon(context.run, partial(self.start_soon, fn, *args, name=name))

    async def start(self, fn: Callable[..., Awaitable[object]], *args: Any, name: object = None) -> Any:
        """Start ``fn(*args, task_status=...)`` and wait until it says that it has started, with its value.

        A failure before that is raised here.
        """
        return await self._group.start(self._supervise_start, fn, args, _name(fn, name), name=_name(fn, name))

    async def _supervise_start(
        self, fn: Callable[..., Awaitable[object]], args: tuple[Any, ...], name: str, *, task_status: TaskStatus[Any]
    ) -> None:
        status = _Status(task_status)

        async def call(*call_args: Any) -> object:
            return await fn(*call_args, task_status=status)

        await self._supervise(call, args, name, shown=lambda: status.has_started)

    async def _supervise(
        self,
        fn: Callable[..., Awaitable[object]],
        args: tuple[Any, ...],
        name: str,
        shown: Callable[[], bool] = lambda: True,
    ) -> None:
        current_cell.set(None)  # it is no part of the cell any more: what cuts the cell short leaves it alone
        with self._session.task(name) as task, task.scope:
            try:
                await fn(*args)
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as exc:
                if not shown():
                    raise
                rest: BaseException | None = exc
                if isinstance(exc, BaseExceptionGroup):
                    rest = exc.split(anyio.get_cancelled_exc_class())[1]
                    if rest is None:
                        raise
                self._session.failed(rest, task.request)

    def start_host(self, fn: Callable[[], Awaitable[object]]) -> None:
        """Start a task that answers for its own errors: ``fn`` lets none out but cancellations."""
        self._group.start_soon(fn)


class _Status:
    """Remembers whether ``started`` was called."""

    def __init__(self, status: TaskStatus[Any]) -> None:
        self._status = status
        self.has_started = False

    def started(self, value: Any = None) -> None:
        self.has_started = True
        self._status.started(value)


def _name(fn: Callable[..., object], name: object) -> str:
    return str(name) if name is not None else getattr(fn, "__qualname__", repr(fn))


class Session:
    """The background tasks of one loop and what became of them.

    Attributes:
        nursery: starts them.
        tasks: those that run, by id.
        errors: the exceptions of those that failed, in order.
    """

    nursery: SessionNursery
    _numbers = itertools.count(1)

    def __init__(self, report: Callable[[BaseException, Request | None], object]) -> None:
        self.tasks: dict[str, BackgroundTask] = {}
        self.errors: list[BaseException] = []
        self._report = report
        self._none_left = anyio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls, report: Callable[[BaseException, Request | None], object]) -> AsyncGenerator[Self]:
        """Open the session in this loop; leaving cancels what still runs and waits for it.

        Args:
            report: called with the exception of a failed task and the request of the cell that started it.
        """
        self = cls(report)
        async with anyio.create_task_group() as group:
            self.nursery = SessionNursery(self, group, current_loop_token())
            try:
                yield self
            finally:
                group.cancel_scope.cancel()

    @contextmanager
    def task(self, name: str) -> Generator[BackgroundTask]:
        """Note a background task while it runs."""
        task = BackgroundTask(f"task-{next(self._numbers)}", name, current_request.get())
        self.tasks[task.id] = task
        try:
            yield task
        finally:
            del self.tasks[task.id]
            if not self.tasks:
                self._none_left.set()
                self._none_left = anyio.Event()

    def failed(self, exc: BaseException, request: Request | None) -> None:
        """A background task ended with ``exc``: keep it and show it in the cell that started the task."""
        self.errors.append(exc)
        self._report(exc, request)

    def start_host(self, fn: Callable[[], Awaitable[object]]) -> None:
        """Start a task that answers for its own errors."""
        self.nursery.start_host(fn)

    async def all_ended(self) -> None:
        """Wait until no background task runs."""
        await anyio.lowlevel.checkpoint()  # those that were just started get to begin
        while self.tasks:
            await self._none_left.wait()

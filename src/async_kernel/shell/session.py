"""The session nursery: where the user's background tasks live.

``nursery.start_soon(fn, *args)`` from a cell starts a task that outlives the cell and dies with the kernel. It is
supervised: when it fails, its siblings and the kernel go on, the error is shown in the cell that started it and is
kept in :attr:`Session.errors`. A task keeps the context of that cell, so its output arrives there too; an interrupt of
the cell does not touch it.
"""

from __future__ import annotations

import threading
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Self

import anyio

from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.protocol.request import current_request
from async_kernel.shell.cell import current_cell

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from anyio.abc import TaskGroup

    from async_kernel.lifetime.loop_token import LoopToken
    from async_kernel.protocol.request import Request

__all__ = ["Session", "SessionNursery"]


class SessionNursery:
    """A nursery for user code whose tasks fail alone; looks like trio's, on both backends."""

    def __init__(self, group: TaskGroup, token: LoopToken, failed: Callable[[BaseException, Request | None], object]) -> None:
        self._group = group
        self._token = token
        self._failed = failed

    @property
    def cancel_scope(self) -> anyio.CancelScope:
        """Cancelling it ends every background task."""
        return self._group.cancel_scope

    def start_soon(self, fn: Callable[..., Awaitable[object]], *args: Any, name: object = None) -> None:
        """Start ``fn(*args)`` as a background task; from any thread."""
        if threading.get_ident() == self._token.thread_id:
            self._group.start_soon(self._supervise, fn, args, name=name or getattr(fn, "__qualname__", repr(fn)))
        else:
            context = copy_context()
            self._token.call_soon(context.run, lambda: self.start_soon(fn, *args, name=name))

    async def start(self, fn: Callable[..., Awaitable[object]], *args: Any, name: object = None) -> Any:
        """Start ``fn(*args, task_status=...)`` and wait until it says that it has started, with its value.

        A failure before that is raised here.
        """

        async def supervised(*, task_status: anyio.abc.TaskStatus[Any]) -> None:
            started = False

            class Status:
                def started(self, value: Any = None) -> None:
                    nonlocal started
                    started = True
                    task_status.started(value)

            async def call(*call_args: Any) -> object:
                return await fn(*call_args, task_status=Status())

            await self._supervise(call, args, shown=lambda: started)

        return await self._group.start(supervised, name=name or getattr(fn, "__qualname__", repr(fn)))

    async def _supervise(
        self, fn: Callable[..., Awaitable[object]], args: tuple[Any, ...], shown: Callable[[], bool] = lambda: True
    ) -> None:
        current_cell.set(None)  # it is no part of the cell any more: what cuts the cell short leaves it alone
        request = current_request.get()
        try:
            await fn(*args)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as exc:
            if not shown():
                raise
            rest: BaseException | None = exc
            if isinstance(exc, BaseExceptionGroup):
                cancellations, rest = exc.split(anyio.get_cancelled_exc_class())
                if rest is None and cancellations is not None:
                    raise
            if rest is not None:
                self._failed(rest, request)


class Session:
    """The background tasks of a kernel and what became of them.

    Attributes:
        nursery: starts them.
        errors: the exceptions of those that failed, in order.
    """

    def __init__(self, nursery: SessionNursery, errors: list[BaseException]) -> None:
        self.nursery = nursery
        self.errors = errors

    @classmethod
    @asynccontextmanager
    async def open(cls, report: Callable[[BaseException, Request | None], object]) -> AsyncGenerator[Self]:
        """Open the session in this loop; leaving cancels what still runs and waits for it.

        Args:
            report: called with the exception of a failed task and the request of the cell that started it.
        """
        errors: list[BaseException] = []

        def failed(exc: BaseException, request: Request | None) -> None:
            errors.append(exc)
            report(exc, request)

        async with anyio.create_task_group() as group:
            try:
                yield cls(SessionNursery(group, current_loop_token(), failed), errors)
            finally:
                group.cancel_scope.cancel()

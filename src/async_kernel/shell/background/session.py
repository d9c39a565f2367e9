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
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast
from weakref import WeakKeyDictionary

import anyio

from async_kernel.lifetime.loop_token import context_for, current_loop_token
from async_kernel.lifetime.pending import Pending
from async_kernel.protocol.request import current_request
from async_kernel.shell.cells.cancellation import without
from async_kernel.shell.cells.cell import current_cell
from async_kernel.shell.cells.native import native_task
from async_kernel.shell.showing.figures import show_left

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator

    from anyio.abc import TaskGroup, TaskStatus

    from async_kernel.lifetime.loop_token import LoopToken
    from async_kernel.protocol.request import Request

T = TypeVar("T")

__all__ = ["BackgroundTask", "OnError", "Session", "SessionNursery"]


OnError = Literal["report", "cancel_siblings", "restart"]
"""What happens when a background task fails, after its error was shown."""

_MODES: tuple[OnError, ...] = ("report", "cancel_siblings", "restart")
FIRST_BACKOFF_S = 0.1
"""Seconds before a failed task is restarted; doubled each time, since what failed at once will fail at once again."""
LONGEST_BACKOFF_S = 30.0


@dataclass(slots=True, eq=False)
class BackgroundTask:
    """A task of the session nursery.

    Attributes:
        id: for people and for cancel_request: ``task-1``, ``task-2``…
        name: of the function, unless another was given.
        request: of the cell that started it; None: nobody's.
        on_error: None: what the session says when it fails.
        began: :func:`time.monotonic` when it was started, seconds.
        scope: cancelling it ends the task.
        native: the task object of the async library, once it runs.
    """

    id: str
    name: str
    request: Request | None
    on_error: OnError | None = None
    began: float = field(default_factory=time.monotonic)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    native: Any = None
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

    def start_soon(
        self, fn: Callable[..., Awaitable[object]], *args: Any, name: object = None, on_error: OnError | None = None
    ) -> None:
        """Start ``fn(*args)`` as a background task; from any thread.

        Args:
            fn: an async function.
            args: its arguments.
            name: for people; by default the function's.
            on_error: what to do when it fails; by default what ``session.on_error`` says then.

        Raises:
            ValueError: if ``on_error`` is not one of them.
        """
        check_mode(on_error)
        if threading.get_ident() == self._token.thread_id:
            self.start_noted(self._session.new_task(_name(fn, name), on_error), fn, args)
        else:
            context = context_for(self._token.backend)
            start = partial(self.start_soon, fn, *args, name=name, on_error=on_error)
            self._token.call_soon(context.run, start)

    def start_noted(self, task: BackgroundTask, fn: Callable[..., Awaitable[object]], args: tuple[Any, ...]) -> None:
        """Start a task that the session knows already; in its loop."""
        self._group.start_soon(self._supervise, task, fn, args, name=task.name)

    async def start(
        self, fn: Callable[..., Awaitable[object]], *args: Any, name: object = None, on_error: OnError | None = None
    ) -> Any:
        """Start ``fn(*args, task_status=...)`` and wait until it says that it has started, with its value.

        A failure before that is raised here.
        """
        check_mode(on_error)
        task = self._session.new_task(_name(fn, name), on_error)
        return await self._group.start(self._supervise_start, task, fn, args, name=task.name)

    async def _supervise_start(
        self,
        task: BackgroundTask,
        fn: Callable[..., Awaitable[object]],
        args: tuple[Any, ...],
        *,
        task_status: TaskStatus[Any],
    ) -> None:
        status = _Status(task_status)

        async def call(*call_args: Any) -> object:
            return await fn(*call_args, task_status=status)

        await self._supervise(task, call, args, shown=lambda: status.has_started)

    async def _supervise(
        self,
        task: BackgroundTask,
        fn: Callable[..., Awaitable[object]],
        args: tuple[Any, ...],
        shown: Callable[[], bool] = lambda: True,
    ) -> None:
        current_cell.set(None)  # it is no part of the cell any more: what cuts the cell short leaves it alone
        current_request.set(task.request)
        task.native = native_task()
        backoff = FIRST_BACKOFF_S
        with self._session.running(task), task.scope:
            while await self._fails(task, fn, args, shown):
                await anyio.sleep(backoff)
                backoff = min(2 * backoff, LONGEST_BACKOFF_S)

    async def _fails(
        self,
        task: BackgroundTask,
        fn: Callable[..., Awaitable[object]],
        args: tuple[Any, ...],
        shown: Callable[[], bool],
    ) -> bool:
        """Run the task once; True if it failed and is to be run again."""
        try:
            await fn(*args)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as exc:
            error = without(exc, (anyio.get_cancelled_exc_class(),))
            if error is None or not shown():
                raise
            return self._session.failed(error, task) == "restart"
        return False

    def start_host(self, fn: Callable[[], Awaitable[object]]) -> None:
        """Start a task that answers for its own errors: ``fn`` lets none out but cancellations."""
        self._group.start_soon(cast("Callable[[], Coroutine[Any, Any, object]]", fn))


class _Status:
    """Remembers whether ``started`` was called."""

    def __init__(self, status: TaskStatus[Any]) -> None:
        self._status = status
        self.has_started = False

    def started(self, value: Any = None) -> None:
        self.has_started = True
        self._status.started(value)


class _Hosted:
    """An async context manager kept open by a task of its own, so that its scopes are left where they were entered."""

    def __init__(self, manager: AbstractAsyncContextManager[Any]) -> None:
        self.manager = manager
        self.entered: Pending[Any] = Pending()
        self.left: Pending[None] = Pending()
        self.leave = anyio.Event()

    async def run(self) -> None:
        try:
            # Its end comes in order, by ``leave``; what it contains may be cancelled from inside all the same.
            with anyio.CancelScope(shield=True):
                async with self.manager as value:
                    self.entered.set_result(value)
                    await self.leave.wait()
        except BaseException as exc:
            self.entered.set_exception(exc)
            self.left.set_exception(exc)
            if isinstance(exc, anyio.get_cancelled_exc_class()):
                raise
        else:
            self.left.set_result(None)


def _name(fn: Callable[..., object], name: object) -> str:
    return str(name) if name is not None else getattr(fn, "__qualname__", repr(fn))


def check_mode(mode: str | None) -> None:
    """See that ``on_error`` is one that exists.

    Raises:
        ValueError: if it is not.
    """
    if mode is not None and mode not in _MODES:
        msg = f"on_error is {mode!r}; it must be one of {', '.join(map(repr, _MODES))}"
        raise ValueError(msg)


class Session:
    """The background tasks of one loop and what became of them.

    Attributes:
        nursery: starts them.
        tasks: those that run, by id.
        errors: the exceptions of those that failed, in order.
        foreign_tasks: tasks that cells have started past the nursery (asyncio), with the request of each one's cell.
    """

    nursery: SessionNursery
    _numbers = itertools.count(1)

    def __init__(self, report: Callable[[BaseException, Request | None], object]) -> None:
        self.tasks: dict[str, BackgroundTask] = {}
        self.errors: list[BaseException] = []
        self.foreign_tasks: WeakKeyDictionary[Any, Request] = WeakKeyDictionary()
        self._on_error: OnError = "report"
        self._report = report
        self._none_left = anyio.Event()
        self._hosted: list[_Hosted] = []

    @classmethod
    @asynccontextmanager
    async def open(cls, report: Callable[[BaseException, Request | None], object]) -> AsyncGenerator[Self]:
        """Open the session in this loop; leaving closes what was entered, cancels what still runs and waits for it.

        Args:
            report: called with the exception of a failed task and the request of the cell that started it.
        """
        self = cls(report)
        async with anyio.create_task_group() as group:
            self.nursery = SessionNursery(self, group, current_loop_token())
            try:
                yield self
            finally:
                with anyio.CancelScope(shield=True):
                    while self._hosted:
                        await self._leave(self._hosted.pop())
                group.cancel_scope.cancel()

    # -- tasks -------------------------------------------------------------------------------------------------

    @property
    def on_error(self) -> OnError:
        """What happens when a task fails, after its error was shown.

        ``report``: nothing more. ``cancel_siblings``: all other background tasks are cancelled. ``restart``: it is
        started again, after 0.1 s, then 0.2 s, 0.4 s and so on up to 30 s.
        """
        return self._on_error

    @on_error.setter
    def on_error(self, mode: OnError) -> None:
        check_mode(mode)
        self._on_error = mode

    def new_task(self, name: str, on_error: OnError | None) -> BackgroundTask:
        """Note a background task that is about to start."""
        request = current_request.get()
        lasting = None if request is None else request.lasting
        task = BackgroundTask(f"task-{next(self._numbers)}", name, lasting, on_error)
        self.tasks[task.id] = task
        return task

    @contextmanager
    def running(self, task: BackgroundTask) -> Generator[None]:
        """Forget the task at its end."""
        try:
            yield
        finally:
            show_left()
            del self.tasks[task.id]
            if not self.tasks:
                self._none_left.set()
                self._none_left = anyio.Event()

    def failed(self, exc: BaseException, task: BackgroundTask | Request | None) -> OnError:
        """A background task ended with ``exc``: keep it and show it in the cell that started the task."""
        self.errors.append(exc)
        mode: OnError = self._on_error
        if isinstance(task, BackgroundTask):
            mode = task.on_error or mode
            self._report(exc, task.request)
        else:
            self._report(exc, task)
        if mode == "cancel_siblings":
            for sibling in list(self.tasks.values()):
                if sibling is not task:
                    sibling.scope.cancel()
        return mode

    def start_task(self, fn: Callable[..., Awaitable[object]], *args: Any, name: str) -> str:
        """Start a background task, in this loop, and return its id."""
        task = self.new_task(name, None)
        self.nursery.start_noted(task, fn, args)
        return task.id

    def start_host(self, fn: Callable[[], Awaitable[object]]) -> None:
        """Start a task that answers for its own errors."""
        self.nursery.start_host(fn)

    async def all_ended(self) -> None:
        """Wait until no background task runs."""
        while self.tasks:
            await self._none_left.wait()

    # -- context managers that stay open -----------------------------------------------------------------------

    async def enter(self, manager: AbstractAsyncContextManager[T]) -> T:
        """Enter ``manager`` and keep it open across cells; returns what ``async with`` would give.

        The session closes what is still open at its end, last in first out. Raises what entering raises.
        """
        hosted = _Hosted(manager)
        self._hosted.append(hosted)
        self.nursery.start_host(hosted.run)
        try:
            return await hosted.entered
        except BaseException:
            hosted.leave.set()
            if hosted in self._hosted:
                self._hosted.remove(hosted)
            raise

    async def exit(self, manager: AbstractAsyncContextManager[Any]) -> None:
        """Leave a context manager that was entered with :meth:`enter`. Raises what leaving raises.

        Raises:
            ValueError: if it is not open here.
        """
        for hosted in reversed(self._hosted):
            if hosted.manager is manager:
                self._hosted.remove(hosted)
                hosted.leave.set()
                await hosted.left
                return
        msg = f"{manager!r} is not open in this session: it was never entered, or it was left"
        raise ValueError(msg)

    async def _leave(self, hosted: _Hosted) -> None:
        hosted.leave.set()
        try:
            await hosted.left
        except Exception as exc:  # noqa: BLE001 -- the user's; shown, and the others are left all the same
            self.failed(exc, None)

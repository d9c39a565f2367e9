"""The session nursery: where the user's background tasks live.

``nursery.start_soon(fn, *args)`` from a cell starts a task that outlives the cell and dies with the kernel. It is
supervised: when it fails, its siblings and the kernel go on, the error is shown in the cell that started it and is
kept in :attr:`Session.errors`. A task keeps the context of that cell, so its output arrives there too; an interrupt of
the cell does not touch it.
"""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager, contextmanager
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast
from weakref import WeakKeyDictionary, ref

import anyio

from async_kernel.lifetime.loop_token import context_for, current_loop_token, runs_here
from async_kernel.lifetime.pending import Pending
from async_kernel.protocol.request import current_request
from async_kernel.shell.background.managers import OpenManagers
from async_kernel.shell.cells.cancellation import without
from async_kernel.shell.cells.cell import current_cell
from async_kernel.shell.cells.foreign import ForeignTask
from async_kernel.shell.cells.task import Task, check_function, name_of, new_id
from async_kernel.shell.showing.figures import show_left

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
    from contextlib import AbstractAsyncContextManager

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


class BackgroundTask(Task):
    """A task of the session nursery.

    Attributes:
        on_error: None: what the session says when it fails.
        is_callback: whether a widget has called it, so that nobody is told when its cell ends first.
    """

    __slots__ = ("is_callback", "on_error")

    def __init__(
        self, task_id: str, name: str, request: Request | None, token: LoopToken, *, on_error: OnError | None = None
    ) -> None:
        super().__init__(task_id, name, request, token)
        self.on_error: OnError | None = on_error
        self.is_callback: bool = False


class SessionNursery:
    """A nursery for user code whose tasks fail alone; looks like trio's, on both backends.

    Attributes:
        token: the loop that its tasks run in.
    """

    def __init__(self, session: Session, token: LoopToken) -> None:
        self._session = session
        self._group: TaskGroup
        self._later: deque[Callable[[], object]] = deque()
        self.token = token

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Be the owner of the tasks, until cancelled; whoever only cancels ``cancel_scope`` finds it usable again."""
        is_first = True
        while True:
            async with anyio.create_task_group() as self._group:
                if is_first:
                    task_status.started()
                    is_first = False
                while self._later:
                    self._later.popleft()()
                await anyio.sleep_forever()

    def _when_usable(self, start: Callable[[], object]) -> None:
        """Call ``start``, now or when all tasks have ended that were cancelled with ``cancel_scope``."""
        if self._group.cancel_scope.cancel_called:
            self._later.append(start)
        else:
            start()

    @property
    def cancel_scope(self) -> anyio.CancelScope:
        """Cancelling it ends the background tasks that there are; those started afterwards have another."""
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
            TypeError: if ``fn`` is no function; a coroutine, for example.
            RuntimeError: if the session has ended.
        """
        check_mode(on_error)
        check_function(fn)
        self._begin(partial(self.start_named, fn, args, name_of(fn, name), on_error))

    def start_callback(self, fn: Callable[..., Awaitable[object]], name: str) -> None:
        """Start what an async callback of a widget goes on with; from any thread.

        Raises:
            RuntimeError: if the session has ended.
        """

        def start() -> None:
            self.start_named(fn, (), name).is_callback = True

        self._begin(start)

    def _begin(self, start: Callable[[], object]) -> None:
        if runs_here(self.token):
            start()
        elif not self.token.call_soon(context_for(self.token.backend).run, start):
            msg = "the session has ended: nothing can be started in it any more"
            raise RuntimeError(msg)

    def start_named(
        self,
        fn: Callable[..., Awaitable[object]],
        args: tuple[Any, ...],
        name: str,
        on_error: OnError | None = None,
    ) -> BackgroundTask:
        """Start a task, in this loop, and return it."""
        with self._session.starting(name, on_error) as task:
            context = copy_context()  # it may be started by another task

            def begin() -> None:
                self._group.start_soon(self._supervise, task, fn, args, name=name)

            self._when_usable(partial(context.run, begin))
        return task

    def cancel(self, task: BackgroundTask) -> None:
        """End one task at its next await; from any thread."""
        task.cut("cancel")

    async def start(
        self, fn: Callable[..., Awaitable[object]], *args: Any, name: object = None, on_error: OnError | None = None
    ) -> Any:
        """Start ``fn(*args, task_status=...)`` and wait until it says that it has started, with its value.

        A failure before that is raised here.

        Raises:
            RuntimeError: in another loop than the session's; ``start_soon`` can be called everywhere.
        """
        check_mode(on_error)
        check_function(fn)
        if not runs_here(self.token):
            msg = "nursery.start waits in the session's own loop; use nursery.start_soon from other threads"
            raise RuntimeError(msg)
        usable: Pending[None] = Pending()
        self._when_usable(lambda: usable.set_result(None))
        await usable
        with self._session.starting(name_of(fn, name), on_error) as task:
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
            await task.run(fn, *args)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as exc:
            error = without(exc, (anyio.get_cancelled_exc_class(),))
            if error is None or not shown():
                raise
            return self._session.failed(error, task) == "restart" and task.cause is None
        return False


class _Status:
    """Remembers whether ``started`` was called."""

    def __init__(self, status: TaskStatus[Any]) -> None:
        self._status = status
        self.has_started = False

    def started(self, value: Any = None) -> None:
        self.has_started = True
        self._status.started(value)


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
        made_by: the tasks that run in the name of cells (asyncio), with the task that made each one.
        foreign_tasks: tasks that cells have started past the nursery (asyncio), with the request of each one's cell.
    """

    nursery: SessionNursery
    _hosts: TaskGroup

    def __init__(self, report: Callable[[BaseException, Request | None], object]) -> None:
        self.tasks: dict[str, BackgroundTask] = {}
        self.errors: list[BaseException] = []
        self.made_by: dict[Any, Any] = {}
        self.foreign_tasks: WeakKeyDictionary[Any, Request] = WeakKeyDictionary()
        self._seen: WeakKeyDictionary[Any, ForeignTask] = WeakKeyDictionary()
        self._on_error: OnError = "report"
        self._report = report
        self._none_left: Pending[None] = Pending()
        self._managers = OpenManagers(self.start_host, self.failed)

    @classmethod
    @asynccontextmanager
    async def open(cls, report: Callable[[BaseException, Request | None], object]) -> AsyncGenerator[Self]:
        """Open the session in this loop; leaving closes what was entered, cancels what still runs and waits for it.

        Args:
            report: called with the exception of a failed task and the request of the cell that started it.
        """
        self = cls(report)
        self.nursery = SessionNursery(self, current_loop_token())
        async with anyio.create_task_group() as self._hosts:
            await self._hosts.start(self.nursery.run)
            try:
                yield self
            finally:
                with anyio.CancelScope(shield=True):
                    await self._managers.close()
                self._hosts.cancel_scope.cancel()

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

    @contextmanager
    def starting(self, name: str, on_error: OnError | None) -> Generator[BackgroundTask]:
        """Note a background task that is about to start; forget it if that fails."""
        request = current_request.get()
        lasting = None if request is None else request.lasting
        if lasting is not None:
            lasting.has_started = True
        task = BackgroundTask(new_id(), name, lasting, self.nursery.token, on_error=on_error)
        self.tasks[task.id] = task
        try:
            yield task
        except BaseException:
            self.forget(task)
            raise

    @contextmanager
    def running(self, task: BackgroundTask) -> Generator[None]:
        """Forget the task at its end."""
        try:
            yield
        finally:
            show_left()
            self.forget(task)

    def forget(self, task: BackgroundTask) -> None:
        """The task has ended, if it is not forgotten already."""
        task.ended = True
        if self.tasks.pop(task.id, None) is not None and not self.tasks:
            none_left, self._none_left = self._none_left, Pending()
            none_left.set_result(None)

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
            for foreign in self.foreign():
                foreign.cut("cancel")
        return mode

    def foreign(self) -> list[ForeignTask]:
        """The tasks that run past the nursery; from any thread."""
        found: list[ForeignTask] = []
        for native in list(self.made_by):
            if (request := self.foreign_tasks.get(native)) is not None:
                seen = self._seen.get(native) or ForeignTask(ref(native), self.nursery.token, request)
                found.append(self._seen.setdefault(native, seen))
        return found

    def start_host(self, fn: Callable[[], Awaitable[object]]) -> None:
        """Start a task that answers for its own errors: ``fn`` lets none out but cancellations."""
        self._hosts.start_soon(cast("Callable[[], Coroutine[Any, Any, object]]", fn))

    async def all_ended(self) -> None:
        """Wait until no background task runs; from any loop."""
        while self.tasks:
            await self._none_left

    # -- context managers that stay open -----------------------------------------------------------------------

    async def enter(self, manager: AbstractAsyncContextManager[T]) -> T:
        """Enter ``manager`` and keep it open across cells; returns what ``async with`` would give.

        The session closes what is still open at its end, last in first out. Raises what entering raises.
        """
        return await self._managers.enter(manager)

    async def exit(self, manager: AbstractAsyncContextManager[Any]) -> None:
        """Leave a context manager that was entered with :meth:`enter`. Raises what leaving raises.

        Raises:
            ValueError: if it is not open here.
        """
        await self._managers.exit(manager)

"""A shell lane: where the cells of one shell (the main one, or a subshell) run.

It owns what those cells share: the loop, the queue, the foreground cell that an interrupt is for, and the session
nursery with its background tasks. Lanes are independent: one that blocks leaves the others alone.
"""

from __future__ import annotations

import math
from collections import deque
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Self

import anyio

from async_kernel.kernel.beginnings import Beginnings
from async_kernel.lifetime.caller import Caller
from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.shell.background.names import current_session
from async_kernel.shell.background.session import Session
from async_kernel.shell.cells.interrupts import Interrupter
from async_kernel.shell.cells.lane import Lane
from async_kernel.typing import Backend

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from anyio.abc import TaskStatus

    from async_kernel.lifetime.loop_token import LoopToken
    from async_kernel.protocol.request import Request
    from async_kernel.shell.cells.cell import Cell
    from async_kernel.shell.cells.foreign import ForeignTask
    from async_kernel.shell.cells.task import Task
    from async_kernel.typing import Header

__all__ = ["ShellLane"]


class ShellLane:
    """The queue and the loop of one shell.

    Args:
        serve: serves one request of this lane; the last argument says whether in its queue, or beside it.
        message: serves one message of a comm in the loop of this lane.
        failed: told when a background task fails, with the request of the cell that started it.
        name: of the subshell or thread; None for the main shell.
        beside: cells of the queue run beside each other, as tasks.

    Attributes:
        queue: the cells that wait.
        messages: those of comms that wait; served beside the cells, while somebody runs it.
        cells: those that run, the foreground cell and concurrent ones.
        coming: the concurrent cells that have not begun; not by their msg_id, which clients may use twice.
        session: background tasks; there while :meth:`open` is.
        interrupted_at: when it was interrupted last, seconds of ``time.monotonic``.
        abort_until: requests received before this time (seconds of ``time.monotonic``) are aborted.
        last_parent: the header of the request that was served last.
    """

    session: Session

    def __init__(
        self,
        serve: Callable[[ShellLane, Request, bool], Awaitable[None]],
        message: Callable[[ShellLane, Request], Awaitable[None]],
        failed: Callable[[BaseException, Request | None], object],
        name: str | None = None,
        *,
        beside: bool = False,
    ) -> None:
        self.name = name
        self._beside = beside
        self.queue: Lane = Lane(name or "main shell", self._serve)
        self.messages: Lane = Lane(f"comms of {self.queue.name}", partial(message, self))
        self.cells: set[Cell] = set()
        self.coming: dict[Request, None] = {}
        self._beside_queue: deque[Request] = deque()
        self._beginnings: Beginnings = Beginnings(self._begin_beside)
        self._serving = False
        self._begun_beside: dict[Request, None] = {}
        self.interrupted_at: float = -math.inf
        self.abort_until: float = 0.0
        self.last_parent: Header | None = None
        self._serve_one = serve
        self._failed = failed
        self._interrupter: Interrupter | None = None

    async def _serve(self, request: Request) -> None:
        if self._beside:
            self.expect(request)
            self._start_beside(request)
            return
        await self._beginnings.before(request)
        self.last_parent = request.header
        current_session.set(self.session)
        try:
            await self._serve_one(self, request, True)
        finally:
            self._begin_deferred()

    async def serve_beside(self, request: Request) -> None:
        """Serve a cell in this loop beside the lane: a concurrent cell."""
        self._begun_beside[request] = None  # before it waits no more: whoever looks for it finds it
        try:
            if not self._comes_no_more(request):
                return  # it was withdrawn
            current_session.set(self.session)
            await self._serve_one(self, request, False)
        finally:
            del self._begun_beside[request]

    def expect(self, request: Request) -> None:
        """A concurrent cell will come to :meth:`serve_beside`; until then it can be withdrawn."""
        self.coming[request] = None

    def start_beside(self, request: Request) -> None:
        """Start a concurrent cell as a task of this loop; from any thread, also before the lane serves."""
        self.expect(request)
        self._beginnings.expect(request)
        self._beside_queue.append(request)
        if self._serving:
            self.token.call_soon(self._start_queued_beside)

    async def serve(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve cells, those that came before included, until cancelled; while :meth:`open` is."""
        self._serving = True
        self._start_queued_beside()
        await self.queue.run(task_status=task_status)

    def _start_queued_beside(self) -> None:
        while self._beside_queue:
            self._start_beside(self._beside_queue.popleft())

    def _start_beside(self, request: Request) -> None:
        sooner = self.queue.serving, *self.queue.queued()[:1]  # of these, one is about to begin if none runs
        after_another = self.foreground is None and any(cell and cell.received < request.received for cell in sooner)
        self._beginnings.start(request, after_another=after_another)

    def _begin_beside(self, request: Request) -> None:
        # Whoever lets it begin is no ancestor of it: it shall not find what cells have put into context variables.
        self._context.copy().run(self._concurrent.start_soon, self._serve_in_turn, request)

    async def _serve_in_turn(self, request: Request) -> None:
        try:
            await self._beginnings.turn(request)
            await self.serve_beside(request)
        finally:
            self._beginnings.has_begun(request)  # in case that it did not

    def _begin_deferred(self) -> None:
        """The cell that they were to begin after has ended, or will not begin."""
        if self.foreground is None and not len(self.queue):
            self._beginnings.release()

    def waiting(self) -> list[Request]:
        """The cells that have not begun."""
        return [*self.queue.queued(), *list(self.coming)]

    def begun(self) -> list[Request]:
        """The cells that are being served: those about to begin, those that run, and those that have ended just now."""
        return [*filter(None, [self.queue.serving]), *list(self._begun_beside)]

    def tasks(self) -> list[Task | ForeignTask]:
        """Background tasks, children of cells, and what was started past the nurseries with asyncio itself."""
        if not self.is_open:
            return []
        nurseries = [cell.children for cell in list(self.cells) if cell.children is not None]
        owned = [
            task
            for tasks in (self.session.tasks, *(each.tasks for each in nurseries))
            for task in tasks.copy().values()
        ]
        return [*owned, *self.session.foreign()]

    def withdraw(self, request: Request) -> bool:
        """Let a cell that waits not begin; False if it has begun."""
        if self.queue.withdraw(request):
            if self.is_open:
                self.token.call_soon(self._begin_deferred)
            return True
        return self._comes_no_more(request)

    def _comes_no_more(self, request: Request) -> bool:
        """Whether a concurrent cell has not begun until now; whoever asks first has it, from any thread."""
        try:
            del self.coming[request]
        except KeyError:
            return False
        return True

    def take_waiting(self) -> list[Request]:
        """Withdraw and return all that waits."""
        return [request for request in self.waiting() if self.withdraw(request)]

    @contextmanager
    def running(self, cell: Cell, *, foreground: bool) -> Generator[None]:
        """The time in which a cell runs here."""
        self.cells.add(cell)
        if foreground:
            self.interrupter.begin(cell)
            self._beginnings.release()
        else:
            self._beginnings.has_begun(cell.request)
        try:
            yield
        finally:
            self.cells.discard(cell)
            if foreground:
                self.interrupter.foreground = None

    @asynccontextmanager
    async def open(self, *, by_signal: bool = False) -> AsyncGenerator[Self]:
        """Take this loop for the lane's cells, and open their session nursery and the Caller that they find.

        Args:
            by_signal: whether SIGINT is ours and this is the main thread.
        """
        token = current_loop_token()
        self._context = copy_context()
        async with (
            _caller(self.queue.name),
            Session.open(self._failed) as self.session,
            _supervised(token, self.session),
            anyio.create_task_group() as self._concurrent,
        ):
            self._interrupter = Interrupter(token, by_signal=by_signal, session=self.session)
            try:
                yield self
            finally:
                self._concurrent.cancel_scope.cancel()

    @property
    def interrupter(self) -> Interrupter:
        """Cuts cells of this lane short.

        Raises:
            RuntimeError: before the lane is open.
        """
        if self._interrupter is None:
            msg = f"{self.queue.name} is not open"
            raise RuntimeError(msg)
        return self._interrupter

    @property
    def token(self) -> LoopToken:
        """The loop that its cells run in."""
        return self.interrupter.token

    @property
    def is_open(self) -> bool:
        """Whether it has its loop and its session."""
        return self._interrupter is not None

    @property
    def foreground(self) -> Cell | None:
        """The cell that runs."""
        return None if self._interrupter is None else self._interrupter.foreground

    @property
    def foreground_awaits(self) -> bool:
        """Whether its cell lets others of this loop run, and none waits behind it."""
        return self.foreground is not None and self.foreground.state == "awaiting" and not len(self.queue)


def _caller(name: str) -> AbstractAsyncContextManager[object]:
    """What ``Caller()`` is in cells here; where a program that embeds the kernel has opened one, it is that."""
    return nullcontext() if Caller.get_existing() is not None else Caller("manual", name=name, protected=True)


def _supervised(token: LoopToken, session: Session) -> AbstractAsyncContextManager[None]:
    """The supervision of tasks that cells start past the session nursery, where the library has such."""
    if token.backend != Backend.asyncio:
        return nullcontext()
    from async_kernel.shell.background.asyncio_tasks import supervised  # noqa: PLC0415 -- it imports asyncio

    return supervised(session.failed, session.foreign_tasks, session.made_by)

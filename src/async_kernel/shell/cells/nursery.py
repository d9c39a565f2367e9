"""``cell.nursery``: children that a cell waits for.

A child starts with ``cell.nursery.start_soon(fn, *args)``. The cell is done when its code and all children are; a
child that fails cancels the others and the code, and the cell fails with an ExceptionGroup; a cell that fails or is
cut short takes its children along.

The children live in a task group whose host is a task beside the cell's code, since a cell that has none shall not pay
for it. Children are started from the cell's loop, and from threads that it waits for.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from async_kernel.lifetime.loop_token import context_for, runs_here
from async_kernel.lifetime.pending import Pending
from async_kernel.shell.cells.task import Task, check_function, name_of, new_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskGroup

    from async_kernel.shell.cells.cell import Cell

__all__ = ["CellNursery"]


class CellNursery:
    """The children of one cell.

    Args:
        start_host: starts a task that is supervised by nobody but this.

    Attributes:
        tasks: the children that run or are about to, by id.
    """

    def __init__(self, cell: Cell, start_host: Callable[[Callable[[], Awaitable[object]]], object]) -> None:
        self._cell = cell
        self.tasks: dict[str, Task] = {}
        self._waiting: deque[tuple[Task, Callable[..., Awaitable[object]], tuple[Any, ...]]] = deque()
        self._group: TaskGroup | None = None
        self._closing = anyio.Event()
        self._result: Pending[None] = Pending()
        start_host(self._host)

    def start_soon(self, fn: Callable[..., Awaitable[object]], *args: Any, name: object = None) -> None:
        """Start ``fn(*args)`` as a child of the cell.

        Raises:
            RuntimeError: if the cell has ended; ``nursery``, the session's, starts what shall outlive its cell.
            TypeError: if ``fn`` is no function; a coroutine, for example.
        """
        check_function(fn)
        if self._result.done() or self._cell.ended is not None:
            msg = "this cell has ended; start tasks that outlive their cell in the session's nursery"
            raise RuntimeError(msg)
        token = self._cell.token
        if runs_here(token):
            self._start(fn, args, name)
        else:
            token.call_soon(context_for(token.backend).run, partial(self._start, fn, args, name))

    def _start(self, fn: Callable[..., Awaitable[object]], args: tuple[Any, ...], name: object) -> None:
        task = Task(new_id(), name_of(fn, name), self._cell.request, self._cell.token)
        self.tasks[task.id] = task
        self._cell.gates_beside.add(task.gate)
        self._waiting.append((task, fn, args))
        self._start_waiting()

    def _start_waiting(self) -> None:
        while self._group is not None and self._waiting:
            task, fn, args = self._waiting.popleft()
            self._group.start_soon(self._run, task, fn, args, name=task.name)

    async def _run(self, task: Task, fn: Callable[..., Awaitable[object]], args: tuple[Any, ...]) -> None:
        """Be a child."""
        try:
            with task.scope:
                await task.run(fn, *args)
        except KeyboardInterrupt:
            if self._cell.cause is None:
                raise
            # The cell is cut short and all children are cancelled: no need to fail.
        finally:
            self._forget(task)

    def _forget(self, task: Task) -> None:
        task.ended = True
        del self.tasks[task.id]
        self._cell.gates_beside.discard(task.gate)

    async def _host(self) -> None:
        try:
            async with anyio.create_task_group() as self._group:
                self._start_waiting()
                await self._closing.wait()
        except anyio.get_cancelled_exc_class():
            self._result.set_result(None)
            raise
        except BaseException as exc:  # noqa: BLE001 -- it is the cell's error
            self._result.set_exception(exc)
            self._cell.child_failed(exc)
        else:
            self._result.set_result(None)

    async def join(self) -> None:
        """Wait for the children, when the code has come to its end; raises what they did."""
        self._closing.set()
        await self._result

    async def abandon(self) -> None:
        """Cancel the children, when the code has failed or was cut short, and wait for them."""
        self._closing.set()
        while self._waiting:
            self._forget(self._waiting.popleft()[0])
        if self._group is not None:
            self._group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._result.wait(result=False)

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from async_kernel.kernel.beginnings import Beginnings
from tests.fakes import execute

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from anyio.abc import TaskGroup

    from async_kernel.protocol.request import Request

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class Shell:
    """Cells that were sent in the order of their numbers, and what has begun."""

    def __init__(self, tasks: TaskGroup) -> None:
        self.begun: list[int] = []
        self.cells = [execute("") for _ in range(100)]
        for n, cell in enumerate(self.cells):
            cell.received = float(n)
        self.tasks = tasks
        self.gates = [anyio.Event() for _ in self.cells]
        self.scopes: dict[int, anyio.CancelScope] = {}
        self.beginnings = Beginnings(lambda request: tasks.start_soon(self.task, request))

    def start(self, *numbers: int, after_another: bool = False) -> None:
        for n in numbers:
            self.beginnings.expect(self.cells[n])
            self.beginnings.start(self.cells[n], after_another=after_another)

    async def task(self, request: Request) -> None:
        """A concurrent cell."""
        n = self.cells.index(request)
        with anyio.CancelScope() as self.scopes[n]:
            try:
                await self.beginnings.turn(request)
                await self.gates[n].wait()
                self.begun.append(n)
            finally:
                self.beginnings.has_begun(request)

    async def let(self, *numbers: int) -> list[int]:
        """Let cells begin if it is their turn, and say what has begun."""
        for n in numbers:
            self.gates[n].set()
        await anyio.wait_all_tasks_blocked()
        return self.begun

    async def queued(self, n: int) -> None:
        """A cell of the queue."""
        await self.beginnings.before(self.cells[n])
        self.begun.append(n)


@pytest.fixture
async def shell() -> AsyncGenerator[Shell]:
    async with anyio.create_task_group() as tasks:
        yield Shell(tasks)
        tasks.cancel_scope.cancel()


async def test_concurrent_cells_begin_one_after_another(shell: Shell) -> None:
    shell.start(0, 1, 2)
    assert await shell.let(2, 1) == []
    assert await shell.let(0) == [0, 1, 2]


async def test_a_long_row_begins_in_order_whatever_order_the_library_runs_it_in(shell: Shell) -> None:
    for n in range(100):
        shell.gates[n].set()
    shell.start(*range(100))
    assert await shell.let() == [*range(100)]


async def test_one_that_is_cancelled_keeps_nobody_waiting(shell: Shell) -> None:
    shell.start(0, 1, 2)
    await shell.let(1, 2)
    shell.scopes[1].cancel()
    assert await shell.let() == []
    shell.scopes[0].cancel()
    assert await shell.let() == [2]


async def test_two_with_the_same_id_keep_nobody_waiting(shell: Shell) -> None:
    shell.cells[1].header["msg_id"] = shell.cells[0].header["msg_id"]
    shell.start(0, 1, 2)
    shell.tasks.start_soon(shell.queued, 3)
    assert await shell.let(0, 1, 2) == [0, 1, 2, 3]


async def test_a_cell_of_the_queue_begins_after_those_that_were_sent_before_it(shell: Shell) -> None:
    shell.start(0, 1, 3)
    shell.tasks.start_soon(shell.queued, 2)
    assert await shell.let(0) == [0]
    assert await shell.let(1) == [0, 1, 2]
    assert await shell.let(3) == [0, 1, 2, 3]


async def test_with_nothing_before_it_nobody_waits(shell: Shell) -> None:
    await shell.queued(0)
    shell.start(2)
    await shell.queued(1)
    assert shell.begun == [0, 1]


async def test_what_was_deferred_begins_when_the_one_before_it_has_begun(shell: Shell) -> None:
    shell.start(1, 2, after_another=True)
    assert await shell.let(1, 2) == []
    shell.beginnings.release()
    assert await shell.let() == [1, 2]


async def test_what_was_deferred_after_a_cell_that_will_not_come_begins_before_the_next_one(shell: Shell) -> None:
    shell.start(1, 4, after_another=True)
    shell.tasks.start_soon(shell.queued, 3)
    assert await shell.let(1, 4) == [1, 3]

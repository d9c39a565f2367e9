from __future__ import annotations

from typing import Any

import anyio
import pytest

from async_kernel.kernel.beside import TasksBeside

pytestmark = pytest.mark.anyio


async def turn(times: int) -> None:
    with anyio.CancelScope(shield=True):
        for _ in range(times):
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("turns", [0, 1, 2] * 10)
@pytest.mark.parametrize("ends", ["it is cancelled from outside", "a task fails"])
async def test_while_it_ends_nothing_gets_past_its_first_await(
    ends: str, turns: int, caplog: pytest.LogCaptureFixture
) -> None:
    beside, started = TasksBeside(), []

    async def never() -> None:
        await anyio.lowlevel.checkpoint()
        started.append(True)

    async def last() -> None:
        try:
            if ends == "a task fails":
                raise ValueError
            await anyio.sleep_forever()
        finally:
            await turn(turns)
            beside.start_soon(never)  # while its nursery is about to close

    beside.start_soon(last)
    groups: list[Any] = []
    try:
        async with anyio.create_task_group() as owner:
            owner.start_soon(beside.run)
            if ends != "a task fails":
                await anyio.wait_all_tasks_blocked()
                owner.cancel_scope.cancel()
    except ExceptionGroup as group:
        groups.append(group)
    await turn(3)  # the functions that the loop was handed have run
    await beside.close()
    assert started == []
    assert caplog.records == []
    assert len(groups) == (ends == "a task fails")

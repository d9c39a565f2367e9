"""When a row of requests lets the loop's other tasks have their turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from async_kernel.protocol.request import Request
from async_kernel.shell.cells import lane as lane_module
from async_kernel.shell.cells.lane import Lane
from async_kernel.typing import Channel

if TYPE_CHECKING:
    from collections.abc import Callable


def request(msg_type: str) -> Request:
    header: Any = {"msg_id": "1", "msg_type": msg_type, "session": "", "username": "", "date": "", "version": "5.3"}
    return Request(channel=Channel.shell, header=header, parent_header={}, metadata={}, content={})


async def served(msg_type: str, nursery: trio.Nursery) -> list[str]:
    """What happens when three such requests wait and each starts a task."""
    events: list[str] = []

    async def other() -> None:
        events.append("task")

    async def serve(_: Request) -> None:
        events.append("request")
        nursery.start_soon(other)

    lane = Lane("lane", serve)
    for _ in range(3):
        lane.submit(request(msg_type))
    await nursery.start(lambda *, task_status: lane.run(task_status=task_status))
    await trio.testing.wait_all_tasks_blocked()
    nursery.cancel_scope.cancel()
    return events


@pytest.fixture
def turn(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    return lambda seconds: monkeypatch.setattr(lane_module, "TURN_S", seconds)


@pytest.mark.trio
async def test_other_tasks_have_a_turn_between_cells(turn: Callable[[float], None]) -> None:
    turn(3600)
    async with trio.open_nursery() as nursery:
        assert (await served("execute_request", nursery)).index("task") <= 2  # of one turn, trio shuffles the tasks


@pytest.mark.trio
async def test_comm_messages_are_served_in_a_row(turn: Callable[[float], None]) -> None:
    turn(3600)
    async with trio.open_nursery() as nursery:
        assert await served("comm_msg", nursery) == ["request"] * 3 + ["task"] * 3


@pytest.mark.trio
async def test_a_row_of_comm_messages_makes_way_when_its_turn_is_over(turn: Callable[[float], None]) -> None:
    turn(-1)
    async with trio.open_nursery() as nursery:
        assert (await served("comm_msg", nursery)).index("task") <= 2

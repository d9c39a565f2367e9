"""cancel_request: nothing is lost between the states of a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from async_kernel.kernel.cancel import cancel_ids
from tests.fakes import execute
from tests.kernel.test_kernel import running_kernel

if TYPE_CHECKING:
    from async_kernel.kernel import Kernel
    from async_kernel.protocol.request import Request

pytestmark = pytest.mark.anyio


class SlowDebugger:
    """Stands for a debugger, which cells wait for when they have left the queue: then they are in neither place."""

    def __init__(self) -> None:
        self.asked = anyio.Event()
        self.go_on = anyio.Event()

    async def before_cell(self) -> None:
        self.asked.set()
        await self.go_on.wait()

    def after_cell(self) -> None: ...

    def condemn(self, *_: object) -> bool:
        return False

    def let_go(self, *_: object, **__: object) -> bool:
        return False

    def remove_files(self) -> None: ...


def cancel(kernel: Kernel[Any], *cells: Request) -> dict[str, Any]:
    ids = [cell.msg_id for cell in cells]
    return cancel_ids(kernel, msg_ids=ids, cell_ids=[], task_ids=[], subshell_ids=[], reason="enough")


@pytest.mark.parametrize("mode", ["queue", "task"])
async def test_a_cell_that_is_about_to_begin_is_cancelled(mode: str) -> None:
    ran: list[str] = []

    async def code() -> None:
        ran.append("code")

    async with running_kernel(code=code) as (kernel, wire):
        kernel._debugger = debugger = SlowDebugger()  # type: ignore[assignment]
        cell, behind = execute("code"), execute("code")
        cell.metadata["run_mode"] = behind.metadata["run_mode"] = mode
        kernel.submit(cell)
        await debugger.asked.wait()
        answer = cancel(kernel, cell)
        debugger.go_on.set()
        kernel.submit(behind)
        reply = await wire.reply_to(cell)
        await wire.idle(behind)

        assert answer == {"cancelled": [{"id": cell.msg_id, "kind": "cell", "state": "queued"}], "unknown": []}
        assert (reply.content["status"], reply.content["evalue"]) == ("aborted", "enough")
        assert (reply.metadata["cause"], reply.metadata["reason"]) == ("cancel", "enough")
        assert wire.kinds(cell) == ["busy", "execute_reply", "idle"]
        assert ran == ["code"]  # of the one behind


async def test_a_cell_whose_code_has_ended_is_unknown() -> None:
    async def code() -> None: ...

    async with running_kernel(code=code) as (kernel, wire):
        answers: list[dict[str, Any]] = []
        cell = execute("code")
        kernel.flush_output = lambda: answers.append(cancel(kernel, cell))  # between its end and its reply
        kernel.submit(cell)
        await wire.idle(cell)

        assert answers == [{"cancelled": [], "unknown": [cell.msg_id]}]
        assert (await wire.reply_to(cell)).content["status"] == "ok"


async def test_a_cell_is_cancelled_in_every_state_once() -> None:
    begun, ended = anyio.Event(), anyio.Event()

    async def waits() -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async with running_kernel(waits=waits) as (kernel, wire):
        running, queued = execute("waits"), execute("waits")
        for each in (running, queued):
            kernel.submit(each)
        await begun.wait()
        states = [each["state"] for each in cancel(kernel, running, queued)["cancelled"]]
        for each in (running, queued):
            await wire.idle(each)

        assert states == ["awaiting", "queued"]
        assert ended.is_set()
        assert cancel(kernel, running, queued)["unknown"] == [running.msg_id, queued.msg_id]

"""The kernel with a fake wire and a shell of ten lines: every request gets busy, its reply and idle."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import anyio
import pytest
from traitlets.config import Configurable

from async_kernel.kernel import Kernel
from async_kernel.shell.base import BaseShell
from async_kernel.slot import slot
from async_kernel.typing import Channel
from tests.fakes import RecordingWire, execute, request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from async_kernel.protocol.request import Request
    from async_kernel.shell.cells.cell import Cell


class ScriptShell(BaseShell[Any]):
    """Runs the async function that the cell's code names."""

    functions: ClassVar[dict[str, Any]] = {}

    async def execute(self, cell: Cell) -> dict[str, Any]:
        error: BaseException | None = None
        with cell.boundary():
            try:
                await self.functions[cell.request.content["code"]]()
            except BaseException as exc:
                error = cell.translate(exc)
                if error is None:
                    raise
        if error is not None:
            return {"status": "error", "execution_count": 1, **self.format_error(error)}
        return {"status": "ok", "execution_count": 1, "user_expressions": {}}


class FakeInterface(Configurable):
    """Owns the slot for objects that need an interface."""


@asynccontextmanager
async def running_kernel(*early: Request, **functions: Any) -> AsyncGenerator[tuple[Kernel[Any], RecordingWire]]:
    """A kernel that serves; ``early`` are requests that come before there is a shell."""
    interface = FakeInterface()
    slot.take(interface)
    try:
        stopped = anyio.Event()
        kernel: Kernel[Any] = Kernel(shell_class=ScriptShell, stop=stopped.set)
        wire = RecordingWire()
        for asked in early:
            kernel.submit(asked)
        async with kernel.running(wire):
            kernel.shell.functions = functions  # type: ignore[attr-defined]
            await kernel.serve()
            yield kernel, wire
    finally:
        slot.release(interface)


async def fine() -> None: ...


async def broken() -> None:
    msg = "boom"
    raise ValueError(msg)


@pytest.mark.trio
async def test_a_cell_is_busy_replied_and_idle() -> None:
    async with running_kernel(fine=fine) as (kernel, wire):
        cell = execute("fine")
        kernel.submit(cell)
        await wire.idle(cell)
        assert wire.kinds(cell) == ["busy", "execute_reply", "idle"]


@pytest.mark.trio
async def test_kernel_info_is_answered_in_the_callers_thread() -> None:
    async with running_kernel() as (kernel, wire):
        info = request("kernel_info_request")
        kernel.submit(info)
        assert wire.kinds(info) == ["busy", "kernel_info_reply", "idle"]


@pytest.mark.trio
async def test_a_failed_cell_aborts_what_is_queued_behind_it() -> None:
    async with running_kernel(broken=broken, fine=fine) as (kernel, wire):
        cells = [execute("broken"), execute("fine"), execute("fine")]
        for cell in cells:
            kernel.submit(cell)
        replies = [await wire.reply_to(cell) for cell in cells]
        assert [reply.content["status"] for reply in replies] == ["error", "aborted", "aborted"]
        later = execute("fine")
        kernel.submit(later)
        assert (await wire.reply_to(later)).content["status"] == "ok"


@pytest.mark.trio
async def test_an_interrupt_ends_an_awaiting_cell_with_keyboard_interrupt() -> None:
    began = anyio.Event()

    async def waits() -> None:
        began.set()
        await anyio.sleep_forever()

    async with running_kernel(waits=waits) as (kernel, wire):
        cell = execute("waits")
        kernel.submit(cell)
        await began.wait()
        interrupt = request("interrupt_request")
        kernel.submit(interrupt)
        reply = await wire.reply_to(cell)
        assert (reply.content["status"], reply.content["ename"]) == ("error", "KeyboardInterrupt")
        assert reply.metadata["cause"] == "interrupt"
        assert (await wire.reply_to(interrupt)).content == {"status": "ok", "state": "awaiting"}


@pytest.mark.trio
async def test_a_cell_cut_short_by_the_end_of_the_kernel_is_answered() -> None:
    began = anyio.Event()

    async def waits() -> None:
        began.set()
        await anyio.sleep_forever()

    async with running_kernel(waits=waits) as (kernel, wire):
        cell, queued = execute("waits"), execute("waits")
        kernel.submit(cell)
        kernel.submit(queued)
        await began.wait()
    kernel.closing_replies()
    assert wire.kinds(cell)[-2:] == ["execute_reply", "idle"]
    assert wire.kinds(queued) == ["busy", "execute_reply", "idle"]
    assert wire.of(queued)[1].content["status"] == "aborted"


@pytest.mark.trio
async def test_requests_beyond_the_limit_are_refused_and_counted() -> None:
    async with running_kernel(fine=fine) as (kernel, wire):
        kernel.max_waiting = 5
        cells = [execute("fine") for _ in range(8)]
        for cell in cells:
            kernel.submit(cell)
        statuses = [(await wire.reply_to(cell)).content["status"] for cell in cells]
        assert statuses == ["ok"] * 5 + ["error"] * 3
        assert wire.kinds(cells[-1]) == ["busy", "error", "execute_reply", "idle"]
        asked = request("drop_counts_request")
        kernel.submit(asked)
        assert (await wire.reply_to(asked)).content == {"status": "ok", "refused_requests": 3}


@pytest.mark.trio
async def test_a_subshell_id_that_is_no_text_is_refused() -> None:
    async with running_kernel(fine=fine) as (kernel, wire):
        for odd in ([], {}, 5, True, ""):
            for asked in (execute("fine"), request("interrupt_request")):
                asked.header["subshell_id"] = odd  # type: ignore[typeddict-item]
                kernel.submit(asked)
                assert (await wire.reply_to(asked)).content["status"] == "error"


@pytest.mark.trio
async def test_an_unknown_type_is_busy_and_idle_without_reply() -> None:
    async with running_kernel() as (kernel, wire):
        odd = request("odd_request")
        kernel.submit(odd)
        assert wire.kinds(odd) == ["busy", "idle"]


@pytest.mark.trio
async def test_a_missing_field_is_an_error_reply_that_names_it() -> None:
    async with running_kernel() as (kernel, wire):
        bad = request("complete_request", cursor_pos=0)
        kernel.submit(bad)
        reply = await wire.reply_to(bad)
        assert reply.content["status"] == "error"
        assert "'code'" in reply.content["evalue"]


@pytest.mark.trio
async def test_an_unknown_subshell_is_refused() -> None:
    async with running_kernel(fine=fine) as (kernel, wire):
        cell = execute("fine")
        cell.header["subshell_id"] = "no such"
        kernel.submit(cell)
        reply = await wire.reply_to(cell)
        assert reply.content["status"] == "error"
        assert "no such" in reply.content["evalue"]


@pytest.mark.trio
async def test_a_background_task_outlives_its_cell_and_its_failure_is_shown_there() -> None:
    release = anyio.Event()

    async with running_kernel() as (kernel, wire):

        async def task() -> None:
            await release.wait()
            msg = "late"
            raise ValueError(msg)

        async def starts() -> None:
            kernel.main.session.nursery.start_soon(task)

        kernel.shell.functions["starts"] = starts  # type: ignore[attr-defined]
        cell, after = execute("starts"), execute("starts")
        kernel.submit(cell)
        await wire.reply_to(cell)
        release.set()
        kernel.submit(after)
        await wire.reply_to(after)
        errors = [sent.content["evalue"] for sent in wire.of(cell) if sent.kind == "error"]
        assert errors == ["late"]
        assert [str(exc) for exc in kernel.main.session.errors[:1]] == ["late"]


@pytest.mark.trio
@pytest.mark.parametrize("msg_type", ["comm_info_request", "interrupt_request", "task_tree_request"])
async def test_what_comes_before_there_is_a_shell_is_answered_when_there_is(msg_type: str) -> None:
    early = request(msg_type)
    async with running_kernel(early) as (_, wire):
        assert (await wire.reply_to(early)).content["status"] == "ok"


@pytest.mark.trio
async def test_what_comes_early_keeps_its_order() -> None:
    order: list[str] = []

    async def first() -> None:
        order.append("first")

    async def second() -> None:
        order.append("second")

    cells = [execute("first"), execute("second")]
    async with running_kernel(*cells, first=first, second=second) as (_, wire):
        for cell in cells:
            await wire.idle(cell)
    assert order == ["first", "second"]


@pytest.mark.trio
@pytest.mark.parametrize("msg_type", ["kernel_info_request", "is_complete_request", "complete_request"])
async def test_a_question_to_an_unknown_subshell_is_refused(msg_type: str) -> None:
    async with running_kernel() as (kernel, wire):
        asked = request(msg_type, code="1", cursor_pos=1)
        asked.header["subshell_id"] = "nowhere"
        kernel.submit(asked)
        reply = await wire.reply_to(asked)
        assert reply.content["status"] == "error"
        assert "nowhere" in reply.content["evalue"]


@pytest.mark.trio
@pytest.mark.parametrize(
    ("code", "tag", "message"),
    [
        ("fine", "stop-on-error=maybe", "the tag 'stop-on-error=maybe' is neither true nor false"),
        ("fine", "timeout=soon", "the tag 'timeout=soon' is 'soon'; it must be a time in seconds"),
        ("# thread name=\nfine", "other", "'# thread name=': name is empty"),
    ],
    ids=["stop-on-error", "timeout", "name"],
)
async def test_a_bad_option_of_a_cell_is_named(code: str, tag: str, message: str) -> None:
    async with running_kernel(fine=fine) as (kernel, wire):
        cell = execute(code)
        cell.metadata["tags"] = [tag]
        kernel.submit(cell)
        reply = await wire.reply_to(cell)
    assert reply.content["status"] == "error"
    assert reply.content["evalue"].startswith(message)


@pytest.mark.trio
async def test_cells_that_wait_for_a_subshell_are_told_of_its_end() -> None:
    async with running_kernel(waits=anyio.sleep_forever) as (kernel, wire):
        made = request("create_subshell_request", channel=Channel.control)
        kernel.submit(made)
        subshell_id = (await wire.reply_to(made)).content["subshell_id"]
        cells = [execute("waits"), execute("waits")]
        for cell in cells:
            cell.header["subshell_id"] = subshell_id
            kernel.submit(cell)
        deleted = request("delete_subshell_request", channel=Channel.control, subshell_id=subshell_id)
        kernel.submit(deleted)
        await wire.reply_to(deleted)
        replies = [await wire.reply_to(cell) for cell in cells]
    assert replies[1].content["status"] == "aborted"
    assert [reply.metadata["cause"] for reply in replies] == ["shutdown", "shutdown"]

"""A shell of another language: what a cell is to its client, when the shell says only how to run code."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import anyio
import pytest
from traitlets.config import Configurable

from async_kernel.kernel import Kernel
from async_kernel.shell.base import BaseShell
from async_kernel.slot import slot
from tests.fakes import RecordingWire, execute, request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Words(BaseShell[Any]):
    """Runs one word."""

    language_info: ClassVar[dict[str, Any]] = {"name": "words"}

    def run(self, code: str) -> Any:
        if code == "fail":
            raise LookupError(code)
        return self.wait() if code == "wait" else None if code == "nothing" else code

    async def wait(self) -> str:
        self.waits.set()
        await anyio.sleep_forever()
        return ""


@asynccontextmanager
async def running(seconds: float = 0.0) -> AsyncGenerator[tuple[Kernel[Any], RecordingWire]]:
    interface = Configurable()
    slot.take(interface)
    try:
        kernel: Kernel[Any] = Kernel(shell_class=Words, stop=lambda: None)
        wire = RecordingWire()
        async with kernel.running(wire):
            kernel.shell.timeout = seconds
            kernel.shell.waits = anyio.Event()  # type: ignore[attr-defined]
            await kernel.serve()
            yield kernel, wire
    finally:
        slot.release(interface)


async def done(kernel: Kernel[Any], wire: RecordingWire, code: str, **content: Any) -> list[tuple[str, Any]]:
    """What came of a cell, without what is the same for all."""
    cell = execute(code, **content)
    kernel.submit(cell)
    await wire.idle(cell)
    return [(sent.kind, sent.content) for sent in wire.of(cell) if sent.kind != "status"]


@pytest.mark.trio
async def test_a_value_is_the_result_of_its_cell() -> None:
    async with running() as (kernel, wire):
        assert await done(kernel, wire, "hello") == [
            ("execute_input", {"code": "hello", "execution_count": 1}),
            ("execute_result", {"data": {"text/plain": "'hello'"}, "metadata": {}, "execution_count": 1}),
            ("execute_reply", {"status": "ok", "execution_count": 1, "user_expressions": {}, "payload": []}),
        ]


@pytest.mark.trio
@pytest.mark.parametrize("code", ["nothing", "", " \n"])
async def test_no_value_is_no_result(code: str) -> None:
    async with running() as (kernel, wire):
        assert [kind for kind, _ in await done(kernel, wire, code)] == ["execute_input", "execute_reply"]


@pytest.mark.trio
async def test_only_stored_cells_are_counted() -> None:
    async with running() as (kernel, wire):
        for options, count in (({"store_history": False}, 0), ({"silent": True}, 0), ({}, 1), ({"silent": True}, 1)):
            (*_, (_, reply)) = await done(kernel, wire, "x", **options)
            assert reply["execution_count"] == count  # the last one that was given
        assert kernel.shell.execution_count == 2


@pytest.mark.trio
async def test_an_error_is_shown_and_replied() -> None:
    async with running() as (kernel, wire):
        _, (kind, shown), (_, reply) = await done(kernel, wire, "fail")
        assert (kind, shown["ename"], shown["evalue"]) == ("error", "LookupError", "fail")
        assert {name: reply[name] for name in ("status", *shown)} == {"status": "error", **shown}
        assert "shell/base.py" not in "".join(shown["traceback"])


@pytest.mark.trio
async def test_code_that_awaits_is_cut_short_with_one_error() -> None:
    async with running() as (kernel, wire):
        cell = execute("wait")
        kernel.submit(cell)
        await kernel.shell.waits.wait()  # type: ignore[attr-defined]
        kernel.submit(request("interrupt_request"))
        await wire.idle(cell)
        assert wire.kinds(cell) == ["busy", "execute_input", "error", "execute_reply", "idle"]
        assert wire.of(cell)[2].content["ename"] == "KeyboardInterrupt"


@pytest.mark.trio
async def test_code_that_awaits_has_a_deadline(autojump_clock: Any) -> None:
    async with running(seconds=5) as (kernel, wire):
        assert [content.get("ename") for _, content in await done(kernel, wire, "wait")] == [
            None,
            "TimeoutError",
            "TimeoutError",
        ]


@pytest.mark.trio
async def test_clients_are_told_the_language() -> None:
    async with running() as (kernel, _):
        assert kernel.kernel_info["language_info"] == {"name": "words"}

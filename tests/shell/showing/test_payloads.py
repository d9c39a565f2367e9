"""What a reply asks its client to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.shell.kernels import ip_session

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_help_goes_to_the_pager(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        [payload] = (await session.run("len?")).reply["payload"]
        assert (payload["source"], payload["start"]) == ("page", 0)
        assert "number of items" in payload["data"]["text/plain"]


async def test_page_takes_text_and_bundles_and_a_start(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("from IPython.core.page import page\npage('a\\nb', start=1)")
        assert ran.reply["payload"] == [{"source": "page", "data": {"text/plain": "a\nb"}, "start": 1}]
        ran = await session.run("page({'text/html': '<b>'}, start=-3)")
        assert ran.reply["payload"] == [{"source": "page", "data": {"text/html": "<b>"}, "start": 0}]


async def test_the_next_input_is_the_last_one_that_was_set(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("ip = get_ipython(); ip.set_next_input('a'); ip.set_next_input('b', replace=True)")
        assert ran.reply["payload"] == [{"source": "set_next_input", "text": "b", "replace": True}]


@pytest.mark.parametrize("code", ["exit", "quit", "exit()", "quit()"])
async def test_exit_asks_the_client_to_leave(tmp_path: Path, code: str) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(code)
        assert ran.reply["payload"] == [{"source": "ask_exit", "keepkernel": False}]
        assert session.shell.exit_now


async def test_exit_may_keep_the_kernel(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("exit(keep_kernel=True)")
        assert ran.reply["payload"] == [{"source": "ask_exit", "keepkernel": True}]
        assert not session.shell.exit_now
        assert (await session.run("exit")).reply["payload"] == [{"source": "ask_exit", "keepkernel": False}]


async def test_an_error_reply_has_payloads_too(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("get_ipython().set_next_input('try again'); 1 / 0")
        assert (ran.status, len(ran.reply["payload"])) == ("error", 1)


async def test_payloads_do_not_stay_for_the_next_cell(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("len?")
        assert (await session.run("1")).reply["payload"] == []


async def test_a_payload_of_anything_is_sent(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(
            "get_ipython().payload_manager.write_payload({'source': 'mine', 'it': {1, 2}.__class__})"
        )
        assert ran.reply["payload"] == [{"source": "mine", "it": "<class 'set'>"}]


async def test_a_payload_that_is_no_dict_is_refused(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("get_ipython().payload_manager.write_payload('no')")
        assert ran.reply["ename"] == "TypeError"


async def test_concurrent_cells_keep_their_payloads_apart(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = "# task\nimport anyio\nawait anyio.sleep(0)\nget_ipython().set_next_input({!r})\nawait anyio.sleep(0)"
        cells = [session.begin(code.format(name)) for name in ("a", "b")]
        texts = [[p["text"] for p in (await session.end(cell)).reply["payload"]] for cell in cells]
        assert texts == [["a"], ["b"]]

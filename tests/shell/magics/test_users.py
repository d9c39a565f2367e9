"""Magics of the user's own: what they return is awaited if it can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.shell.kernels import ip_session

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

MAGICS = {
    "an async function": "@register_line_magic\nasync def waits(line):\n    return await later()",
    "a function that returns a coroutine": "@register_line_magic\ndef waits(line):\n    return later()",
    "a function that returns an awaitable": "class Later:\n    def __await__(self): return later().__await__()\n"
    "@register_line_magic\ndef waits(line):\n    return Later()",
}


@pytest.mark.parametrize("magic", MAGICS)
async def test_what_a_magic_returns_is_awaited(tmp_path: Path, magic: str) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("import anyio\nasync def later():\n    await anyio.sleep(0)\n    return 42")
        await session.run(f"from IPython.core.magic import register_line_magic\n{MAGICS[magic]}")
        assert (await session.run("%waits")).value == "42"
        assert (await session.run("x = %waits\nx + 1")).value == "43"


async def test_what_a_magic_calls_does_not_expect_it_to_wait(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run(
            "from IPython.core.magic import register_line_magic\n@register_line_magic\ndef runs(line):\n"
            "    get_ipython().run_cell_magic('capture', 'out', 'import asyncio; print(\\'await\\')')"
        )
        assert (await session.run("%runs\nout.stdout")).value == "'await\\n'"

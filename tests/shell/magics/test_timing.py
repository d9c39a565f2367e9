"""%timeit of code that awaits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.shell.kernels import ip_session

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

COUNT = "import anyio\ncount = 0\nasync def f():\n    global count\n    count += 1\n    await anyio.sleep(0)"


@pytest.mark.parametrize("code", ["%timeit -n3 -r2 await f()", "%%timeit -n3 -r2\nawait f()"])
async def test_it_runs_as_often_as_is_said(tmp_path: Path, code: str) -> None:
    async with ip_session(tmp_path) as session:
        await session.run(COUNT)
        ran = await session.run(code)
        assert re.fullmatch(r"(The slowest run .*\n)?.+ per loop \(mean .+ of 2 runs, 3 loops each\)\n", ran.text())
        assert await session.value("count") == "6"


async def test_the_set_up_is_not_timed(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run(COUNT)
        await session.run("%%timeit -n5 -r2 await f(); prepared = f\nawait anyio.sleep(0); prepared")
        assert await session.value("count") == "2"


async def test_the_result_can_be_had(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run(COUNT)
        assert (await session.run("r = %timeit -q -o -n2 -r3 await f()")).text() == ""
        assert await session.value("r.loops, r.repeat, len(r.all_runs)") == "(2, 3, 3)"
        await session.run("%timeit -q -v kept -n2 -r3 await f()")
        assert await session.value("kept.loops") == "2"


async def test_without_a_number_it_takes_long_enough(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run(COUNT)
        await session.run("r = %timeit -q -o -r1 await f()")
        assert await session.value("r.loops >= 10 and count > r.loops") == "True"


@pytest.mark.parametrize(
    ("code", "ename"),
    [
        ("%timeit -nx await f()", "UsageError"),
        ("%timeit -n1 -r1 await", "SyntaxError"),
        ("%timeit -n1 -r1 import anyio; await anyio.sleep(1 / 0)", "ZeroDivisionError"),
    ],
)
async def test_what_is_wrong_is_said(tmp_path: Path, code: str, ename: str) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(code, stop_on_error=False)
        assert ran.status == "error"
        assert ran.reply["ename"] == ename


async def test_code_that_does_not_await_is_timed_by_ipython(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert "per loop" in (await session.run("%timeit -n10 -r2 sum(range(3))")).text()

"""What ``Caller`` is in cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from async_kernel.lifetime.caller import Caller
from tests.shell.kernels import ip_session

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_cells_find_it_and_the_user_does_not_see_it(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("%who\nCaller.__module__")
        assert (ran.text(), ran.value) == ("Interactive namespace is empty.\n", "'async_kernel.lifetime.caller'")


async def test_a_call_outlives_its_cell_and_its_result_is_found_by_another(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        first = await session.run(
            "import anyio\n"
            "begin = anyio.Event()\n"
            "async def add(a, b):\n"
            "    await begin.wait()\n"
            "    print('adding')\n"
            "    return a + b\n"
            "pending = Caller().call_soon(add, 40, 2)"
        )
        second = await session.run("begin.set()\nawait pending")
        assert (first.status, second.value, session.wire.text(first.request)) == ("ok", "42", "adding\n")


async def test_a_thread_takes_what_would_block(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(
            "import threading\nawait Caller().to_thread(threading.get_ident) != threading.get_ident()"
        )
        assert ran.value == "True"


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
async def test_a_child_runs_either_backend(tmp_path: Path, backend: str) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(
            "import sniffio\n"
            f"child = Caller().get(name='child', backend={backend!r})\n"
            "async def library(): return sniffio.current_async_library()\n"
            "await child.call_soon(library)"
        )
        assert ran.value == repr(backend)


async def test_all_of_it_ends_with_the_kernel(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        namespace = session.shell.user_ns
        await session.run(
            "import anyio\n"
            "caller = Caller()\n"
            "child = caller.get(name='child')\n"
            "pendings = [caller.call_soon(anyio.sleep_forever), child.call_soon(anyio.sleep_forever)]"
        )
        caller, child, pendings = namespace["caller"], namespace["child"], namespace["pendings"]
    states = [pending.cancelled() and pending.done() for pending in pendings]
    assert (states, child.stopped.done(), caller.running, Caller.all_callers()) == ([True, True], True, False, [])


async def test_a_cell_cannot_stop_the_shells_own(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("Caller().stop()")
        assert (ran.status, ran.reply["ename"]) == ("error", "RuntimeError")


async def test_a_program_that_has_one_keeps_it(tmp_path: Path) -> None:
    async with Caller("manual", name="the program's") as caller:
        async with ip_session(tmp_path, launched=False) as session:
            ran = await session.run("Caller().name")
        assert (ran.value, caller.running) == ('"the program\'s"', True)

"""The session: background tasks that fail alone, started from wherever, and context managers that stay open."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.shell.kernels import Ran, Session, ip_session

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def begun(tmp_path: Path) -> AsyncGenerator[Session]:
    async with ip_session(tmp_path) as session:
        await session.run(
            "import anyio, threading, contextlib, sniffio\nran = []\n"
            "async def note(*what):\n    ran.append((threading.get_ident(), *what))"
        )
        yield session


MINE = "from async_kernel.shell.background.names import current_session\nmine = current_session.get()"


def errors_of(session: Session, ran: Ran) -> list[str]:
    """The names of the errors that are shown in a cell."""
    return [sent.content["ename"] for sent in session.wire.of(ran.request) if sent.kind == "error"]


STARTERS = {
    "a plain thread": "t = threading.Thread(target=lambda: {start})\nt.start()\nawait anyio.to_thread.run_sync(t.join)",
    "a worker of anyio": "await anyio.to_thread.run_sync(lambda: {start})",
    "a pool": (
        "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(1) as pool:\n"
        "    await anyio.to_thread.run_sync(pool.submit(lambda: {start}).result)"
    ),
}


@pytest.mark.parametrize("where", STARTERS)
async def test_a_task_started_in_a_thread_runs_in_the_cells_loop(tmp_path: Path, where: str) -> None:
    async with begun(tmp_path) as session:
        ran = await session.run(STARTERS[where].format(start="nursery.start_soon(note, 1)"))
        assert ran.status == "ok", ran.reply
        assert await session.value("while not ran: await anyio.sleep(0)\nran == [(threading.get_ident(), 1)]") == "True"


async def test_output_of_a_task_started_in_a_thread_goes_to_the_cell(tmp_path: Path) -> None:
    async with begun(tmp_path) as session:
        await session.run("async def speak(): print('spoken')")
        starting = await session.run(STARTERS["a plain thread"].format(start="nursery.start_soon(speak)"))
        await session.run("await session.all_ended()")
        assert "spoken" in session.wire.text(starting.request)


async def test_a_session_handed_to_the_other_library_starts_tasks_in_its_own_loop(tmp_path: Path) -> None:
    async with begun(tmp_path) as session:
        other = {"trio": "asyncio", "asyncio": "trio"}[session.kernel.token.backend.value]
        await session.run(MINE)
        await session.run(f"%%{other}\nmine.nursery.start_soon(note, sniffio.current_async_library())")
        assert await session.value(f"ran == [(threading.get_ident(), {other!r})]") == "True"


async def test_a_session_has_the_managers_of_other_threads_in_its_own_loop(tmp_path: Path) -> None:
    async with begun(tmp_path) as session:
        other = {"trio": "asyncio", "asyncio": "trio"}[session.kernel.token.backend.value]
        await session.run(
            f"{MINE}\n@contextlib.asynccontextmanager\nasync def cm():\n    await note('in')\n    yield 5\n"
            "    await note('out')\ncm = cm()"
        )
        assert (await session.run(f"%%{other}\nprint(await mine.enter(cm))\nawait mine.exit(cm)")).text() == "5\n"
        assert await session.value("ran == [(threading.get_ident(), each) for each in ('in', 'out')]") == "True"


async def test_waiting_for_a_start_in_another_loop_is_refused(tmp_path: Path) -> None:
    async with begun(tmp_path) as session:
        await session.run(MINE)
        ran = await session.run("%%thread\nawait mine.nursery.start(note)")
        assert ran.reply["ename"] == "RuntimeError"
        assert "start_soon" in ran.reply["evalue"]


@pytest.mark.parametrize("where", ["nursery", "cell.nursery"])
@pytest.mark.parametrize(("what", "says"), [("note(1)", "start_soon(note, ...)"), ("3", "async function")])
async def test_what_cannot_be_started_is_refused_at_once(tmp_path: Path, where: str, what: str, says: str) -> None:
    async with begun(tmp_path) as session:
        ran = await session.run(f"{where}.start_soon({what})")
        assert ran.reply["ename"] == "TypeError"
        assert says in ran.reply["evalue"]
        assert await session.value("session.tasks") == "{}"


async def test_a_cancelled_nursery_is_there_again(tmp_path: Path) -> None:
    values: list[str | None] = []
    async with begun(tmp_path) as session:
        await session.run("nursery.start_soon(anyio.sleep_forever)\nnursery.cancel_scope.cancel()")
        await session.run("await session.all_ended()\nnursery.start_soon(note)\nawait session.all_ended()")
        values.append(await session.value("len(ran), session.tasks"))
    assert values == ["(1, {})"]  # here, for a kernel that was cancelled would have left the block above early


async def test_a_child_started_in_a_thread_runs_in_the_cells_loop(tmp_path: Path) -> None:
    async with begun(tmp_path) as session:
        ran = await session.run(
            "c = cell.nursery\nc.start_soon(note, 1)\nawait anyio.to_thread.run_sync(lambda: c.start_soon(note, 2))"
        )
        assert ran.status == "ok", ran.reply
        assert await session.value("sorted(ran) == [(threading.get_ident(), 1), (threading.get_ident(), 2)]") == "True"


# -- what happens when one fails ---------------------------------------------------------------------------------


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_of_asyncios_that_fails_is_shown_also_if_it_is_held(tmp_path: Path) -> None:
    async with begun(tmp_path) as session:
        started = await session.run(f"import asyncio\n{FAILS}held = asyncio.create_task(fails())")
        await session.run("while not session.errors: await anyio.sleep(0)")
        assert errors_of(session, started) == ["ValueError"]
        assert (await session.run("await held")).reply["evalue"] == "no"
        assert await session.value("len(session.errors)") == "1"


AWAITED = {
    "await": "try: await t\nexcept ValueError: pass",
    "gather": "await asyncio.gather(t, return_exceptions=True)",
    "wait": "await asyncio.wait([t])\nt.exception()",
    "as_completed": "for each in asyncio.as_completed([t]):\n    try: await each\n    except ValueError: pass",
}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("how", AWAITED)
async def test_a_task_of_asyncios_that_somebody_waits_for_is_his(tmp_path: Path, how: str) -> None:
    async with begun(tmp_path) as session:
        ran = await session.run(f"import asyncio\n{FAILS}t = asyncio.create_task(fails())\n{AWAITED[how]}")
        await session.run("for _ in range(9): await anyio.sleep(0)")
        assert (ran.status, errors_of(session, ran)) == ("ok", [])
        assert await session.value("session.errors") == "[]"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_tasks_of_asyncios_are_siblings_too(tmp_path: Path) -> None:
    async with begun(tmp_path) as session:
        await session.run(
            f"import asyncio\n{FAILS}{WAITS}held = asyncio.create_task(waits('held'))\nawait anyio.sleep(0)"
        )
        await session.run("nursery.start_soon(fails, on_error='cancel_siblings')\nawait session.all_ended()")
        await session.run("while not held.done(): await anyio.sleep(0)")
        assert await session.value("ran") == "['fails', 'held']"


FAILS = "async def fails():\n    ran.append('fails')\n    raise ValueError('no')\n"
WAITS = (
    "async def waits(name):\n    try: await anyio.sleep_forever()\n"
    "    except anyio.get_cancelled_exc_class():\n        ran.append(name)\n        raise\n"
)


@pytest.mark.parametrize("how", ["session", "task"])
async def test_the_siblings_of_a_failed_task_can_be_cancelled(tmp_path: Path, how: str) -> None:
    async with begun(tmp_path) as session:
        await session.run(f"{FAILS}{WAITS}nursery.start_soon(waits, 'a')\nnursery.start_soon(waits, 'b')")
        start = {
            "session": "session.on_error = 'cancel_siblings'\nnursery.start_soon(fails)",
            "task": "nursery.start_soon(fails, on_error='cancel_siblings')",
        }[how]
        failing = await session.run(start)
        await session.run("await session.all_ended()")
        assert await session.value("ran[0], sorted(ran[1:])") == "('fails', ['a', 'b'])"
        assert [sent.content["ename"] for sent in session.wire.of(failing.request) if sent.kind == "error"] == [
            "ValueError"
        ]


async def test_the_siblings_of_a_failed_task_go_on(tmp_path: Path) -> None:
    async with begun(tmp_path) as session:
        await session.run(
            f"{FAILS}{WAITS}nursery.start_soon(waits, 'a')\nnursery.start_soon(fails)\nawait anyio.sleep(0.01)"
        )
        assert await session.value("ran, [t.name for t in session.tasks.values()]") == "(['fails'], ['waits'])"


async def test_a_mode_that_does_not_exist_is_named(tmp_path: Path) -> None:
    async with begun(tmp_path) as session:
        for code in ("session.on_error = 'shout'", "nursery.start_soon(note, on_error='shout')"):
            ran = await session.run(code)
            assert ran.reply["ename"] == "ValueError"
            assert "'shout'" in ran.reply["evalue"]


# -- context managers --------------------------------------------------------------------------------------------


async def test_entering_can_be_interrupted(tmp_path: Path) -> None:
    async with begun(tmp_path) as session:
        await session.run(
            "@contextlib.asynccontextmanager\nasync def slow():\n    try: await anyio.sleep_forever()\n"
            "    finally: ran.append('given up')\n    yield"
        )
        entering = session.begin("print('ready')\nawait session.enter(slow())")
        await session.printed(entering, "ready")
        session.interrupt(entering)
        assert (await session.end(entering)).reply["ename"] == "KeyboardInterrupt"
        assert await session.value("while not ran: await anyio.sleep(0)\nran") == "['given up']"


async def test_a_manager_that_fails_by_itself_is_shown_where_it_was_entered(tmp_path: Path) -> None:
    async with begun(tmp_path) as session:
        entering = await session.run(
            "@contextlib.asynccontextmanager\nasync def group():\n"
            "    async with anyio.create_task_group() as group:\n        yield group\n"
            "g = group()\ntasks = await session.enter(g)"
        )
        await session.run(
            "async def fails(): 1 / 0\ntasks.start_soon(fails)\nwhile not session.errors: await anyio.sleep(0)"
        )
        errors = [sent.content for sent in session.wire.of(entering.request) if sent.kind == "error"]
        assert [error["ename"] for error in errors] == ["ExceptionGroup"]
        assert "ZeroDivisionError" in "\n".join(errors[0]["traceback"])
        assert (await session.run("await session.exit(g)")).reply["ename"] == "ExceptionGroup"


async def test_a_handle_is_cancelled_from_any_thread(tmp_path: Path) -> None:
    async with begun(tmp_path) as session:
        await session.run("%%task\nawait anyio.sleep_forever()")
        await session.run("handle = _\nt = threading.Thread(target=handle.cancel)\nt.start()")
        ran = await session.run("await handle")
        name = (await session.value("handle.id")).strip("'")
        assert (ran.reply["ename"], ran.reply["evalue"]) == ("Cancelled", f"{name} was cancelled")


async def test_a_child_of_a_cell_is_cancelled_by_its_id(tmp_path: Path) -> None:
    async with begun(tmp_path) as session:
        running = session.begin(
            "async def child():\n    print('ready')\n    await anyio.sleep_forever()\ncell.nursery.start_soon(child)"
        )
        await session.printed(running, "ready")
        tree = await session.ask("task_tree_request")
        (child,) = [node["id"] for _, node in _below(tree["tree"]) if node["name"] == "child"]
        answer = await session.ask("cancel_request", task_ids=[child])
        assert answer["cancelled"] == [{"id": child, "kind": "task", "state": "awaiting"}]
        assert (await session.end(running)).status == "ok"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_of_asyncio_is_seen_and_cancelled_by_its_name(tmp_path: Path) -> None:
    async with begun(tmp_path) as session:
        await session.run("import asyncio\ntask = asyncio.create_task(anyio.sleep_forever(), name='mine')")
        tree = await session.ask("task_tree_request")
        assert [node["name"] for _, node in _below(tree["tree"]) if node["id"] == "mine"] == ["sleep_forever"]
        answer = await session.ask("cancel_request", task_ids=["mine"])
        assert answer["cancelled"] == [{"id": "mine", "kind": "task", "state": "awaiting"}]
        assert await session.value("await asyncio.wait([task])\ntask.cancelled()") == "True"


# -- concurrent cells ------------------------------------------------------------------------------------------------


async def test_a_concurrent_cell_begins_though_the_cell_before_it_was_aborted(tmp_path: Path) -> None:
    async with begun(tmp_path) as session:
        cells = [session.begin(code) for code in ("1/0", "1", "# task\n2")]
        assert [(await session.end(cell)).status for cell in cells] == ["error", "aborted", "ok"]


async def test_a_concurrent_cell_begins_though_the_cell_before_it_was_cancelled(tmp_path: Path) -> None:
    async with begun(tmp_path) as session:
        queued, beside = session.begin("1"), session.begin("# task\n2")
        answer = session.kernel.cancel_by_id([queued.msg_id])
        assert [each["state"] for each in answer["cancelled"]] == ["queued"]
        assert [(await session.end(cell)).status for cell in (queued, beside)] == ["aborted", "ok"]


async def test_a_concurrent_cell_that_has_not_begun_is_cancelled(tmp_path: Path) -> None:
    async with begun(tmp_path) as session:
        beside = session.begin("# task\n2")
        answer = session.kernel.cancel_by_id([beside.msg_id])
        assert answer["cancelled"] == [{"id": beside.msg_id, "kind": "cell", "state": "queued"}]
        assert (await session.end(beside)).status == "aborted"


async def test_a_silent_request_does_not_wait_for_a_cell_that_awaits(tmp_path: Path) -> None:
    async with begun(tmp_path) as session:
        waiting = session.begin("print('ready')\nawait anyio.sleep_forever()")
        await session.printed(waiting, "ready")
        assert (await session.run("1", silent=True)).status == "ok"
        queued, behind = session.begin("ran.append('queued')"), session.begin("ran.append('silent')", silent=True)
        session.kernel.cancel_by_id([waiting.msg_id])
        for cell in (waiting, queued, behind):
            await session.end(cell)
        assert await session.value("ran") == "['queued', 'silent']"


# -- seen --------------------------------------------------------------------------------------------------------


async def test_the_tree_has_the_tasks_of_every_nursery(tmp_path: Path) -> None:
    async with begun(tmp_path) as session:
        running = session.begin(
            "# task\nasync def child(): await grandchild()\nasync def grandchild(): await anyio.sleep_forever()\n"
            "async def parent():\n    async with anyio.create_task_group() as group: group.start_soon(child)\n"
            "cell.nursery.start_soon(parent)\nprint('ready')\n"
            "async with anyio.create_task_group() as group: group.start_soon(child)"
        )
        await session.printed(running, "ready")
        await session.run("for _ in range(20): await anyio.sleep(0)")
        tree = await session.ask("task_tree_request", stacks=True)
        (cell,) = [node for node in tree["tree"]["children"][0]["children"] if node["id"] == running.msg_id]
        names = [(depth, node["name"]) for depth, node in _below(cell) if node["kind"] == "task"]
        assert sorted(name for _, name in names) == ["child", "child", "parent"]
        assert [node["where"][-1]["function"] for _, node in _below(cell) if node["name"] == "child"] == [
            "grandchild"
        ] * 2
        session.interrupt(running)
        await session.end(running)


def _below(node: dict[str, Any], depth: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    for child in node["children"]:
        yield depth, child
        yield from _below(child, depth + 1)

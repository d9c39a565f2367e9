"""What keeps a loop is found and stopped, wherever it is and however it was started; and what is not meant goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.test_concurrency import WAITS, cancel, metadata

if TYPE_CHECKING:
    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess

pytestmark = pytest.mark.usefixtures("ours")

BLOCKS_LATER = (
    "import anyio, asyncio\nasync def blocks():\n    await anyio.sleep(0)\n    print('ready', flush=True)\n"
    "    while True: pass\n"
)
IN_A_GROUP = "    async with anyio.create_task_group() as group:\n        group.start_soon(blocks)\n"
STARTS = {
    "a background task": f"{BLOCKS_LATER}nursery.start_soon(blocks)",
    "a child of a background task": f"{BLOCKS_LATER}async def opens():\n{IN_A_GROUP}nursery.start_soon(opens)",
    "a task of asyncio's": f"{BLOCKS_LATER}held = asyncio.create_task(blocks())",
    "a child of a task of asyncio's": f"{BLOCKS_LATER}async def opens():\n{IN_A_GROUP}"
    "held = asyncio.create_task(opens())",
}
THE_ID = "\nprint(held.get_name() if 'held' in globals() and not held.done() else next(iter(session.tasks)))"


def create_subshell(client: Client) -> dict[str, Any]:
    return {"subshell_id": client.request("create_subshell_request", channel="control").reply["subshell_id"]}


@pytest.fixture(params=STARTS)
def blocks(request: pytest.FixtureRequest, backend: str) -> str:
    if "asyncio" in request.param and backend == "trio":
        pytest.skip("asyncio is the other library")
    return STARTS[request.param]


@pytest.mark.parametrize("where", ["main shell", "subshell"])
def test_a_task_that_keeps_the_loop_is_cancelled_by_its_id(client: Client, blocks: str, where: str) -> None:
    header = create_subshell(client) if where == "subshell" else {}
    starting = client.start(blocks + THE_ID, header=header)
    client.printed(starting, "ready")
    task = client.so_far(starting).stdout.split()[0]
    expected = [{"id": task, "kind": "task", "state": "blocking"}]
    assert cancel(client, task_ids=[task])["cancelled"] == expected
    assert client.result(client.start("6 * 7", header=header)).text == "42"
    assert client.so_far(starting).of("error") == []
    if header:
        client.request("delete_subshell_request", header, channel="control")


def test_a_second_interrupt_stops_a_task_that_keeps_the_loop(client: Client, blocks: str) -> None:
    starting = client.start(blocks)
    client.printed(starting, "ready")
    client.interrupt()
    client.interrupt()
    assert client.run("6 * 7").text == "42"
    assert client.so_far(starting).of("error") == []


def test_a_shutdown_stops_a_task_that_keeps_the_loop(own_kernel: KernelProcess, blocks: str) -> None:
    client = own_kernel.client()
    client.printed(client.start(blocks), "ready")
    client.send("shutdown_request", {"restart": False}, channel="control")
    assert own_kernel.exit_code() == 0


def test_a_subshell_is_deleted_while_a_task_keeps_its_loop(client: Client, blocks: str) -> None:
    subshell = create_subshell(client)
    client.printed(client.start(blocks, header=subshell), "ready")
    assert client.request("delete_subshell_request", subshell, channel="control").status == "ok"


def test_what_waits_in_a_deleted_subshell_does_not_run(client: Client) -> None:
    client.run("ran = []")
    subshell = create_subshell(client)
    running = client.start(WAITS, header=subshell)
    client.printed(running, "ready")
    queued = [client.start("ran.append(1)", header=subshell) for _ in range(20)]
    client.request("kernel_info_request")  # so they have come: what is sent on another channel may be faster
    assert client.request("delete_subshell_request", subshell, channel="control").status == "ok"
    assert {client.result(each).status for each in queued} == {"aborted"}
    assert [metadata(client, each)["cause"] for each in (running, *queued)] == ["shutdown"] * 21
    assert client.value("ran") == "[]"


@pytest.mark.parametrize("first", ["# task\n", "# thread\n", "# thread name=kept\n"])
def test_a_second_interrupt_reaches_concurrent_cells_wherever_they_run(own_kernel: KernelProcess, first: str) -> None:
    client = own_kernel.client()
    beside = client.start(f"{first}{WAITS}")
    client.printed(beside, "ready")
    client.interrupt()
    assert not client.so_far(beside).done
    client.interrupt()
    assert client.result(beside).reply["ename"] == "KeyboardInterrupt"
    assert metadata(client, beside)["cause"] == "interrupt"


def test_an_interrupt_of_a_subshell_is_no_first_one_of_another_shell(own_kernel: KernelProcess) -> None:
    client = own_kernel.client()
    subshell = create_subshell(client)
    beside, there, here = client.start(f"# task\n{WAITS}"), client.start(WAITS, header=subshell), client.start(WAITS)
    for each in (beside, there, here):
        client.printed(each, "ready")
    client.result(client.send("interrupt_request", channel="control", **subshell))
    client.interrupt()
    assert [client.result(each).reply["ename"] for each in (there, here)] == ["KeyboardInterrupt"] * 2
    assert not client.so_far(beside).done


def test_cells_that_are_cancelled_together_all_end(client: Client) -> None:
    waiting = [client.start(f"# task\n{WAITS}") for _ in range(3)]
    for each in waiting:
        client.printed(each, "ready")
    blocking = client.start("import time\nprint('ready', flush=True)\ntime.sleep(3600)")
    client.printed(blocking, "ready")
    ids = [waiting[0], blocking, *waiting[1:]]
    states = [each["state"] for each in cancel(client, msg_ids=ids)["cancelled"]]
    assert states == ["awaiting", "blocking", "awaiting", "awaiting"]
    assert [client.result(each).reply["ename"] for each in ids] == ["Cancelled"] * 4


def test_a_scope_is_left_before_a_cell_is_cut_short(client: Client) -> None:
    cell = client.start(
        "import anyio\nwith anyio.CancelScope(shield=True):\n    await anyio.sleep(0.3)\nawait anyio.sleep(3600)",
        metadata={"timeout": 0.1},
    )
    assert client.result(cell).reply["ename"] == "TimeoutError"
    assert client.run("import anyio\nwith anyio.move_on_after(0): await anyio.sleep(3600)\n6 * 7").text == "42"


def test_the_tree_shows_a_child_that_keeps_the_loop(client: Client) -> None:
    cell = client.start(BLOCKS_LATER + IN_A_GROUP.replace("\n    ", "\n").removeprefix("    "))
    client.printed(cell, "ready")
    reply = client.until(
        lambda: (r := client.request("task_tree_request", {"stacks": True}, channel="control").reply)["blocked"] and r,
        "a blocked loop",
    )
    assert (reply["blocked"]["cell"], reply["blocked"]["stack"][-1]["function"]) == (cell, "blocks")
    (child,) = [node for node in _nodes(reply["tree"]) if node["name"] == "blocks"]
    assert (child["state"], child["where"][-1]["function"]) == ("blocking", "blocks")
    client.interrupt()
    assert client.result(cell).reply["ename"] == "KeyboardInterrupt"


def _nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(below for child in node["children"] for below in _nodes(child))]


def test_cancelling_the_sessions_nursery_ends_its_tasks_only(client: Client) -> None:
    client.run("import anyio\nfor _ in range(3): nursery.start_soon(anyio.sleep, 3600)")
    assert client.run("nursery.cancel_scope.cancel()\nawait session.all_ended()\nsession.tasks").text == "{}"
    started = client.run("async def says(): print('said')\nnursery.start_soon(says)\nawait session.all_ended()")
    assert started.stdout == "said\n"
    assert client.run("cell.nursery.start_soon(says)").stdout == "said\n"


def test_a_manager_that_will_not_close_holds_up_no_shutdown(own_kernel: KernelProcess) -> None:
    client = own_kernel.client()
    client.run(
        "import anyio, contextlib\n@contextlib.asynccontextmanager\nasync def stuck():\n    yield\n"
        "    print('ready', flush=True)\n    await anyio.sleep(3600)\nheld = stuck()\nawait session.enter(held)"
    )
    leaving = client.start("await session.exit(held)")
    client.until(lambda: any("ready" in m.msg["content"].get("text", "") for m in client.received), "its leaving")
    client.interrupt()
    assert client.result(leaving).reply["ename"] == "KeyboardInterrupt"
    client.send("shutdown_request", {"restart": False}, channel="control")
    assert own_kernel.exit_code() == 0

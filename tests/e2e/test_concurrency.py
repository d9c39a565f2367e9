"""Cells beside each other, cancelled one by one, bounded and seen: what a client can do with a running kernel."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess

pytestmark = pytest.mark.usefixtures("ours")

WAITS = "import anyio\nprint('ready')\nawait anyio.sleep(3600)"
BLOCKS = "import time\nprint('ready')\nwhile True: pass"


def cancel(client: Client, **ids: Any) -> dict[str, Any]:
    return client.request("cancel_request", ids, channel="control").reply


def metadata(client: Client, msg_id: str) -> dict[str, Any]:
    return client.result(msg_id).replies[0]["metadata"]


# -- beside each other ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first_line", "options"),
    [
        ("# task\n", {}),
        ("", {"tags": ["task"]}),
        ("", {"run_mode": "task"}),
        ("# thread\n", {}),
        ("", {"tags": ["thread"]}),
    ],
)
def test_a_concurrent_cell_runs_while_another_awaits(client: Client, first_line: str, options: dict[str, Any]) -> None:
    waiting = client.start(WAITS)
    client.printed(waiting, "ready")
    beside = client.result(client.start(f"{first_line}import anyio\nawait anyio.sleep(0.01)\n6 * 7", metadata=options))
    assert (beside.status, beside.text) == ("ok", "42")
    assert not client.so_far(waiting).done
    cancel(client, msg_ids=[waiting])
    client.result(waiting)


def test_cells_that_were_sent_together_begin_in_order(client: Client, tmp_path: Path) -> None:
    come = tmp_path / "all have come"
    client.run("began, where = [], __import__('contextvars').ContextVar('where', default='nowhere')")
    blocking = client.start(f"import pathlib, time\nwhile not pathlib.Path({str(come)!r}).exists(): time.sleep(0.01)")
    note = "{}began.append(({}, where.get()))\nwhere.set('cell {}')"
    modes = ["# task\n", "", "# task\n", "# task\n", ""]
    cells = [client.start(note.format(mode, n, n)) for n, mode in enumerate(modes)]
    assert client.request("kernel_info_request").status == "ok"  # so they have come, too
    come.touch()
    for cell in (blocking, *cells):
        assert client.result(cell).status == "ok"
    # Tasks pass by the cells that wait for the blocking one, and each finds an environment of its own.
    assert (
        client.value("[n for n, _ in began if n < 2], [n for n, _ in began if n in (0, 2, 3)]") == "([0, 1], [0, 2, 3])"
    )
    assert client.value("[where for _, where in sorted(began)]") == str(["nowhere"] * 4 + ["cell 1"])


@pytest.mark.parametrize("first_line", ["# task", "# thread", "# thread name=one"])
def test_two_cells_of_one_id_both_run(client: Client, first_line: str) -> None:
    client.run("ran = []")
    for n in range(2):
        client.start(f"{first_line}\nimport anyio; await anyio.sleep(0.05); ran.append({n})", header={"msg_id": "same"})
    client.until(lambda: client.value("sorted(ran)") == "[0, 1]", "both")
    assert client.run(f"{first_line}\n6 * 7").text == "42"


def test_a_cell_in_a_thread_runs_while_another_blocks(client: Client) -> None:
    blocking = client.start(BLOCKS)
    client.printed(blocking, "ready")
    assert client.result(client.start("# thread\nimport time; time.sleep(0.01); 6 * 7")).text == "42"
    client.interrupt()
    client.result(blocking)


def test_cells_of_a_named_thread_share_it(client: Client) -> None:
    which = "# thread name=worker\nimport threading; threading.get_ident()"
    first, second = client.run(which).text, client.run(which).text
    assert first == second
    assert first != client.run("import threading; threading.get_ident()").text


def test_a_thread_can_have_the_other_library(client: Client, backend: str) -> None:
    other = {"trio": "asyncio", "asyncio": "trio"}[backend]
    code = f"# thread backend={other}\nimport sniffio\nsniffio.current_async_library()"
    assert client.run(code).text == repr(other)


def test_execution_counts_stay_unique(client: Client) -> None:
    cells = [client.start(f"# {kind}\nimport anyio; await anyio.sleep(0)") for kind in ("task", "thread") * 10]
    counts = [client.result(cell).reply["execution_count"] for cell in cells]
    assert len(set(counts)) == len(counts)


def test_a_failing_concurrent_cell_aborts_nothing_and_is_not_aborted(client: Client) -> None:
    waiting = client.start(WAITS)
    client.printed(waiting, "ready")
    queued = client.start("'queued'")
    assert client.result(client.start("# task\n1/0")).status == "error"
    cancel(client, msg_ids=[waiting])
    assert client.result(queued).status == "ok"


def test_an_unknown_option_is_named(client: Client) -> None:
    reply = client.run("# thread nmae=x\n1").reply
    assert reply["status"] == "error"
    assert "nmae" in reply["evalue"]


# -- magics --------------------------------------------------------------------------------------------------


def test_a_task_magic_returns_at_once_and_its_handle_can_be_awaited(client: Client) -> None:
    started = client.run("%%task\nimport anyio\nawait anyio.sleep(0.05)\nprint('in the task')\n6 * 7")
    assert client.run("await _").text == "42"
    assert "in the task" in client.so_far(started.msg_id).stdout


@pytest.mark.parametrize("magic", ["%%thread", "%%trio", "%%asyncio"])
def test_magics_that_wait_give_the_value(client: Client, magic: str) -> None:
    assert client.run(f"{magic}\nimport anyio\nawait anyio.sleep(0.01)\n6 * 7").text == "42"
    assert client.run(f"{magic[1:]} 6 * 7").text == "42"


def test_a_magic_on_the_other_library_runs_on_it(client: Client) -> None:
    for library in ("trio", "asyncio"):
        assert client.run(f"%%{library}\nimport sniffio\nsniffio.current_async_library()").text == repr(library)


def test_an_error_in_a_thread_magic_is_shown_once(client: Client) -> None:
    result = client.run("%%thread\n1/0")
    assert result.reply["ename"] == "ZeroDivisionError"
    assert len(result.of("error")) == 1


def test_an_interrupt_reaches_a_blocking_thread_magic(client: Client) -> None:
    running = client.start(f"%%thread\n{BLOCKS}")
    client.printed(running, "ready")
    client.interrupt()
    assert client.result(running).reply["ename"] == "KeyboardInterrupt"


# -- deadlines -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [WAITS, BLOCKS, "import time; time.sleep(3600)"])
@pytest.mark.parametrize("how", ["metadata", "tag", "magic"])
def test_a_deadline_ends_the_cell_with_a_timeout_error(client: Client, body: str, how: str) -> None:
    options = {"metadata": {"timeout": 0.1}, "tag": {"tags": ["timeout=0.1"]}, "magic": {}}[how]
    cell = client.start(f"%%deadline 100ms\n{body}" if how == "magic" else body, metadata=options)
    result = client.result(cell)
    assert (result.status, result.reply["ename"]) == ("error", "TimeoutError")
    assert metadata(client, cell)["cause"] == "deadline"


@pytest.mark.parametrize("mode", ["# task", "# thread"])
def test_a_concurrent_cell_can_have_the_magic_of_a_deadline(client: Client, mode: str) -> None:
    cell = client.start(f"{mode}\n%%deadline 100ms\n{WAITS}")
    assert client.result(cell).reply["ename"] == "TimeoutError"
    assert metadata(client, cell)["cause"] == "deadline"


def test_a_deadline_strikes_once_in_a_cell_that_awaits(client: Client) -> None:
    client.run("import anyio")
    code = "try: await anyio.sleep(3600)\nexcept BaseException:\n    for n in range(9): print(n)"
    cell = client.start(code, metadata={"timeout": 1})
    result = client.result(cell)
    assert (result.status, result.stdout.split()) == ("ok", [str(n) for n in range(9)])
    assert metadata(client, cell)["cause"] == "deadline"


def test_a_bad_deadline_is_named(client: Client) -> None:
    for options, code in (({"timeout": "soon"}, "1"), ({}, "%%deadline soon\n1")):
        reply = client.result(client.start(code, metadata=options)).reply
        assert reply["status"] == "error"
        assert "'soon'" in reply["evalue"]


# -- cancelling ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("body", "state"), [(WAITS, "awaiting"), (BLOCKS, "blocking")])
def test_a_cell_is_cancelled_by_its_message(client: Client, body: str, state: str) -> None:
    cell = client.start(body)
    client.printed(cell, "ready")
    answer = cancel(client, msg_ids=[cell], reason="enough")
    assert answer["cancelled"] == [{"id": cell, "kind": "cell", "state": state}]
    reply = client.result(cell).reply
    assert (reply["status"], reply["ename"], reply["evalue"]) == ("error", "Cancelled", "enough")
    said = metadata(client, cell)
    assert (said["cause"], said["reason"]) == ("cancel", "enough")
    assert said["elapsed_s"] > 0


def test_a_queued_cell_is_cancelled_and_aborts_nothing(client: Client) -> None:
    running = client.start(WAITS)
    client.printed(running, "ready")
    queued, behind = client.start("1", metadata={"cellId": "the-queued-one"}), client.start("'behind'")
    client.request("kernel_info_request")  # the channels are sockets of their own: shell has been read now
    answer = cancel(client, cell_ids=["the-queued-one"])
    assert answer["cancelled"] == [{"id": queued, "kind": "cell", "state": "queued"}]
    reply = client.result(queued).reply
    assert (reply["status"], reply["ename"]) == ("aborted", "Cancelled")
    cancel(client, msg_ids=[running])
    assert client.result(behind).status == "ok"


def test_a_background_task_is_cancelled(client: Client) -> None:
    client.run("import anyio\nasync def task():\n    await anyio.sleep(3600)\nnursery.start_soon(task)")
    task = client.run("next(iter(session.tasks))").text.strip("'")
    assert cancel(client, task_ids=[task])["cancelled"] == [{"id": task, "kind": "task", "state": "awaiting"}]
    client.run("await session.all_ended()")
    assert client.run("session.tasks").text == "{}"


@pytest.mark.parametrize("how", ["cancelled", "interrupted twice"])
def test_a_background_task_that_blocks_is_stopped(client: Client, how: str) -> None:
    starting = client.start(
        "import anyio\nasync def blocks():\n    await anyio.sleep(0)\n    print('ready', flush=True)\n"
        "    while True: pass\nnursery.start_soon(blocks)\nprint(next(iter(session.tasks)))"
    )
    client.printed(starting, "ready")
    task = client.so_far(starting).stdout.split()[0]
    if how == "cancelled":
        expected = [{"id": task, "kind": "task", "state": "blocking"}]
        assert cancel(client, task_ids=[task])["cancelled"] == expected
    else:
        client.interrupt()
        client.interrupt()
    assert client.run("session.tasks").text == "{}"
    assert client.so_far(starting).of("error") == []


def test_unknown_ids_are_listed(client: Client) -> None:
    answer = cancel(client, msg_ids=["a"], cell_ids=["b"], task_ids=["c"], subshell_ids=["d"])
    assert answer == {"status": "ok", "cancelled": [], "unknown": ["a", "b", "c", "d"]}


def test_an_interrupt_leaves_concurrent_cells_alone_and_a_second_does_not(own_kernel: KernelProcess) -> None:
    client = own_kernel.client()
    beside, foreground = client.start(f"# task\n{WAITS}"), client.start(WAITS)
    for cell in (beside, foreground):
        client.printed(cell, "ready")
    client.interrupt()
    assert client.result(foreground).reply["ename"] == "KeyboardInterrupt"
    assert not client.so_far(beside).done
    client.interrupt()
    assert client.result(beside).reply["ename"] == "KeyboardInterrupt"


# -- the session ---------------------------------------------------------------------------------------------


def test_a_cell_waits_for_the_children_in_its_nursery(client: Client) -> None:
    code = (
        "import anyio\nasync def child():\n    await anyio.sleep(0.02)\n    print('child')\n"
        "cell.nursery.start_soon(child)\nprint('code')"
    )
    assert client.run(code).stdout == "code\nchild\n"


def test_a_failing_child_ends_its_cell(client: Client) -> None:
    code = "import anyio\nasync def child():\n    1/0\ncell.nursery.start_soon(child)\nawait anyio.sleep(3600)"
    result = client.run(code)
    assert result.reply["ename"] == "ExceptionGroup"
    assert "ZeroDivisionError" in "\n".join(result.reply["traceback"])


def test_a_failed_background_task_is_shown_in_its_cell_and_kept(client: Client) -> None:
    started = client.run("async def task():\n    raise ValueError('late')\nnursery.start_soon(task)\nimport anyio")
    client.run("await session.all_ended()")
    assert client.so_far(started.msg_id).error == ("ValueError", "late")
    assert "late" in (client.run("session.errors[-1]").text or "")


def test_a_task_can_be_restarted_when_it_fails(client: Client) -> None:
    code = (
        "tries = []\nasync def task():\n    tries.append(1)\n    if len(tries) < 3: raise ValueError\n"
        "nursery.start_soon(task, on_error='restart')"
    )
    client.run(code)
    client.run("await session.all_ended()")
    assert client.run("len(tries)").text == "3"


def test_context_managers_stay_open_across_cells_and_close_last_in_first_out(own_kernel: KernelProcess) -> None:
    client = own_kernel.client()
    client.run(
        "import contextlib, anyio\n@contextlib.asynccontextmanager\nasync def cm(name):\n"
        "    with anyio.CancelScope():\n        yield name\n    print('closed', name)\n"
        "a, b, c = cm('a'), cm('b'), cm('c')"
    )
    entered = client.run("[await session.enter(each) for each in (a, b, c)]")
    assert entered.text == "['a', 'b', 'c']"
    client.run("await session.exit(b)")
    client.send("shutdown_request", {"restart": False}, channel="control")
    assert own_kernel.exit_code() == 0
    client.until(lambda: "closed a" in client.so_far(entered.msg_id).stdout, "the end of the last one")
    assert client.so_far(entered.msg_id).stdout == "closed b\nclosed c\nclosed a\n"


# -- subshells -----------------------------------------------------------------------------------------------


def subshell(client: Client) -> str:
    return client.request("create_subshell_request", channel="control").reply["subshell_id"]


def test_a_subshell_runs_beside_a_blocking_cell_and_shares_its_names(client: Client) -> None:
    client.run("shared = 41")
    there = subshell(client)
    blocking = client.start(BLOCKS)
    client.printed(blocking, "ready")
    assert client.result(client.start("shared + 1", header={"subshell_id": there})).text == "42"
    client.interrupt()
    client.result(blocking)
    client.request("delete_subshell_request", {"subshell_id": there}, channel="control")


def test_deleting_a_subshell_ends_what_runs_there(client: Client) -> None:
    there = subshell(client)
    cell = client.start(WAITS, header={"subshell_id": there})
    client.printed(cell, "ready")
    assert client.request("delete_subshell_request", {"subshell_id": there}, channel="control").reply["status"] == "ok"
    assert client.result(cell).reply["ename"] == "Cancelled"
    assert client.result(client.start("1", header={"subshell_id": there})).status == "error"


def test_fifty_subshells_leave_no_thread(client: Client) -> None:
    threads = "import threading; threading.active_count()"
    before = client.run(threads).text
    for there in [subshell(client) for _ in range(50)]:
        assert client.result(client.start("1", header={"subshell_id": there})).status == "ok"
        client.request("delete_subshell_request", {"subshell_id": there}, channel="control")
    assert client.run(threads).text == before


# -- seeing it -----------------------------------------------------------------------------------------------


def test_the_task_tree_shows_where_each_waits(client: Client) -> None:
    cell = client.start(
        "# task\nimport anyio\nasync def sleeper():\n    print('ready')\n    await anyio.sleep(3600)\nawait sleeper()"
    )
    client.printed(cell, "ready")

    def node() -> dict[str, Any]:
        reply = client.request("task_tree_request", {"stacks": True, "subtree": cell}, channel="control").reply
        return reply["tree"]

    client.until(lambda: node()["state"] == "awaiting", "the cell's await")
    found = [node()]
    assert found[0]["kind"] == "cell"
    assert (found[0]["where"][-1]["function"], found[0]["where"][-1]["line"]) == ("sleeper", 5)
    cancel(client, msg_ids=[cell])
    client.result(cell)


def test_the_task_tree_is_there_while_the_loop_is_blocked(client: Client) -> None:
    cell = client.start("import time\nprint('ready')\nt = time.monotonic()\nwhile True: time.sleep(0.01)")
    client.printed(cell, "ready")
    reply = client.until(
        lambda: (r := client.request("task_tree_request", {}, channel="control").reply)["blocked"] and r,
        "a blocked loop",
    )
    assert reply["blocked"]["cell"] == cell
    assert reply["blocked"]["stack"][-1]["line"] == 4
    client.interrupt()
    client.result(cell)


def test_the_task_tree_says_where_a_callback_of_a_comm_blocks_the_loop(client: Client) -> None:
    client.run(
        "import threading, time\non = threading.Event()\n"
        "def keeps_it(comm, msg):\n    while not on.is_set(): time.sleep(0.01)\n"
        "get_ipython().kernel.comm_manager.register_target('keeps it', keeps_it)"
    )
    opening = client.send("comm_open", {"comm_id": uuid.uuid4().hex, "target_name": "keeps it", "data": {}})
    client.until(lambda: any(m["msg_type"] == "status" for m in client.so_far(opening).iopub), "busy")
    blocked = client.request("task_tree_request", {}, channel="control").reply["blocked"]
    assert (blocked["cell"], blocked["stack"][0]["function"].rpartition(".")[2]) == (None, "keeps_it")
    assert blocked["seconds"] >= 1
    client.run("# thread\non.set()")
    assert client.run("6 * 7").text == "42"
    client.until(
        lambda: client.request("task_tree_request", {}, channel="control").reply["blocked"] is None, "a loop that turns"
    )


def test_the_live_tree_updates_one_display_of_a_notebook(client: Client) -> None:
    looking = client.start("%tasks --live", metadata={"cellId": "a-cell"})
    client.until(lambda: len(client.so_far(looking).of("update_display_data")) > 1, "updates")
    client.interrupt()
    result = client.result(looking)
    assert len(result.of("display_data")) == 1
    assert "clear_output" not in result.kinds
    assert "\x1b" not in result.of("display_data")[0]["data"]["text/plain"]


def test_the_live_tree_is_drawn_over_the_one_before_in_a_console(client: Client) -> None:
    looking = client.start("%tasks --live")
    client.until(lambda: len(client.so_far(looking).of("display_data")) > 1, "a second picture")
    client.interrupt()
    first, second, *_ = (each["data"]["text/plain"] for each in client.result(looking).of("display_data"))
    lines = first.count("\n") + 1
    assert second.startswith(f"\x1b[{lines}A\r\x1b[J")  # so many lines up, and all below is erased
    assert client.result(looking).of("update_display_data") == []


def test_tasks_is_text_and_html(client: Client) -> None:
    data = client.run("%tasks").of("display_data")[0]["data"]
    assert set(data) == {"text/plain", "text/html"}
    (looking,) = [line for line in data["text/plain"].splitlines() if "%tasks" in line]
    assert "[running" in looking  # and not blocking: it is the one that looks
    assert "<b>%tasks</b>" in data["text/html"]

"""What a client sees of its messages: order, parents, replies, on shell and on control, also while a cell blocks."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess
    from tests.e2e.harness.snippets import Snippets

# A cell that blocks its loop until the client answers: it holds no lock and ends at once when it may.
BLOCK = "import os, tempfile, time\nprint('ready', flush=True)\nwhile not os.path.exists({path!r}): time.sleep(0.01)"


@pytest.fixture
def blocked(client: Client, tmp_path: Any) -> Any:
    """A cell is blocking the shell's loop; it ends with the test."""
    path = tmp_path / "go on"
    msg_id = client.start(BLOCK.format(path=str(path)))
    client.printed(msg_id, "ready")
    yield msg_id
    path.touch()
    assert client.result(msg_id).status == "ok"


# -- order and parents -------------------------------------------------------------------------------------------


def test_outputs_are_between_busy_and_idle_in_program_order(client: Client) -> None:
    result = client.run("import sys\nprint(1)\ndisplay(2)\nprint(3)\nprint(4, file=sys.stderr)\nprint(5)\n6")
    assert result.kinds == [
        "busy", "execute_input", "stdout", "display_data", "stdout", "stderr", "stdout", "execute_result", "idle",
    ]  # fmt: skip
    assert [r.channel for r in result.received].count("shell") == 1
    assert result.stdout == "1\n3\n5\n"


def test_the_error_of_a_cell_is_shown_and_replied(client: Client) -> None:
    result = client.run("print('before')\n1 / 0")
    assert result.kinds == ["busy", "execute_input", "stdout", "error", "idle"]
    assert result.error == ("ZeroDivisionError", "division by zero")
    reply = result.reply
    assert (reply["status"], reply["ename"], reply["evalue"]) == ("error", "ZeroDivisionError", "division by zero")
    assert "1 / 0" in re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(reply["traceback"]))
    assert reply["traceback"] == result.of("error")[0]["traceback"]


def test_every_message_of_a_cell_has_its_header_as_parent(client: Client) -> None:
    first, second = client.start("print('a'); display(1)"), client.start("print('b'); 2")
    results = [client.result(first), client.result(second)]
    assert [result.stdout for result in results] == ["a\n", "b\n"]
    for result in results:
        for msg in result.iopub + result.replies:
            assert msg["parent_header"]["msg_id"] == result.msg_id
            assert msg["parent_header"]["session"] == client.kc.session.session
            assert msg["parent_header"]["msg_type"] == "execute_request"


def test_a_cell_is_idle_before_the_next_is_busy(client: Client) -> None:
    ids = [client.start(f"print({n})") for n in range(5)]
    for msg_id in ids:
        client.result(msg_id)
    seen = [(r.parent_id, r.kind) for r in client.received if r.parent_id in ids and r.kind in ("busy", "idle")]
    assert seen == [(msg_id, state) for msg_id in ids for state in ("busy", "idle")]


def test_the_first_status_is_starting(start: Callable[..., KernelProcess], ours: None) -> None:
    # A client that is connected before the kernel has bound its sockets misses nothing.
    kernel = start()
    client = kernel.client(ready=False)
    client.until(lambda: any(r.kind == "starting" for r in client.received), "status starting")
    statuses = [r.kind for r in client.received if r.msg["msg_type"] == "status"]
    assert statuses[0] == "starting"
    assert [r.msg["content"]["subscription"] for r in client.received if r.kind == "iopub_welcome"] == [""]


def test_no_request_is_served_before_the_kernel_has_been_prepared(
    start: Callable[..., KernelProcess], ours: None
) -> None:
    lines = ["import time", "time.sleep(0.5)", "prepared = True"]
    client = start(f"--InteractiveShellApp.exec_lines={lines}").client(ready=False)
    assert client.run("prepared").text == "True"


def test_every_subscriber_is_welcomed_on_its_topic(kernel: KernelProcess, ours: None) -> None:
    for _ in range(2):
        client = kernel.client()
        client.kc.iopub_channel.socket.subscribe(b"kernel.")
        client.until(
            lambda c=client: [
                r for r in c.received if r.kind == "iopub_welcome" and r.msg["content"]["subscription"] == "kernel."
            ],
            "welcome for the narrow topic",
        )
        assert [r.msg["content"]["subscription"] for r in client.received if r.kind == "iopub_welcome"] == [
            "",
            "kernel.",
        ]


# -- replies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["shell", "control"])
def test_kernel_info(client: Client, channel: str, ours: None) -> None:
    result = client.request("kernel_info_request", channel=channel)
    reply = result.reply
    assert result.kinds == ["busy", "idle"]
    assert reply["status"] == "ok"
    assert reply["protocol_version"].startswith("5.")
    assert reply["implementation"] == "async-trio"
    assert reply["language_info"]["name"] == "python"
    assert reply["language_info"]["file_extension"] == ".py"
    assert reply["language_info"]["mimetype"] == "text/x-python"
    assert reply["banner"]
    assert reply["implementation_version"]
    assert all(set(link) == {"text", "url"} for link in reply["help_links"])


@pytest.mark.parametrize("channel", ["shell", "control"])
def test_kernel_info_is_answered_while_a_cell_blocks(client: Client, blocked: str, channel: str, ours: None) -> None:
    assert client.request("kernel_info_request", channel=channel).status == "ok"
    assert not client.so_far(blocked).done


@pytest.mark.parametrize(
    ("msg_type", "content"),
    [
        ("complete_request", {"code": "pri", "cursor_pos": 3}),
        ("inspect_request", {"code": "print", "cursor_pos": 5, "detail_level": 0}),
        ("is_complete_request", {"code": "1"}),
        ("history_request", {"hist_access_type": "tail", "n": 1, "raw": True, "output": False}),
        ("comm_info_request", {}),
        ("connect_request", {}),
        ("usage_request", {}),
    ],
)
def test_questions_are_answered_while_a_cell_blocks(
    client: Client, blocked: str, msg_type: str, content: Any, ours: None
) -> None:
    result = client.request(msg_type, content)
    assert result.status != "error"
    assert result.kinds == ["busy", "idle"]
    assert not client.so_far(blocked).done


def test_complete(client: Client) -> None:
    client.run("class Fruit:\n    def peel(self): ...\n    weight = 1\nfruit = Fruit()")
    reply = client.request("complete_request", {"code": "x = fruit.pe", "cursor_pos": 12}).reply
    assert (reply["status"], reply["cursor_start"], reply["cursor_end"]) == ("ok", 10, 12)
    assert reply["matches"] == ["peel"]
    types = reply["metadata"]["_jupyter_types_experimental"]
    assert [(t["start"], t["end"], t["text"], t["type"]) for t in types] == [(10, 12, "peel", "function")]


def test_completion_positions_are_in_unicode_characters(client: Client) -> None:
    code = "'😀'; pri"
    reply = client.request("complete_request", {"code": code, "cursor_pos": len(code)}).reply
    assert "print" in reply["matches"]
    assert (reply["cursor_start"], reply["cursor_end"]) == (5, 8)


@pytest.mark.parametrize("position", [-1, 4, 1000])
def test_a_cursor_outside_of_the_code_is_at_its_end(client: Client, position: int) -> None:
    # JupyterLab asks so, now and then, while its user types.
    for msg_type in ("complete_request", "inspect_request"):
        content = {"code": "pri", "cursor_pos": position, "detail_level": 0}
        assert client.request(msg_type, content).status == "ok"


@pytest.mark.parametrize(("level", "present"), [(0, "Docstring"), (1, "Source")])
def test_inspect(client: Client, level: int, present: str) -> None:
    client.run("def peel(fruit):\n    'Take the peel off.'\n    return fruit")
    reply = client.request("inspect_request", {"code": "peel(1)", "cursor_pos": 3, "detail_level": level}).reply
    assert (reply["status"], reply["found"]) == ("ok", True)
    assert present in reply["data"]["text/plain"]


def test_inspect_leaves_sections_out(client: Client) -> None:
    content = {"code": "print", "cursor_pos": 3, "detail_level": 0}
    reply = client.request("inspect_request", content).reply
    assert "Docstring" in reply["data"]["text/plain"]
    reply = client.request("inspect_request", {**content, "omit_sections": ["docstring"]}).reply
    assert reply["found"]
    assert "Docstring" not in reply["data"]["text/plain"]


def test_inspect_of_nothing(client: Client) -> None:
    reply = client.request(
        "inspect_request", {"code": "nothing_of_this_name", "cursor_pos": 5, "detail_level": 0}
    ).reply
    assert reply == {"status": "ok", "found": False, "data": {}, "metadata": {}}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("1", {"status": "complete"}),
        ("for i in range(3):", {"status": "incomplete", "indent": "    "}),
        ("async with x:\n    await y", {"status": "incomplete", "indent": "    "}),
        ("x = = 2", {"status": "invalid"}),
        ("await x", {"status": "complete"}),
    ],
)
def test_is_complete(client: Client, code: str, expected: dict[str, str]) -> None:
    assert client.request("is_complete_request", {"code": code}).reply == expected


def test_history(client: Client) -> None:
    client.run("apple = 1")
    client.run("apple + 1")
    session, line = json.loads(
        client.value("'[%d, %d]' % (get_ipython().history_manager.session_number, 0)").strip("'")
    )
    number = client.run("None").reply["execution_count"]

    def ask(**content: Any) -> list[Any]:
        base = {
            "raw": True,
            "output": False,
            "session": 0,
            "start": 0,
            "stop": None,
            "n": None,
            "pattern": "*",
            "unique": False,
        }
        return client.request("history_request", base | content).reply["history"]

    assert ask(hist_access_type="range", start=number - 2, stop=number)[-1][1:] == [number - 1, "apple + 1"]
    assert [number - 1, ["apple + 1", "2"]] in [
        e[1:] for e in ask(hist_access_type="range", start=number - 2, stop=number, output=True)
    ]
    assert "apple + 1" in [entry[2] for entry in ask(hist_access_type="tail", n=5)]
    assert {entry[2] for entry in ask(hist_access_type="search", pattern="apple*")} == {"apple = 1", "apple + 1"}
    client.run("apple + 1")
    found = ask(hist_access_type="search", pattern="apple + 1", unique=True)
    assert [entry[2] for entry in found] == ["apple + 1"]
    assert found[0][0] == session
    del line


def test_comm_info_and_comm_messages(client: Client) -> None:
    client.run(
        "from comm import get_comm_manager, create_comm\ngot = []\n"
        "def opened(comm, msg):\n    comm.on_msg(lambda msg: comm.send({'echo': msg['content']['data']}))\n"
        "get_comm_manager().register_target('echo', opened)"
    )
    opened = client.send("comm_open", {"comm_id": "c1", "target_name": "echo", "data": {}})
    assert client.idle(opened).kinds == ["busy", "idle"]
    assert client.request("comm_info_request", {"target_name": "echo"}).reply["comms"] == {
        "c1": {"target_name": "echo"}
    }
    assert client.request("comm_info_request", {"target_name": "other"}).reply["comms"] == {}
    sent = client.send("comm_msg", {"comm_id": "c1", "data": {"x": 1}})
    result = client.idle(sent)
    assert [content["data"] for content in result.of("comm_msg")] == [{"echo": {"x": 1}}]
    client.idle(client.send("comm_close", {"comm_id": "c1", "data": {}}))
    assert client.request("comm_info_request").reply["comms"] == {}


def test_a_comm_opened_by_a_cell_has_the_cell_as_parent(client: Client) -> None:
    result = client.run("from comm import create_comm\nc = create_comm(target_name='t', data={'a': 1}); c.close()")
    assert result.kinds == ["busy", "execute_input", "comm_open", "comm_close", "idle"]


def test_connect_request_says_where_the_sockets_are(client: Client) -> None:
    reply = client.request("connect_request").reply
    expected = {
        f"{name}_port": getattr(client.kc, f"{name}_port") for name in ("shell", "iopub", "stdin", "control", "hb")
    }
    assert {name: reply[name] for name in expected} == expected


@pytest.mark.parametrize("channel", ["shell", "control"])
def test_usage(client: Client, kernel: KernelProcess, channel: str, ours: None) -> None:
    reply = client.request("usage_request", channel=channel).reply
    assert reply["pid"] == kernel.pid
    assert reply["kernel_memory"] > 10_000_000
    assert reply["kernel_cpu"] >= 0
    assert reply["cpu_count"] == os.cpu_count()
    assert {"host_cpu_percent", "host_virtual_memory"} <= set(reply)


@pytest.mark.parametrize("channel", ["shell", "control"])
def test_an_unknown_message_type_breaks_nothing(client: Client, kernel: KernelProcess, channel: str) -> None:
    result = client.idle(client.send("peel_request", {"fruit": "apple"}, channel=channel))
    assert result.kinds == ["busy", "idle"]
    assert client.run("1").text == "1"
    assert "peel_request" in kernel.log


def test_reply_metadata(client: Client) -> None:
    for code, status in (("1", "ok"), ("1/0", "error")):
        (reply,) = client.run(code).replies
        metadata = reply["metadata"]
        assert metadata["status"] == status
        assert metadata["dependencies_met"] is True
        assert metadata["started"]
        assert metadata["engine"]


def test_messages_with_wrong_content_are_answered_with_an_error(client: Client, ours: None) -> None:
    assert client.request("execute_request", {}).status == "error"
    assert client.request("execute_request", {"code": 3}).status == "error"
    assert client.request("complete_request", {"code": "a", "cursor_pos": "x"}).status == "error"
    assert client.request("inspect_request", {"code": None}).status == "error"
    assert client.request("history_request", {"hist_access_type": "sideways"}).status == "error"
    assert client.run("1").text == "1"


def test_an_unknown_subshell_is_an_error(client: Client) -> None:
    msg_id = client.send("execute_request", {"code": "leaked = 1", "silent": False}, subshell_id="nobody")
    assert client.result(msg_id).status == "error"
    assert client.value("'leaked' in globals()") == "False"


def test_completion_works_while_a_cell_awaits(client: Client, snippets: Snippets) -> None:
    waiting = client.start(f"print('ready')\nawait {snippets.wait_forever}")
    client.printed(waiting, "ready")
    try:
        assert "print" in client.request("complete_request", {"code": "pri", "cursor_pos": 3}).reply["matches"]
    finally:
        client.interrupt()
        client.result(waiting)

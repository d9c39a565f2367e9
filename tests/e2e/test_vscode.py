"""What VS Code's Jupyter extension sends, in its order; the extension itself needs VS Code."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.e2e.harness.client import Client, Result
    from tests.e2e.harness.snippets import Snippets

SILENT = {"silent": False, "store_history": False, "allow_stdin": True, "stop_on_error": False}
"""What the extension calls silent; other front ends' probes are silent as the protocol means it."""

STARTUP = [
    "import os as _VSCODE_os\nimport sys as _VSCODE_sys\n_VSCODE_folder = _VSCODE_os.getcwd()\n"
    "if _VSCODE_folder not in _VSCODE_sys.path:\n    _VSCODE_sys.path.insert(0, _VSCODE_folder)\n"
    "del _VSCODE_os, _VSCODE_sys, _VSCODE_folder",
    "%config Completer.use_jedi = False",
    "try:\n    import matplotlib as _VSCODE_mpl\n    %config InlineBackend.figure_formats = ['png']\n"
    "    del _VSCODE_mpl\nexcept Exception:\n    pass",
]

VARIABLES = """
def _VSCODE_variables():
    import json as _VSCODE_json
    names = [name for name in globals() if not name.startswith("_")]
    print(_VSCODE_json.dumps([{"name": name, "type": type(globals()[name]).__name__} for name in names]))
try:
    _VSCODE_variables()
finally:
    del _VSCODE_variables
"""


def variables(result: Result) -> dict[str, str]:
    return {each["name"]: each["type"] for each in json.loads(result.stdout)}


def interrupt(client: Client) -> None:
    assert client.interrupt().status == "ok"


def begin(client: Client, code: str) -> str:
    running = client.start(code)
    client.until(lambda: "execute_input" in client.so_far(running).kinds, "the cell's start")
    return running


def test_it_asks_who_is_there_on_both_channels_at_once(client: Client) -> None:
    asked = [client.send("kernel_info_request", channel=channel) for channel in ("shell", "control")]
    answers = [client.result(msg_id) for msg_id in asked]
    assert [r.reply["language_info"]["name"] for r in answers] == ["python", "python"]
    assert [r.replies[0]["parent_header"]["msg_id"] for r in answers] == asked


def test_its_startup_code_leaves_no_trace(client: Client) -> None:
    count = client.run("1").reply["execution_count"]
    for code in STARTUP:
        result = client.run(code, **SILENT)
        assert (result.status, result.kinds) == ("ok", ["busy", "execute_input", "idle"])
    assert client.run("1").reply["execution_count"] == count + 1
    assert "_VSCODE" not in client.value("[name for name in globals() if 'VSCODE' in name]")


@pytest.mark.parametrize("silent", [False, True])
def test_a_probe_prints_what_it_finds(client: Client, silent: bool) -> None:
    client.run("number, text = 1, 'a'")
    probe = client.run(VARIABLES, **{**SILENT, "silent": silent})
    assert {"number": "int", "text": "str"}.items() <= variables(probe).items()
    assert probe.kinds == ["busy", *([] if silent else ["execute_input"]), "stdout", "idle"]


def test_a_probe_has_its_value_and_takes_no_number(client: Client) -> None:
    count = client.run("'counted'").reply["execution_count"]
    probe = client.run("6 * 7", **SILENT)
    assert (probe.text, probe.reply["execution_count"]) == ("42", count)
    assert client.run("'counted'").reply["execution_count"] == count + 1
    assert "6 * 7" not in client.value("In[-3:]")


def test_a_probe_that_fails_aborts_nothing(client: Client) -> None:
    probe, cell = client.start("1 / 0", **SILENT), client.start("'ran'")
    assert client.result(probe).error == ("ZeroDivisionError", "division by zero")
    assert client.result(cell).text == "'ran'"


def test_it_completes_and_inspects_while_a_cell_is_busy(client: Client) -> None:
    client.run("import time, threading\nstop = threading.Event()")
    running = begin(client, "stop.wait()")
    complete = client.request("complete_request", {"code": "threading.Thr", "cursor_pos": 13})
    assert "Thread" in str(complete.reply["matches"])
    inspected = client.request("inspect_request", {"code": "stop", "cursor_pos": 4, "detail_level": 0})
    assert inspected.reply["found"] is True
    assert not client.so_far(running).done
    interrupt(client)
    assert client.result(running).reply["ename"] == "KeyboardInterrupt"


AWAITS = """
import anyio
async def say():
    print("awaits")
async with anyio.create_task_group() as group:
    group.start_soon(say)
    await anyio.sleep_forever()
"""
"""A cell that prints once it awaits."""


def test_a_probe_evaluates_expressions_beside_a_waiting_cell(client: Client) -> None:
    client.run("table = [[1, 2], [3, 4]]")
    running = client.start(AWAITS)
    client.printed(running, "awaits")
    expressions = {"shape": "len(table), len(table[0])", "gone": "nowhere"}
    probe = client.run("", silent=True, store_history=False, user_expressions=expressions)
    found = probe.reply["user_expressions"]
    assert found["shape"]["data"]["text/plain"] == "(2, 2)"
    assert (found["gone"]["status"], found["gone"]["ename"]) == ("error", "NameError")
    assert probe.kinds == ["busy", "idle"]
    assert not client.so_far(running).done
    interrupt(client)
    assert client.result(running).reply["ename"] == "KeyboardInterrupt"


def test_it_asks_for_the_interpreter_of_the_kernel(client: Client) -> None:
    code = "import sys as _VSCODE_sys\nprint(_VSCODE_sys.executable); del _VSCODE_sys"
    assert client.run(code, **SILENT).stdout == f"{sys.executable}\n"


def test_it_asks_for_history_and_help_while_a_cell_blocks(client: Client) -> None:
    client.run("import threading\nstop = threading.Event()")
    running = begin(client, "stop.wait()")
    history = client.request("history_request", {"hist_access_type": "tail", "raw": True, "output": False, "n": 2})
    assert history.reply["history"][-1][2] == "stop.wait()"
    help_text = client.request("inspect_request", {"code": "stop.wait(", "cursor_pos": 10, "detail_level": 1})
    assert "Block until" in help_text.reply["data"]["text/plain"]
    complete = client.request("is_complete_request", {"code": "for a in b:"})
    assert complete.reply["status"] == "incomplete"
    interrupt(client)
    assert client.result(running).reply["ename"] == "KeyboardInterrupt"


@pytest.mark.parametrize("wait", ["__import__('time').sleep(3600)", "while True: pass", "await"])
def test_versions_before_2026_interrupt_on_the_shell_channel(client: Client, snippets: Snippets, wait: str) -> None:
    # https://github.com/microsoft/vscode-jupyter/issues/17143; the answer overtakes the cell and those behind it.
    running = begin(client, f"await {snippets.wait_forever}" if wait == "await" else wait)
    queued = client.start("'queued'")
    assert client.request("interrupt_request", {}, channel="shell").status == "ok"
    assert client.result(running).reply["ename"] == "KeyboardInterrupt"
    assert client.result(queued).status in ("aborted", "ok")
    assert client.run("'next'").text == "'next'"


def test_a_second_interrupt_and_one_without_a_cell_do_no_harm(client: Client) -> None:
    for _ in range(2):
        interrupt(client)
    running = begin(client, "__import__('time').sleep(3600)")
    asked = [client.send("interrupt_request", channel="control") for _ in range(3)]
    assert client.result(running).reply["ename"] == "KeyboardInterrupt"
    assert [client.result(msg_id).status for msg_id in asked] == ["ok"] * 3
    assert client.run("'next'").text == "'next'"


def test_it_interrupts_by_message_and_goes_on(client: Client) -> None:
    for code in ("import time; time.sleep(3600)", "while True: pass"):
        running = begin(client, code)
        queued = client.start("'queued'")
        interrupt(client)
        assert client.result(running).reply["ename"] == "KeyboardInterrupt"
        assert client.result(queued).status in ("aborted", "ok")
    assert client.run("'next'").text == "'next'"


def test_it_probes_in_a_subshell_while_a_cell_blocks(client: Client) -> None:
    client.run("import threading\nstop = threading.Event()\nnumber = 1")
    assert "kernel subshells" in client.request("kernel_info_request").reply["supported_features"]
    made: Any = client.request("create_subshell_request", channel="control")
    subshell = made.reply["subshell_id"]
    running = begin(client, "stop.wait()")
    probe = client.result(client.start(VARIABLES, **SILENT, header={"subshell_id": subshell}))
    assert variables(probe)["number"] == "int"
    client.result(client.start("stop.set()", header={"subshell_id": subshell}))
    assert client.result(running).status == "ok"
    deleted = client.request("delete_subshell_request", {"subshell_id": subshell}, channel="control")
    assert deleted.status == "ok"


def test_it_restores_widgets_of_a_running_kernel(client: Client) -> None:
    client.run("import ipywidgets\nslider = ipywidgets.IntSlider(value=7)")
    comms = client.request("comm_info_request", {"target_name": "jupyter.widget"}).reply["comms"]
    assert client.value("slider.model_id").strip("'") in comms
    target = {"comm_id": "vs", "target_name": "jupyter.widget.control", "data": {}}
    client.idle(client.send("comm_open", target, metadata={"version": "1.0.0"}))
    asked = client.idle(client.send("comm_msg", {"comm_id": "vs", "data": {"method": "request_states"}}))
    (answer,) = asked.of("comm_msg")
    assert 7 in [model["state"].get("value") for model in answer["data"]["states"].values()]

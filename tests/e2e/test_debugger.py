"""The debugger, with debugpy itself: what JupyterLab asks, and where a breakpoint stops what runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.harness.debugging import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess
    from tests.e2e.harness.snippets import Snippets

pytestmark = pytest.mark.usefixtures("ours")

CELL = """\
def double(number):
    result = number * 2
    return result

answer = double(21)
print(answer)
"""


@pytest.fixture
def session(client: Client) -> Generator[Session]:
    """A front end of a kernel that the tests share."""
    session = Session(client)
    yield session
    session.ask("disconnect")


@pytest.fixture
def attached(session: Session) -> Session:
    session.attach()
    return session


@pytest.fixture
def alone(own_kernel: KernelProcess) -> Session:
    """A front end of a kernel that the test may end."""
    session = Session(own_kernel.client())
    session.attach()
    return session


def test_it_is_announced_and_starts_with_the_first_session(own_kernel: KernelProcess) -> None:
    session = Session(own_kernel.client())
    info = session.client.request("kernel_info_request").reply
    assert (info["debugger"], "debugger" in info["supported_features"]) == (True, True)
    assert session.client.value("'debugpy' in __import__('sys').modules") == "False"
    assert session.body("debugInfo")["isStarted"] is False
    session.attach()
    assert session.body("debugInfo")["isStarted"] is True


def test_a_cell_stops_at_its_breakpoint_and_is_stepped_through(attached: Session) -> None:
    path = attached.breakpoints(CELL, 5)
    assert attached.body("debugInfo")["breakpoints"] == [{"source": path, "breakpoints": [{"line": 5}]}]
    cell = attached.client.start(CELL)
    thread, stack = attached.stopped()
    assert [(frame["line"], frame["source"]["path"]) for frame in stack] == [(5, path)]
    assert attached.body("debugInfo")["stoppedThreads"] == [thread]
    attached.body("stepIn", threadId=thread)
    thread, stack = attached.stopped()
    assert [(frame["name"], frame["line"]) for frame in stack] == [("double", 2), ("<module>", 5)]
    attached.body("next", threadId=thread)
    thread, stack = attached.stopped()
    assert attached.locals(stack[0]) == {"number": "21", "result": "42"}
    assert attached.body("evaluate", expression="result + 1", frameId=stack[0]["id"])["result"] == "43"
    attached.body("stepOut", threadId=thread)
    assert attached.line() in (5, 6)
    attached.body("continue", threadId=thread)
    assert attached.client.result(cell).stdout == "42\n"
    assert attached.body("debugInfo")["stoppedThreads"] == []


def test_stepping_over_await_stays_in_the_cell(attached: Session, snippets: Snippets) -> None:
    code = f"before = 1\nawait {snippets.sleep}\nafter = 2\n"
    attached.breakpoints(code, 1)
    cell = attached.client.start(code)
    for line in (1, 2, 3):
        thread, stack = attached.stopped()
        assert [frame["line"] for frame in stack] == [line]
        attached.body("next", threadId=thread)
    assert attached.client.result(cell).status == "ok"


PLACES = {
    "concurrent cell": ("# task\nx = 1\ny = 2\n", 3, ""),
    "thread cell": ("# thread\nx = 1\ny = 2\n", 3, ""),
    "background task": ("async def work():\n    x = 1\n    y = 2\nnursery.start_soon(work)\n", 3, ""),
    "thread": (
        "import threading\ndef work():\n    x = 1\n    y = 2\nt = threading.Thread(target=work)\nt.start()\n",
        4,
        "t.join()",
    ),
    "child": ("async def work():\n    x = 1\n    y = 2\ncell.nursery.start_soon(work)\n", 3, ""),
}


@pytest.mark.parametrize("place", PLACES)
def test_it_stops_wherever_code_of_cells_runs(attached: Session, place: str) -> None:
    code, line, afterwards = PLACES[place]
    attached.breakpoints(code, line)
    cell = attached.client.start(code)
    thread, stack = attached.stopped()
    assert (stack[0]["line"], attached.locals(stack[0]).get("x")) == (line, "1")
    attached.body("continue", threadId=thread)
    assert attached.client.result(cell).status == "ok"
    assert attached.client.run(afterwards).status == "ok"


def test_a_subshell_stops(attached: Session) -> None:
    subshell = attached.client.request("create_subshell_request", channel="control").reply["subshell_id"]
    attached.breakpoints("x = 1\ny = 2\n", 2)
    cell = attached.client.start("x = 1\ny = 2\n", header={"subshell_id": subshell})
    thread, stack = attached.stopped()
    assert stack[0]["line"] == 2
    attached.body("continue", threadId=thread)
    assert attached.client.result(cell).status == "ok"


def test_an_imported_module_stops(attached: Session, tmp_path: Path) -> None:
    module = tmp_path / "their_module.py"
    module.write_text("def triple(n):\n    m = 3 * n\n    return m\n", "utf-8")
    attached.client.run(f"import sys; sys.path.insert(0, {str(tmp_path)!r})")
    attached.body("setBreakpoints", source={"path": str(module)}, breakpoints=[{"line": 3}])
    cell = attached.client.start("from their_module import triple\ntriple(14)")
    thread, stack = attached.stopped()
    assert (stack[0]["source"]["path"], attached.locals(stack[0])["m"]) == (str(module), "42")
    assert attached.body("source", source={"path": str(module)})["content"] == module.read_text("utf-8")
    attached.body("continue", threadId=thread)
    assert attached.client.result(cell).text == "42"


def test_an_exception_stops_when_it_is_asked_for(attached: Session) -> None:
    code = "x = 1\n1 / 0\n"
    attached.breakpoints(code)
    attached.body("setExceptionBreakpoints", filters=["raised"])
    cell = attached.client.start(code)
    thread, stack = attached.stopped()
    assert stack[0]["line"] == 2
    assert "ZeroDivisionError" in attached.body("exceptionInfo", threadId=thread)["exceptionId"]
    attached.body("continue", threadId=thread)
    assert attached.client.result(cell).error == ("ZeroDivisionError", "division by zero")


def test_the_kernels_own_threads_are_not_seen(attached: Session) -> None:
    names = {each["name"] for each in attached.body("threads")["threads"]}
    assert "MainThread" in names
    assert not {"history", "helper", "completer"} & names
    assert not any(name.startswith("async-kernel") for name in names)


def test_everything_else_is_answered_while_a_cell_is_stopped(attached: Session) -> None:
    attached.breakpoints(CELL, 5)
    cell = attached.client.start(CELL)
    thread, _ = attached.stopped()
    client = attached.client
    assert client.request("kernel_info_request", channel="control").status == "ok"
    assert client.request("complete_request", {"code": "pri", "cursor_pos": 3}).status == "ok"
    assert client.request("task_tree_request", {"stacks": True}, channel="control").status == "ok"
    attached.body("continue", threadId=thread)
    assert client.result(cell).status == "ok"


# -- variables -------------------------------------------------------------------------------------------


def test_variables_are_shown_while_nothing_is_stopped(session: Session) -> None:
    session.client.run("numbers = {'one': [1, 11]}\nclass Point: pass\npoint = Point()\npoint.x = 5")
    shown = {each["name"]: each for each in session.body("inspectVariables")["variables"]}
    types = {name: shown[name]["type"] for name in ("Point", "numbers", "point")}
    assert types == {"Point": "type", "numbers": "dict", "point": "Point"}

    def parts(variable: dict[str, Any]) -> dict[str, dict[str, Any]]:
        body = session.body("variables", variablesReference=variable["variablesReference"])
        return {each["name"]: each for each in body["variables"]}

    ones = parts(shown["numbers"])["'one'"]
    assert [each["value"] for each in parts(ones).values()] == ["1", "11"]
    assert parts(shown["point"])["x"]["value"] == "5"


def test_variables_that_were_shown_before_are_refused(session: Session) -> None:
    session.client.run("numbers = [1, 2]")
    (shown,) = [each for each in session.body("inspectVariables")["variables"] if each["name"] == "numbers"]
    session.client.run("%reset -f")
    session.body("inspectVariables")
    assert "look at the variables again" in session.refusal("variables", variablesReference=shown["variablesReference"])


RICH = "class Rich:\n    def _repr_html_(self): return '<b>rich</b>'\n"


def test_a_variable_is_shown_as_a_notebook_would(session: Session) -> None:
    session.client.run(RICH + "rich = Rich()")
    assert session.body("richInspectVariables", variableName="rich")["data"]["text/html"] == "<b>rich</b>"
    assert "no variable poor" in session.refusal("richInspectVariables", variableName="poor")


def test_a_variable_of_a_frame_is_shown_and_copied(attached: Session) -> None:
    code = RICH + "def inner():\n    local = Rich()\n    return local\ninner()\n"
    attached.breakpoints(code, 5)
    cell = attached.client.start(code)
    thread, (frame, *_) = attached.stopped()
    shown = attached.body("richInspectVariables", variableName="local", frameId=frame["id"])
    assert shown["data"]["text/html"] == "<b>rich</b>"
    copy = {"srcVariableName": "local", "dstVariableName": "kept", "srcFrameId": frame["id"]}
    attached.body("copyToGlobals", **copy)
    for name in ("srcVariableName", "dstVariableName"):
        for bad in ("x; import os", "f(x)", "class", ""):
            assert "must be the name of a variable" in attached.refusal("copyToGlobals", **{**copy, name: bad})
    attached.body("continue", threadId=thread)
    attached.client.result(cell)
    assert attached.client.run("type(kept).__name__").text == "'Rich'"


def test_modules_are_listed_in_parts(session: Session) -> None:
    body = session.body("modules", startModule=1, moduleCount=2)
    assert len(body["modules"]) == 2 < body["totalModules"]
    assert {"name", "path"} <= body["modules"][0].keys()


# -- what goes wrong -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["setBreakpoints", "stackTrace", "evaluate", "continue", "copyToGlobals"])
def test_nothing_is_done_before_attach(session: Session, command: str) -> None:
    assert "send initialize and attach first" in session.refusal(command)


def test_bad_requests_are_refused_with_a_sentence(attached: Session) -> None:
    client = attached.client
    assert "no command 'launch'" in attached.refusal("launch")
    assert attached.refusal("evaluate", expression="1", frameId=12345)
    assert "code must be a str" in attached.refusal("dumpCell", code=5)
    assert "there is no source" in attached.refusal("source", source={"path": "/no/such/file.py"})
    for content in ({}, {"command": 5}, {"command": "evaluate", "arguments": []}):
        assert client.request("debug_request", content, channel="control").reply["success"] is False
    assert client.request("debug_request", {"command": "debugInfo"}).reply["message"].endswith("control channel")
    assert client.run("1 + 1").text == "2"


def interrupt_message(session: Session) -> None:
    assert session.client.interrupt().status == "ok"


def cancel_message(session: Session) -> None:
    running = [r.parent_id for r in session.client.received if r.kind == "execute_input"]
    session.client.request("cancel_request", {"msg_ids": running[-1:]}, channel="control")


def disconnect(session: Session) -> None:
    session.body("disconnect", terminateDebuggee=True)


def terminate(session: Session) -> None:
    session.body("terminate")


@pytest.mark.parametrize("way", [interrupt_message, cancel_message, disconnect, terminate])
def test_what_is_stopped_goes_on(attached: Session, way: Callable[[Session], None]) -> None:
    attached.breakpoints(CELL, 5)
    cell = attached.client.start(CELL)
    attached.stopped()
    way(attached)
    attached.client.result(cell)
    assert attached.client.run("6 * 7").text == "42"


def test_an_interrupt_ends_a_cell_that_was_stopped(attached: Session) -> None:
    code = "import time\nwhile True:\n    time.sleep(0.001)\n"
    attached.breakpoints(code, 2)
    cell = attached.client.start(code)
    attached.stopped()
    attached.client.interrupt()
    assert attached.client.result(cell).error == ("KeyboardInterrupt", "")


def test_a_signal_ends_a_cell_that_was_stopped(attached: Session, kernel: KernelProcess) -> None:
    code = "import time\nwhile True:\n    time.sleep(0.001)\n"
    attached.breakpoints(code, 2)
    cell = attached.client.start(code)
    attached.stopped()
    os.kill(kernel.pid, signal.SIGINT)
    assert attached.client.result(cell).error == ("KeyboardInterrupt", "")


def test_a_session_is_opened_again(attached: Session) -> None:
    attached.breakpoints(CELL, 5)
    attached.body("disconnect")
    assert attached.body("debugInfo")["breakpoints"] == []
    assert attached.client.run(CELL).stdout == "42\n"  # and does not stop
    attached.attach()
    attached.breakpoints(CELL, 6)
    cell = attached.client.start(CELL)
    thread, (frame, *_) = attached.stopped()
    assert frame["line"] == 6
    attached.body("continue", threadId=thread)
    assert attached.client.result(cell).stdout == "42\n"


def test_a_client_that_comes_back_finds_what_is_stopped(attached: Session, kernel: KernelProcess) -> None:
    attached.breakpoints(CELL, 5)
    cell = attached.client.start(CELL)
    thread, _ = attached.stopped()
    again = Session(kernel.client())
    info = again.body("debugInfo")
    assert (info["isStarted"], info["stoppedThreads"]) == (True, [thread])
    again.body("continue", threadId=thread)
    assert attached.client.result(cell).stdout == "42\n"


@pytest.mark.parametrize("stopped", [True, False])
def test_the_kernel_ends_while_it_is_debugged(alone: Session, own_kernel: KernelProcess, stopped: bool) -> None:
    path = Path(alone.breakpoints(CELL, 5))
    assert path.exists()
    if stopped:
        alone.client.start(CELL)
        alone.stopped()
    alone.client.send("shutdown_request", {"restart": False}, channel="control")
    assert own_kernel.exit_code() == 0
    assert not path.parent.exists()


def test_the_end_does_not_wait_until_debugpys_threads_have_ended(alone: Session, own_kernel: KernelProcess) -> None:
    alone.attach()
    alone.client.run(
        "import atexit, sys\n"
        "from _pydevd_bundle.pydevd_constants import get_global_debugger\n"
        "@atexit.register\n"  # called before debugpy's own, which waits for the threads of a debugger that is there
        "def say(): print('the debugger is', get_global_debugger(), file=sys.__stderr__)"
    )
    alone.client.send("shutdown_request", {"restart": False}, channel="control")
    assert own_kernel.exit_code() == 0
    assert "the debugger is None" in own_kernel.log

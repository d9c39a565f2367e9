"""The debugger, further: what programmers reach for besides plain breakpoints, and what comes at the wrong moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.harness.debugging import Session
from tests.e2e.test_debugger import CELL, attached, session

if TYPE_CHECKING:
    from typing import Any

    from tests.e2e.harness.process import KernelProcess

__all__ = ["attached", "session"]  # fixtures

pytestmark = pytest.mark.usefixtures("ours")


def test_a_stack_is_shown_in_pages(attached: Session) -> None:
    attached.breakpoints(CELL, 2)
    cell = attached.client.start(CELL)
    thread, _ = attached.stopped()

    def page(**wanted: int) -> tuple[list[str], int]:
        body = attached.body("stackTrace", threadId=thread, **wanted)
        return [frame["name"] for frame in body["stackFrames"]], body["totalFrames"]

    assert page() == (["double", "<module>"], 2)
    assert page(startFrame=0, levels=1) == (["double"], 2)
    assert page(startFrame=1, levels=19) == (["<module>"], 2)
    assert page(startFrame=2, levels=19) == ([], 2)
    attached.body("continue", threadId=thread)
    assert attached.client.result(cell).status == "ok"


def test_a_variable_is_set(attached: Session) -> None:
    attached.breakpoints(CELL, 3)
    cell = attached.client.start(CELL)
    thread, (frame, *_) = attached.stopped()
    scope = attached.body("scopes", frameId=frame["id"])["scopes"][0]["variablesReference"]
    attached.body("setVariable", variablesReference=scope, name="result", value="1000")
    attached.body("continue", threadId=thread)
    assert attached.client.result(cell).stdout == "1000\n"


def test_a_running_cell_is_paused(attached: Session) -> None:
    code = "import time\ngoing = True\nprint('going')\nwhile going:\n    time.sleep(0.001)\n"
    attached.breakpoints(code)
    cell = attached.client.start(code)
    attached.client.printed(cell, "going")
    threads = {each["name"]: each["id"] for each in attached.body("threads")["threads"]}
    attached.body("pause", threadId=threads["MainThread"])
    thread, stack = attached.stopped()
    assert stack[0]["line"] in (4, 5)
    attached.body("evaluate", expression="globals().update(going=False)", frameId=stack[0]["id"])
    attached.body("continue", threadId=thread)
    assert attached.client.result(cell).status == "ok"


def test_breakpoints_have_conditions_or_log(attached: Session) -> None:
    code = "for number in range(10):\n    double = 2 * number\n"
    path = attached.body("dumpCell", code=code)["sourcePath"]
    attached.body("setBreakpoints", source={"path": path}, breakpoints=[{"line": 2, "condition": "number == 7"}])
    cell = attached.client.start(code)
    thread, (frame, *_) = attached.stopped()
    assert attached.body("evaluate", expression="number", frameId=frame["id"])["result"] == "7"
    attached.body("setBreakpoints", source={"path": path}, breakpoints=[{"line": 2, "logMessage": "at {number}"}])
    attached.body("continue", threadId=thread)
    attached.client.result(cell)
    events = [r.msg["content"] for r in attached.client.received if r.msg["msg_type"] == "debug_event"]
    assert [e["body"]["output"].strip() for e in events if e["event"] == "output"] == ["at 8", "at 9"]


def test_threads_that_were_there_before_the_session_stop(attached: Session) -> None:
    attached.body("disconnect")
    code = "import anyio\ndef work():\n    x = 1\n    return x\nawait anyio.to_thread.run_sync(work)\n"
    attached.client.run(code)
    attached.attach()
    attached.breakpoints(code, 4)
    cell = attached.client.start(code)
    thread, (frame, *_) = attached.stopped()
    assert attached.locals(frame) == {"x": "1"}
    attached.body("continue", threadId=thread)
    assert attached.client.result(cell).status == "ok"


# -- at the wrong moment ---------------------------------------------------------------------------------


STEPS = ["continue", "next", "stepIn", "stepOut"]


@pytest.mark.parametrize("command", STEPS)
def test_a_step_of_what_is_not_stopped_is_refused(attached: Session, command: str) -> None:
    (thread,) = [each["id"] for each in attached.body("threads")["threads"] if each["name"] == "MainThread"]
    for number in (thread, 9999):
        assert "nothing is" in attached.refusal(command, threadId=number)
    assert attached.client.run("6 * 7").text == "42"  # and does not stop


def test_everybody_who_continues_is_answered(attached: Session) -> None:
    attached.breakpoints(CELL, 5)
    cell = attached.client.start(CELL)
    thread, _ = attached.stopped()
    message = {"type": "request", "seq": 1, "command": "continue", "arguments": {"threadId": thread}}
    sent = [attached.client.send("debug_request", message, channel="control") for _ in range(5)]
    assert attached.client.result(sent[0]).reply["success"]
    for each in sent:
        assert attached.client.result(each).reply["command"] == "continue"
    assert attached.client.result(cell).stdout == "42\n"


def test_a_frame_that_has_gone_is_refused(attached: Session) -> None:
    attached.breakpoints(CELL, 3)
    cell = attached.client.start(CELL)
    thread, (frame, *_) = attached.stopped()
    scope = attached.body("scopes", frameId=frame["id"])["scopes"][0]["variablesReference"]
    attached.body("continue", threadId=thread)
    attached.client.result(cell)
    copy = {"srcVariableName": "result", "dstVariableName": "kept", "srcFrameId": frame["id"]}
    requests: list[tuple[str, dict[str, Any]]] = [
        ("scopes", {"frameId": frame["id"]}),
        ("variables", {"variablesReference": scope}),
        ("setVariable", {"variablesReference": scope, "name": "result", "value": "5"}),
        ("evaluate", {"expression": "result", "frameId": frame["id"]}),
        ("richInspectVariables", {"variableName": "result", "frameId": frame["id"]}),
        ("copyToGlobals", copy),
        ("stackTrace", {"threadId": 9999}),
    ]
    for command, arguments in requests:
        assert attached.refusal(command, **arguments)
    assert attached.client.run("6 * 7").text == "42"


def test_a_debugpy_that_cannot_be_imported_is_said(own_kernel: KernelProcess) -> None:
    session = Session(own_kernel.client())
    session.client.run("import sys; sys.modules['debugpy'] = None")
    assert "debugpy cannot be started" in session.refusal("initialize")
    assert session.body("debugInfo")["isStarted"] is False
    assert session.client.run("6 * 7").text == "42"
    session.client.run("del sys.modules['debugpy']")
    session.attach()


# -- steps among tasks -----------------------------------------------------------------------------------


OTHER = """\
import anyio
async def other():
    while True:
        await anyio.sleep(0.001)
async def inner():
    await anyio.sleep(0.02)
    return 5
nursery.start_soon(other)
"""
CALLER = "before = 1\nx = await inner()\nafter = 2\n"


def steps(session: Session, *commands: str) -> list[list[tuple[str, int]]]:
    """Run CALLER, stopped at its first line, and step; where it stopped after each step."""
    session.client.run(OTHER)
    session.breakpoints(CALLER, 1)
    cell = session.client.start(CALLER)
    thread, _ = session.stopped()
    stacks: list[list[tuple[str, int]]] = []
    for command in commands:
        session.body(command, threadId=thread)
        thread, stack = session.stopped()
        stacks.append([(frame["name"], frame["line"]) for frame in stack])
    session.body("continue", threadId=thread)
    assert session.client.result(cell).status == "ok"
    session.client.run("%tasks cancel all")
    return stacks


def test_a_step_over_an_await_stops_in_no_other_task(attached: Session) -> None:
    assert steps(attached, "next", "next") == [[("<module>", 2)], [("<module>", 3)]]


def test_a_coroutine_is_stepped_into_and_out_of(attached: Session) -> None:
    first, into, out, _ = steps(attached, "next", "stepIn", "stepOut", "next")
    assert (first, into) == ([("<module>", 2)], [("inner", 6), ("<module>", 2)])
    assert out in ([("<module>", 2)], [("<module>", 3)])


def test_a_step_over_the_last_line_of_a_cell_ends_it(attached: Session) -> None:
    attached.breakpoints(CELL, 6)
    cell = attached.client.start(CELL)
    thread, _ = attached.stopped()
    attached.body("next", threadId=thread)
    assert attached.client.result(cell).stdout == "42\n"
    assert attached.client.run("first = 1\n6 * 7").text == "42"  # and does not stop


def test_a_step_over_the_last_line_stops_in_no_background_task(attached: Session) -> None:
    attached.client.run(OTHER)
    attached.breakpoints(CALLER, 3)
    cell = attached.client.start(CALLER)
    thread, _ = attached.stopped()
    attached.body("next", threadId=thread)
    assert attached.client.result(cell).status == "ok"
    assert attached.client.run("await inner()").text == "5"
    attached.client.run("%tasks cancel all")
    assert attached.body("debugInfo")["stoppedThreads"] == []


# -- breakpoint() ----------------------------------------------------------------------------------------


def test_breakpoint_stops_in_the_session(attached: Session) -> None:
    code = "x = 1\nbreakpoint()\ny = 2\n"
    attached.breakpoints(code)
    cell = attached.client.start(code)
    thread, (frame, *_) = attached.stopped()
    assert frame["line"] in (2, 3)
    attached.body("continue", threadId=thread)
    assert attached.client.result(cell).status == "ok"


def test_breakpoint_asks_when_the_session_is_over(attached: Session) -> None:
    attached.body("disconnect")
    client = attached.client
    cell = client.start("x = 1\nbreakpoint()\ny = 2\n")
    client.question(cell)
    client.answer("c")
    assert client.result(cell).status == "ok"


BODY = "    x = 5\n    breakpoint()\n    y = 6\n"
ASKING = {
    "cell": "x = 5\nbreakpoint()\ny = 6",
    "concurrent cell": "# task\nx = 5\nbreakpoint()\ny = 6",
    "thread cell": "# thread\nx = 5\nbreakpoint()\ny = 6",
    "background task": f"async def work():\n{BODY}nursery.start_soon(work)",
    "child": f"async def work():\n{BODY}cell.nursery.start_soon(work)",
    "worker thread": f"import anyio\ndef work():\n{BODY}await anyio.to_thread.run_sync(work)",
    "thread": f"import threading\ndef work():\n{BODY}t = threading.Thread(target=work); t.start(); t.join()",
    "set_trace": "import pdb\nx = 5\npdb.set_trace()\ny = 6",
}


@pytest.mark.parametrize("place", ASKING)
def test_breakpoint_asks(session: Session, place: str) -> None:
    client = session.client
    cell = client.start(ASKING[place])
    client.question(cell)
    client.answer("p x + 100")
    client.question(cell, 2)
    client.answer("c")
    client.until(lambda: "105" in client.so_far(cell).stdout, "what x is")
    assert client.result(cell).status == "ok"

"""A kernel inside somebody's program: clients attach to its loop and objects, the program keeps all that is its own."""

from __future__ import annotations

import signal
import textwrap
from typing import TYPE_CHECKING, Protocol

import pytest

from async_kernel.kernel.lifecycle import NO_SHUTDOWN
from tests.e2e.harness.client import wait_for
from tests.e2e.harness.process import start_program
from tests.e2e.harness.subject import OURS

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.e2e.harness.process import KernelProcess
    from tests.e2e.harness.subject import Home

PROGRAM = """
import builtins, getpass, os, signal, sys, threading, time, warnings
import anyio, asyncio, trio
from async_kernel import Interface

FILE = sys.argv[1]
OPTIONS = ["--connection_file=" + FILE]

def belongings():
    import gc; gc.collect()
    return {
        "streams": (sys.stdin, sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__),
        "builtins": dict(vars(builtins)),
        "getpass": getpass.getpass,
        "hooks": (sys.displayhook, sys.excepthook, sys.unraisablehook, threading.excepthook, warnings.showwarning),
        "handlers": [signal.getsignal(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGCHLD")],
        "path": list(sys.path),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "files": sorted(os.listdir("/proc/self/fd")),
        "threads": sorted(t.name for t in threading.enumerate()),
        "thread methods": (threading.Thread.start, threading.Thread.run),
    }

def compare(before):
    after = belongings()
    for name, value in before.items():
        if after[name] != value:
            print("CHANGED", name, value, after[name])
    print("compared")

async def main():
{body}

if {trio}:
    trio.run(main)
else:
    asyncio.run(main())
print("program ends")
"""


class Start(Protocol):
    def __call__(self, body: str) -> KernelProcess: ...


@pytest.fixture
def program(home: Home, backend: str, tmp_path: Path) -> Generator[Start]:
    """Starts a program whose ``main`` has this body."""
    if home.kernel != OURS:
        pytest.skip("not a behaviour of the stand-in")
    started: list[KernelProcess] = []

    def start(body: str) -> KernelProcess:
        source = PROGRAM.replace("{body}", textwrap.indent(textwrap.dedent(body), "    ")).replace(
            "{trio}", str(backend == "trio")
        )
        process = start_program(home, source, folder=tmp_path, connection_file=tmp_path / "connection.json")
        started.append(process)
        return process

    yield start
    for process in started:
        process.end()


def ends(process: KernelProcess) -> str:
    """Wait for a good end; what the program printed."""
    assert process.exit_code() == 0, process.log
    assert "CHANGED" not in process.log
    assert process.log.endswith("program ends\n")
    assert not process.connection_file.exists()
    return process.log


def test_cells_run_in_the_programs_loop_with_its_objects(program: Start) -> None:
    process = program("""
        done = anyio.Event()
        namespace = {"done": done, "numbers": [1], "main_thread": threading.get_ident()}
        namespace["loop"] = anyio.lowlevel.current_token()
        async with Interface(OPTIONS, user_ns=namespace) as interface:
            assert interface.connection_file == FILE
            assert interface.kernel.shell.user_ns is namespace
            await done.wait()
            print("numbers", namespace["numbers"], namespace["new"])
    """)
    client = process.client()
    assert client.run("numbers").text == "[1]"
    assert client.run("import threading; threading.get_ident() == main_thread").text == "True"
    assert client.run("import anyio; anyio.lowlevel.current_token() == loop").text == "True"
    client.run("numbers.append(2); new = 'made by a cell'")
    client.start("done.set()")
    assert "numbers [1, 2] made by a cell" in ends(process)


def test_output_of_the_program_is_its_own(program: Start) -> None:
    process = program("""
        done = anyio.Event()
        async def talk():
            while not done.is_set():
                print("the program talks")
                sys.stderr.write("the program complains\\n")
                await anyio.sleep(0.001)
        async with Interface(OPTIONS, user_ns={"done": done}) as interface, anyio.create_task_group() as group:
            group.start_soon(talk)
            await done.wait()
    """)
    client = process.client()
    result = client.run(
        "import sys, anyio\nprint('from a cell')\nawait anyio.sleep(0.02)\nsys.stderr.write('error of a cell');"
    )
    assert (result.stdout, result.stderr) == ("from a cell\n", "error of a cell")
    assert client.run("display(1)").kinds == ["busy", "execute_input", "display_data", "idle"]
    client.start("done.set()")
    log = ends(process)
    assert "from a cell" not in log
    assert "error of a cell" not in log
    assert "the program talks\n" in log
    assert "the program complains\n" in log
    assert not [r for r in client.received if r.kind == "stream" and "the program" in r.msg["content"]["text"]]


def test_input_of_the_program_is_its_own(program: Start) -> None:
    process = program("""
        done = anyio.Event()
        async with Interface(OPTIONS, user_ns={"done": done}) as interface:
            try:
                input("asked by the program")
            except EOFError:
                print("; end of its own input")
            await done.wait()
    """)
    client = process.client()
    asking = client.start("input('asked by a cell')")
    assert client.question(asking)["content"]["prompt"] == "asked by a cell"
    client.answer("answer")
    assert client.result(asking).text == "'answer'"
    client.start("done.set()")
    assert "asked by the program; end of its own input" in ends(process)
    assert [r.msg["content"]["prompt"] for r in client.received if r.channel == "stdin"] == ["asked by a cell"]


def test_all_is_given_back(program: Start) -> None:
    process = program("""
        async with Interface([f"--connection_file={FILE}.first"]):
            pass  # what is imported once and for all is not the question
        before = belongings()
        for _ in range(3):
            async with Interface(OPTIONS) as interface:
                inside = belongings()
                for name in ("hooks", "handlers", "path", "folder"):
                    assert inside[name] == before[name], name
                await interface.stopped
            compare(before)
    """)
    for number in range(3):
        process.wait_connection_file()
        client = process.client()
        assert client.run(f"print('cell', {number})\nimport IPython.display").stdout == f"cell {number}\n"
        client.send("shutdown_request", {"restart": False}, channel="control")
        wait_for(lambda n=number: process.log.count("compared") > n, "the end of the interface")
        client.close()
    assert ends(process).count("compared") == 3


def test_all_is_given_back_after_an_error(program: Start) -> None:
    process = program("""
        async with Interface([f"--connection_file={FILE}.first"]):
            pass
        before = belongings()
        try:
            async with Interface(OPTIONS):
                raise LookupError("of the program")
        except LookupError as exc:
            print("caught", repr(exc))
        compare(before)
    """)
    assert "caught LookupError('of the program')" in ends(process)


def test_a_clients_shutdown_leaves_the_body(program: Start) -> None:
    process = program("""
        try:
            async with Interface(OPTIONS):
                try:
                    await anyio.sleep_forever()
                finally:
                    print("the body is left")
        finally:
            print("the interface is left")
        await anyio.sleep(0.01)
        print("the program goes on")
    """)
    client = process.client()
    client.run("1")
    result = client.request("shutdown_request", {"restart": False}, channel="control")
    assert result.reply == {"status": "ok", "restart": False}
    log = ends(process)
    assert log.splitlines() == ["the body is left", "the interface is left", "the program goes on", "program ends"]


def test_a_program_may_refuse_to_be_shut_down(program: Start) -> None:
    process = program("""
        done = anyio.Event()
        async with Interface([*OPTIONS, "--BaseInterface.allow_shutdown=False"], user_ns={"done": done}):
            await done.wait()
            print("left by itself")
    """)
    client = process.client()
    assert client.request("shutdown_request", {"restart": False}, channel="control").status == "error"
    assert client.run("get_ipython().kernel.do_shutdown(False)").error == ("RuntimeError", NO_SHUTDOWN)
    assert client.run("1").text == "1"
    client.start("done.set()")
    assert "left by itself" in ends(process)


@pytest.mark.parametrize("code", ["exit", "quit()"])
def test_exit_detaches(program: Start, code: str) -> None:
    process = program("async with Interface(OPTIONS): await anyio.sleep_forever()")
    client = process.client()
    (payload,) = client.run(code).reply["payload"]
    assert (payload["source"], payload["keepkernel"]) == ("ask_exit", True)


@pytest.mark.parametrize("how", ["a cell", "a thread", "the program"])
def test_it_is_stopped_from_anywhere(program: Start, how: str) -> None:
    process = program(f"""
        done = anyio.Event()
        async with Interface(OPTIONS, user_ns={{"done": done}}) as interface:
            await done.wait()
            if {how == "the program"}:
                interface.stop()
            await anyio.sleep_forever()
        print("stopped", interface.stopped.done())
    """)
    client = process.client()
    stop = {
        "a cell": "stop()",
        "a thread": "import threading; threading.Thread(target=stop).start()",
        "the program": "",
    }
    client.start(f"from async_kernel import Interface\nstop = Interface.instance().stop\ndone.set()\n{stop[how]}")
    assert "stopped True" in ends(process)


@pytest.mark.parametrize(
    "code",
    ["while True: pass", "import time\nwhile True: time.sleep(0.01)", "def f():\n    while True: sum(range(100))\nf()"],
)
def test_a_blocking_cell_is_interrupted_without_a_signal_handler(program: Start, code: str) -> None:
    process = program("""
        done = anyio.Event()
        count = 0
        async def count_on():
            nonlocal count
            while not done.is_set():
                try:
                    for _ in range(1000):
                        count += 1
                    await anyio.sleep(0)
                except KeyboardInterrupt:
                    print("THE PROGRAM WAS HIT")
        before = signal.getsignal(signal.SIGINT)
        async with Interface(OPTIONS, user_ns={"done": done}), anyio.create_task_group() as group:
            assert signal.getsignal(signal.SIGINT) is before
            group.start_soon(count_on)
            await done.wait()
    """)
    client = process.client()
    for _ in range(10):
        running = client.start(f"print('ready')\n{code}")
        client.printed(running, "ready")
        assert client.interrupt().status == "ok"
        assert client.result(running).reply["ename"] == "KeyboardInterrupt"
    assert client.run("1").text == "1"
    client.start("done.set()")
    assert "HIT" not in ends(process)


def test_an_awaiting_cell_is_interrupted(program: Start) -> None:
    process = program("async with Interface(OPTIONS): await anyio.sleep_forever()")
    client = process.client()
    running = client.start("import anyio\nprint('ready')\nawait anyio.sleep_forever()")
    client.printed(running, "ready")
    assert client.interrupt().status == "ok"
    assert client.result(running).reply["ename"] == "KeyboardInterrupt"


def test_an_interrupt_that_c_code_does_not_feel_is_said_so(program: Start) -> None:
    process = program("async with Interface(OPTIONS): await anyio.sleep_forever()")
    client = process.client()
    running = client.start("import time\nprint('ready')\ntime.sleep(1)\ntime.sleep(0)")
    client.printed(running, "ready")
    reply = client.interrupt().reply
    assert reply["status"] == "ok"
    assert "SIGINT" in str(reply)
    assert client.result(running).reply["ename"] == "KeyboardInterrupt"


def test_a_program_may_lend_its_signal_handler(program: Start) -> None:
    process = program("""
        done = anyio.Event()
        before = signal.getsignal(signal.SIGINT)
        async with Interface([*OPTIONS, "--BaseInterface.handle_sigint=True"], user_ns={"done": done}):
            await done.wait()
        print("given back", signal.getsignal(signal.SIGINT) is before)
    """)
    client = process.client()
    for interrupt in (client.interrupt, lambda: process.send_signal(signal.SIGINT)):
        running = client.start("import time\nprint('ready')\ntime.sleep(3600)")
        client.printed(running, "ready")
        interrupt()
        assert client.result(running).reply["ename"] == "KeyboardInterrupt"
    client.start("done.set()")
    assert "given back True" in ends(process)


def test_control_c_is_the_programs(program: Start) -> None:
    process = program("""
        try:
            async with Interface(OPTIONS):
                await anyio.sleep_forever()
        finally:
            print("left")
    """)
    process.client().run("1")
    process.send_signal(signal.SIGINT)
    assert process.exit_code() in {1, 130, -signal.SIGINT}
    assert "KeyboardInterrupt" in process.log
    assert "left\n" in process.log
    assert not process.connection_file.exists()


def test_two_at_once_are_refused(program: Start) -> None:
    process = program("""
        async with Interface(OPTIONS) as interface:
            try:
                Interface([])
            except RuntimeError as exc:
                print("refused:", exc)
            print("the first is well", Interface.instance() is interface)
    """)
    log = ends(process)
    assert "refused:" in log
    assert "the first is well True" in log


def test_cancelling_the_scope_around_it(program: Start) -> None:
    process = program("""
        with anyio.CancelScope() as scope:
            async with Interface(OPTIONS, user_ns={"scope": scope}):
                await anyio.sleep_forever()
        print("cancelled", scope.cancelled_caught)
    """)
    process.client().start("scope.cancel()")
    assert "cancelled True" in ends(process)


def test_an_exception_of_the_body_leaves_as_itself_while_a_cell_runs(program: Start) -> None:
    process = program("""
        go = anyio.Event()
        try:
            async with Interface(OPTIONS, user_ns={"go": go}):
                await go.wait()
                raise ValueError("plain")
        except ValueError as exc:
            print("caught", exc)
    """)
    client = process.client()
    running = client.start("import anyio\ngo.set()\nawait anyio.sleep_forever()")
    assert "caught plain" in ends(process)
    assert client.result(running).status == "error"


def test_a_program_that_blocks_its_loop_is_told_where(program: Start) -> None:
    process = program("""
        go, on = anyio.Event(), threading.Event()
        async with Interface([*OPTIONS, "--BaseShell.watchdog=0.1"], user_ns={"go": go, "on": on}):
            await go.wait()
            while not on.is_set(): time.sleep(0.01)
            await anyio.sleep_forever()
    """)
    client = process.client()
    client.run("go.set()")
    waits = client.start("import anyio; await anyio.sleep(0)")
    client.until(lambda: "has kept the event loop" in client.so_far(waits).stderr + process.log, "a complaint")
    said = client.so_far(waits).stderr
    assert not said or said.startswith("The program around this kernel has kept the event loop")
    client.result(client.start("# thread\non.set()"))
    assert client.result(waits).status == "ok"


def test_the_task_tree_says_where_the_program_blocks_its_loop(program: Start) -> None:
    process = program("""
        go, on = anyio.Event(), threading.Event()
        async with Interface(OPTIONS, user_ns={"go": go, "on": on}):
            await go.wait()
            while not on.is_set(): time.sleep(0.01)
            await anyio.sleep_forever()
    """)
    client = process.client()
    assert client.request("task_tree_request", {}, channel="control").reply["blocked"] is None
    client.run("go.set()")
    blocked = client.until(
        lambda: client.request("task_tree_request", {}, channel="control").reply["blocked"], "a blocked loop"
    )
    assert blocked["cell"] is None
    assert "main" in [place["function"] for place in blocked["stack"]]
    assert blocked["seconds"] >= 1
    client.result(client.start("# thread\non.set()"))
    client.until(
        lambda: client.request("task_tree_request", {}, channel="control").reply["blocked"] is None, "a loop that turns"
    )


@pytest.mark.parametrize("nursery", ["session", "cell"])
def test_the_program_waits_for_a_child_that_shields_itself(program: Start, nursery: str) -> None:
    process = program("""
        import logging
        from async_kernel.lifetime.loop_token import current_loop_token
        done, free, here = anyio.Event(), anyio.Event(), current_loop_token()
        class Told(logging.Handler):
            def emit(self, record):
                if "has not ended" in record.getMessage():
                    here.call_soon(free.set)
        async with Interface([*OPTIONS, "--BaseInterface.grace=0.1"], user_ns=dict(done=done, free=free)) as interface:
            interface.log.addHandler(Told())
            await done.wait()
    """)
    client = process.client()
    client.start(
        "import anyio\nasync def stubborn():\n    with anyio.CancelScope(shield=True):\n        done.set()\n"
        f"        await free.wait()\n{nursery}.nursery.start_soon(stubborn)"
    )
    log = ends(process)
    assert (
        log.count("has not ended within 0.1 s: waiting for user code that does not stop: task task-1 (stubborn)") == 1
    )

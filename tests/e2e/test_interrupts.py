"""An interrupt ends the cell that runs, whatever it does, and nothing else."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Literal

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess
    from tests.e2e.harness.snippets import Snippets

READY = "print('ready', flush=True)\n"

BLOCKING = {
    "busy loop": READY + "while True: pass",
    "busy loop in a function": READY + "def f():\n    while True: sum(range(100))\nf()",
    "time.sleep": "import time\n" + READY + "time.sleep(3600)",
    "lock": "import threading\nlock = threading.Lock(); lock.acquire()\n" + READY + "lock.acquire()",
    "queue": "import queue\n" + READY + "queue.Queue().get()",
    "event": "import threading\n" + READY + "threading.Event().wait()",
    "subprocess.run": "import subprocess\n" + READY + "subprocess.run(['sleep', '3600'])",
    "shell command": READY + "!sleep 3600",
    "bash magic": "%%bash\necho ready\nsleep 3600",
    "socket": "import socket\na, b = socket.socketpair()\n" + READY + "a.recv(1)",
    "thread join": "import threading\nstop = threading.Event(); t = threading.Thread(target=stop.wait); t.start()\n"
    + READY
    + "try:\n    t.join()\nfinally:\n    stop.set()",
}


@pytest.fixture(params=["message", "signal"])
def interrupt(client: Client, kernel: KernelProcess, request: pytest.FixtureRequest) -> Callable[[], None]:
    """Interrupts the kernel."""
    how: Literal["message", "signal"] = request.param

    def interrupt() -> None:
        if how == "message":
            assert client.interrupt().status == "ok"
        else:
            kernel.send_signal(signal.SIGINT)

    return interrupt


def interrupted(client: Client, interrupt: Callable[[], None], code: str) -> None:
    """The cell is interrupted, its error is KeyboardInterrupt, and the next cell runs."""
    running = client.start(code)
    client.printed(running, "ready\n")
    interrupt()
    result = client.result(running)
    assert result.reply["status"] == "error"
    assert result.reply["ename"] == "KeyboardInterrupt"
    assert [content["ename"] for content in result.of("error")] == ["KeyboardInterrupt"]
    assert client.run("6 * 7").text == "42"


@pytest.mark.parametrize("what", BLOCKING)
def test_a_blocking_cell(client: Client, interrupt: Callable[[], None], what: str) -> None:
    interrupted(client, interrupt, BLOCKING[what])


def test_a_child_process_of_a_c_call(client: Client) -> None:
    # The C library ignores SIGINT in the parent while the child runs: the child has to be interrupted.
    interrupted(client, lambda: client.interrupt() and None, f"import os\n{READY}os.system('sleep 3600')")


def test_an_awaiting_cell(client: Client, interrupt: Callable[[], None], snippets: Snippets) -> None:
    interrupted(client, interrupt, f"{READY}await {snippets.wait_forever}")


def test_a_cell_that_awaits_in_a_function(client: Client, interrupt: Callable[[], None], snippets: Snippets) -> None:
    interrupted(client, interrupt, f"async def f():\n    print('ready')\n    await {snippets.wait_forever}\nawait f()")


def test_a_nursery_with_a_busy_child(client: Client, interrupt: Callable[[], None], snippets: Snippets) -> None:
    running = client.start(snippets.busy_child)
    client.printed(running, "ready\n")
    interrupt()
    reply = client.result(running).reply
    assert reply["status"] == "error"
    assert "KeyboardInterrupt" in {reply["ename"], *reply["evalue"].split()} or "KeyboardInterrupt" in "\n".join(
        reply["traceback"]
    )
    assert client.run("6 * 7").text == "42"


def test_a_cell_that_catches_everything(client: Client, interrupt: Callable[[], None]) -> None:
    running = client.start(
        f"import time\ntry:\n    {READY}    time.sleep(3600)\nexcept BaseException as exc:\n"
        "    print('caught', type(exc).__name__)"
    )
    client.printed(running, "ready\n")
    interrupt()
    assert client.result(running).stdout == "ready\ncaught KeyboardInterrupt\n"
    assert client.run("6 * 7").text == "42"


def test_an_awaiting_cell_that_catches_everything(
    client: Client, interrupt: Callable[[], None], snippets: Snippets
) -> None:
    running = client.start(
        f"try:\n    {READY}    await {snippets.wait_forever}\nexcept BaseException:\n    print('caught')\n"
        "    raise\nfinally:\n    print('finally')"
    )
    client.printed(running, "ready\n")
    interrupt()
    result = client.result(running)
    assert result.stdout == "ready\ncaught\nfinally\n"
    assert result.reply["ename"] == "KeyboardInterrupt"
    assert client.run("6 * 7").text == "42"


def test_a_second_interrupt_ends_a_cell_that_handled_the_first(client: Client, interrupt: Callable[[], None]) -> None:
    running = client.start(
        f"import time\ntry:\n    {READY}    time.sleep(3600)\nfinally:\n    print('again', flush=True)\n"
        "    time.sleep(3600)"
    )
    client.printed(running, "ready\n")
    interrupt()
    client.printed(running, "again\n")
    interrupt()
    assert client.result(running).reply["ename"] == "KeyboardInterrupt"
    assert client.run("6 * 7").text == "42"


def test_interrupts_that_come_right_before_a_blocking_call(client: Client) -> None:
    """CPython does not notice them: it looks for signals between bytecodes, and here are none before the call."""
    running = client.start(
        "import ctypes, operator, time\n"
        "signalled_and_blocked = (getattr(ctypes.CDLL(None), 'raise'), time.sleep), (2, 3600)\n"
        "try:\n    list(map(operator.call, *signalled_and_blocked))\nfinally:\n    print('again', flush=True)\n"
        "    list(map(operator.call, *signalled_and_blocked))"
    )
    assert client.result(running).reply["ename"] == "KeyboardInterrupt"
    assert client.result(running).stdout == "again\n"
    assert client.run("6 * 7").text == "42"


def test_threads_and_tasks_of_the_user_live_on(
    client: Client, interrupt: Callable[[], None], snippets: Snippets
) -> None:
    client.run(
        "import threading\nstop = threading.Event(); beats = 0\n"
        "def beat():\n    global beats\n    while not stop.wait(0.005): beats += 1\n"
        "thread = threading.Thread(target=beat); thread.start()\n"
        "ticks = 0\nasync def work():\n    global ticks\n    while not stop.is_set():\n"
        f"        await {snippets.sleep}\n        ticks += 1\n"
        f"{snippets.start_background}"
    )
    interrupted(client, interrupt, f"{READY}await {snippets.wait_forever}")
    interrupted(client, interrupt, f"import time\n{READY}time.sleep(3600)")
    waiting = (
        "before = beats, ticks\nwhile not (beats > before[0] and ticks > before[1]):\n"
        f"    await {snippets.sleep}\nthread.is_alive()"
    )
    assert client.run(waiting).text == "True"
    assert client.run("stop.set(); thread.join()").status == "ok"


def test_queued_cells_are_aborted(client: Client, interrupt: Callable[[], None]) -> None:
    running = client.start(f"import time\n{READY}time.sleep(3600)")
    queued = client.start("never = 1")
    client.printed(running, "ready\n")
    interrupt()
    assert client.result(running).reply["ename"] == "KeyboardInterrupt"
    assert client.result(queued).status == "aborted"
    assert client.run("6 * 7").text == "42"


def test_an_idle_kernel_is_not_touched(client: Client, kernel: KernelProcess, interrupt: Callable[[], None]) -> None:
    client.run("kept = 5")
    interrupt()
    client.nothing_more()
    assert client.run("kept").text == "5"
    assert kernel.alive


def test_completion_lives_through_an_interrupt(client: Client, interrupt: Callable[[], None]) -> None:
    running = client.start(f"import time\n{READY}time.sleep(3600)")
    client.printed(running, "ready\n")
    asked = client.send("complete_request", {"code": "impo", "cursor_pos": 4})
    interrupt()
    assert client.result(running).reply["ename"] == "KeyboardInterrupt"
    assert "import" in client.result(asked).reply["matches"]


def test_an_interrupt_never_leaks_into_the_next_cell(client: Client, interrupt: Callable[[], None]) -> None:
    # Sent together: it finds the first cell queued, running or gone; the next cell does not notice.
    for _ in range(30):
        first = client.start("x = 1", stop_on_error=False)
        interrupt()
        assert client.result(first).status in {"ok", "error"}
        client.nothing_more()
        assert client.run("x = 2\nx").text == "2"


@pytest.mark.parametrize("what", ["awaiting", "sleeping", "busy"])
def test_impatience_shows_nothing_of_the_machinery(client: Client, snippets: Snippets, ours: None, what: str) -> None:
    codes = {
        "awaiting": f"await {snippets.wait_forever}",
        "sleeping": "import time; time.sleep(3600)",
        "busy": "while True: pass",
    }
    for n in range(15):
        running = client.start(READY + codes[what])
        client.printed(running, "ready\n")
        interrupts = [client.send("interrupt_request", channel="control") for _ in range(1 + n % 4)]
        result = client.result(running)
        for msg_id in interrupts:
            client.result(msg_id)
        assert [content["ename"] for content in result.of("error")] == ["KeyboardInterrupt"]
        shown = "\n".join(result.reply["traceback"])
        assert not [
            word for word in ("async_kernel", "IPython/", "inspect.py", "outcome", "trio/", "asyncio/") if word in shown
        ], shown
        assert client.run("6 * 7").text == "42"


@pytest.mark.parametrize("how", ["message", "signal"])
def test_200_interrupts_leave_nothing_behind(start: Callable[..., KernelProcess], how: str, snippets: Snippets) -> None:
    kernel = start()  # where no other client's connections come and go
    client = kernel.client()
    client.warm_up()
    code = (  # the history's journal is there while an entry is written
        "import gc, os, threading; gc.collect()\n"
        "names = [os.path.realpath(f'/proc/self/fd/{each}') for each in os.listdir('/proc/self/fd')]\n"
        "[len([name for name in names if not name.endswith('-journal')]), threading.active_count()]"
    )

    def held() -> list[int]:
        """File descriptors and threads."""
        return json.loads(client.run(code).text or "")

    codes = [
        f"await {snippets.wait_forever}",
        "import time; time.sleep(3600)",
        "while True: pass",
        "import threading; threading.Event().wait()",
    ]
    for n in range(200 + len(codes)):
        if n == len(codes):  # what the first ones need is there to stay
            files, threads = held()
        running = client.start(codes[n % len(codes)])
        client.until(lambda msg_id=running: "execute_input" in client.so_far(msg_id).kinds, "the cell's start")
        if how == "message":
            client.interrupt()
        else:
            kernel.send_signal(signal.SIGINT)
        assert client.result(running).reply["ename"] == "KeyboardInterrupt", (n, codes[n % len(codes)])
        client.received.clear()
    assert held() == [files, threads]


CHILD_BLOCKS = {
    "computing": "while True: pass",
    "sleeping": "while True: time.sleep(0.05)",
}


@pytest.mark.parametrize(
    ("what", "where", "how"),
    [
        ("computing", "main", "interrupt"),
        ("computing", "main", "deadline"),
        ("computing", "subshell", "interrupt"),
        ("sleeping", "subshell", "cancel"),
        ("computing", "subshell", "deadline"),
        ("computing", "thread", "cancel"),
        ("sleeping", "thread", "deadline"),
    ],
)
def test_a_child_that_blocks_in_a_nursery_of_the_users(client: Client, what: str, where: str, how: str) -> None:
    header = {}
    if where == "subshell":
        header = {"subshell_id": client.request("create_subshell_request", channel="control").reply["subshell_id"]}
    thread = "# thread\n" if where == "thread" else ""
    running = client.start(
        f"{thread}import anyio, time\n"
        "async def child():\n"
        "    await anyio.sleep(0)\n"
        "    print('ready', flush=True)\n"
        f"    {CHILD_BLOCKS[what]}\n"
        "async with anyio.create_task_group() as tasks:\n"
        "    tasks.start_soon(child)\n"
        "    tasks.start_soon(anyio.sleep, 3600)",
        header=header,
        metadata={"timeout": 1.0} if how == "deadline" else None,
    )
    client.printed(running, "ready\n")
    if how == "interrupt":
        asked = client.send("interrupt_request", channel="control", **header)
        assert client.result(asked).status == "ok"
    elif how == "cancel":
        cancelled = client.request("cancel_request", {"msg_ids": [running]}, channel="control").reply["cancelled"]
        assert [each["state"] for each in cancelled] == ["blocking"]
    expected = {"interrupt": "KeyboardInterrupt", "cancel": "Cancelled", "deadline": "TimeoutError"}[how]
    assert client.result(running).reply["ename"] == expected
    assert client.result(client.start("6 * 7", header=header)).text == "42"

"""The end of a kernel: whatever stops it and whatever it is doing, it says goodbye and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from multiprocessing import shared_memory
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.e2e.harness.client import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess
    from tests.e2e.harness.snippets import Snippets

READY = "print('ready', flush=True)\n"


def stop_by_client(kernel: KernelProcess, client: Client) -> None:
    client.send("shutdown_request", {"restart": False}, channel="control")


def stop_by_sigterm(kernel: KernelProcess, client: Client) -> None:
    kernel.send_signal(signal.SIGTERM)


def stop_by_sighup(kernel: KernelProcess, client: Client) -> None:
    kernel.send_signal(signal.SIGHUP)


STOPS = {"client": stop_by_client, "SIGTERM": stop_by_sigterm, "SIGHUP": stop_by_sighup}


def occupy(client: Client, what: str, snippets: Snippets) -> str | None:
    """Give the kernel something to do; the msg_id of the running cell."""
    codes = {
        "idle": "",
        "awaiting": f"{READY}await {snippets.wait_forever}",
        "sleeping": f"import time\n{READY}time.sleep(3600)",
        "busy": f"{READY}while True: pass",
        "asking": f"{READY}input()",
        "child process": f"import subprocess\n{READY}subprocess.run(['sleep', '3600'])",
        "shell command": f"{READY}!sleep 3600",
    }
    if not codes[what]:
        client.run("1")
        return None
    running = client.start(codes[what])
    client.printed(running, "ready")
    return running


def gone(kernel: KernelProcess, *, code: int = 0) -> None:
    """It has ended with this exit code, without its children and its connection file."""
    assert kernel.exit_code() == code
    assert kernel.children() == []
    assert not kernel.connection_file.exists()


def test_a_cell_asks_for_a_new_kernel(start: Callable[..., KernelProcess], ours: None) -> None:
    kernel = start(writes_file=True)
    client = kernel.client()
    asked = client.start("get_ipython().kernel.do_shutdown(True)")
    gone(kernel)
    assert client.result(asked).text == "{'status': 'ok', 'restart': True}"


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("what", ["idle", "awaiting", "sleeping"])
def test_it_ends_when_told(
    start: Callable[..., KernelProcess], ours: None, snippets: Snippets, stop: str, what: str
) -> None:
    kernel = start(writes_file=True)
    client = kernel.client()
    running = occupy(client, what, snippets)
    kernel.children()
    STOPS[stop](kernel, client)
    gone(kernel)
    if running is not None:
        # The cell's client is told, whoever stopped the kernel.
        assert client.result(running).status == "error"


@pytest.mark.parametrize("what", ["busy", "asking", "child process", "shell command"])
def test_it_ends_whatever_it_does(
    start: Callable[..., KernelProcess], ours: None, snippets: Snippets, what: str
) -> None:
    kernel = start(writes_file=True)
    client = kernel.client()
    running = occupy(client, what, snippets)
    assert running is not None
    kernel.children()
    stop_by_client(kernel, client)
    gone(kernel)
    assert client.result(running).status == "error"


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("channel", ["control", "shell"])
def test_shutdown_is_answered(own_kernel: KernelProcess, restart: bool, channel: str) -> None:
    client = own_kernel.client()
    result = client.request("shutdown_request", {"restart": restart}, channel=channel)
    assert result.reply == {"status": "ok", "restart": restart}
    assert result.kinds == ["busy", "shutdown_reply", "idle"]
    assert result.of("shutdown_reply") == [{"status": "ok", "restart": restart}]
    assert own_kernel.exit_code() == 0
    assert client.received[-1].kind in {"idle", "shutdown_reply"}
    # It is the client's who wrote it.
    assert own_kernel.connection_file.exists()


def test_shutdown_answers_all_that_waits(own_kernel: KernelProcess, ours: None) -> None:
    client = own_kernel.client()
    running = client.start(f"import time\n{READY}time.sleep(3600)")
    queued = [client.start("1") for _ in range(3)]
    client.printed(running, "ready")
    client.nothing_more()  # of what was sent on shell before: shutdown comes on control
    shutdown = client.send("shutdown_request", {"restart": False}, channel="control")
    assert client.result(shutdown).status == "ok"
    assert client.result(running).status == "error"
    assert [client.result(msg_id).status for msg_id in queued] == ["aborted"] * 3
    kinds = [(r.parent_id, r.kind) for r in client.received if r.channel == "iopub"]
    assert kinds[-2:] == [(shutdown, "shutdown_reply"), (shutdown, "idle")]
    assert own_kernel.exit_code() == 0


def test_output_before_the_end_is_not_lost(own_kernel: KernelProcess, snippets: Snippets, ours: None) -> None:
    client = own_kernel.client()
    code = (
        f"for n in range(10_000): print(n)\ntry:\n    print('ready')\n    await {snippets.wait_forever}\n"
        "finally:\n    print('last words')"
    )
    running = client.start(code)
    client.printed(running, "ready")
    stop_by_client(own_kernel, client)
    result = client.result(running)
    assert result.stdout == "".join(f"{n}\n" for n in range(10_000)) + "ready\nlast words\n"
    assert own_kernel.exit_code() == 0


def test_a_cell_that_cleans_up_at_the_end_is_not_struck(
    own_kernel: KernelProcess, snippets: Snippets, ours: None
) -> None:
    # On a starved machine, the end of everything reaches the cell before the thread that cuts cells short does.
    client = own_kernel.client()
    code = f"""
import threading
kernel, main = get_ipython().kernel, threading.current_thread()
cleaning_up, struck, cut = threading.Event(), threading.Event(), kernel.interrupts.cut_all
def late():
    if threading.current_thread() is not main:
        cleaning_up.wait(30)
    cut()
    if threading.current_thread() is not main:
        struck.set()
kernel.interrupts.cut_all = late
try:
    print("ready")
    await {snippets.wait_forever}
finally:
    cleaning_up.set()
    print(struck.wait(30), "last words")
"""
    running = client.start(code)
    client.printed(running, "ready")
    stop_by_client(own_kernel, client)
    assert client.result(running).stdout == "ready\nTrue last words\n"
    assert own_kernel.exit_code() == 0


@pytest.mark.parametrize("where", ["cell", "thread"])
def test_it_can_be_stopped_from_inside(start: Callable[..., KernelProcess], ours: None, where: str) -> None:
    kernel = start(writes_file=True)
    client = kernel.client()
    calls = {"cell": "stop()", "thread": "import threading\nthreading.Thread(target=stop).start()"}
    client.start(
        f"from async_kernel.interface import BaseInterface\nstop = BaseInterface.instance().stop\n{calls[where]}"
    )
    gone(kernel)


def test_a_cell_that_does_not_end_is_left_after_the_grace_time(start: Callable[..., KernelProcess], ours: None) -> None:
    kernel = start("--BaseInterface.grace=0.5", writes_file=True)
    client = kernel.client()
    running = client.start(
        f"import time\n{READY}while True:\n    try: time.sleep(3600)\n    except BaseException: pass"
    )
    client.printed(running, "ready")
    shutdown = client.send("shutdown_request", {"restart": False}, channel="control")
    assert client.result(shutdown).status == "ok"
    gone(kernel, code=1)


def test_a_c_call_that_does_not_end_is_left_after_the_grace_time(
    start: Callable[..., KernelProcess], ours: None
) -> None:
    kernel = start("--BaseInterface.grace=0.5", writes_file=True)
    client = kernel.client()
    running = client.start(f"import hashlib\n{READY}hashlib.pbkdf2_hmac('sha256', b'x', b'y', 2_000_000_000)")
    client.printed(running, "ready")
    process = psutil.Process(kernel.pid)
    began = process.cpu_times().user
    wait_for(lambda: process.cpu_times().user > began + 0.3, "the call, which alone computes for so long")
    kernel.send_signal(signal.SIGTERM)
    gone(kernel, code=1)


SHIELDED = (
    "import anyio\nasync def stubborn():\n    with anyio.CancelScope(shield=True):\n        print('ready')\n"
    "        await anyio.sleep(3600)\n"
)


@pytest.mark.parametrize("nursery", ["session", "cell"])
def test_a_child_that_shields_itself_is_named(start: Callable[..., KernelProcess], ours: None, nursery: str) -> None:
    kernel = start("--BaseInterface.grace=0.5", writes_file=True)
    client = kernel.client()
    running = client.start(f"{SHIELDED}{nursery}.nursery.start_soon(stubborn)")
    client.printed(running, "ready")
    shutdown = client.send("shutdown_request", {"restart": False}, channel="control")
    assert client.result(shutdown).status == "ok"
    gone(kernel, code=1)
    [line] = [line for line in kernel.log.splitlines() if "did not stop" in line]
    assert line.endswith("task task-1 (stubborn) at In[1]:5, in stubborn.")


def test_a_subshell_that_has_just_begun_to_block_is_stopped(start: Callable[..., KernelProcess], ours: None) -> None:
    kernel = start(writes_file=True)
    client = kernel.client()
    subshell = client.request("create_subshell_request", channel="control").reply["subshell_id"]
    code = "import time\nprint('ready', flush=True)\nwhile True: time.sleep(0.01)"
    running = client.start(code, header={"subshell_id": subshell})
    client.printed(running, "ready")
    client.send("shutdown_request", {"restart": False}, channel="control")
    gone(kernel)
    assert client.result(running).status == "error"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_signal_to_a_forked_child_is_not_for_the_kernel(start: Callable[..., KernelProcess], ours: None) -> None:
    kernel = start(writes_file=True)
    client = kernel.client()
    pool = "with multiprocessing.get_context('fork').Pool(2) as pool: print(pool.map(abs, [-1, -2]))"  # ends by SIGTERM
    for _ in range(3):
        cell = client.run(f"import multiprocessing, warnings; warnings.simplefilter('ignore')\n{pool}")
        assert (cell.error, cell.stdout) == (None, "[1, 2]\n")
    child = (
        "import os, signal\nif (pid := os.fork()) == 0:\n    signal.pause()\n"
        "os.kill(pid, signal.SIGTERM)\nos.WTERMSIG(os.waitpid(pid, 0)[1])"
    )
    assert client.run(child).text == str(int(signal.SIGTERM))
    client.send("shutdown_request", {"restart": False}, channel="control")
    gone(kernel)


def test_threads_of_the_user_do_not_keep_it(start: Callable[..., KernelProcess], ours: None) -> None:
    kernel = start(writes_file=True)
    client = kernel.client()
    client.run("import threading, time\nthreading.Thread(target=time.sleep, args=(3600,)).start()")
    stop_by_client(kernel, client)
    gone(kernel)


def test_background_tasks_end_with_it(start: Callable[..., KernelProcess], ours: None, snippets: Snippets) -> None:
    kernel = start(writes_file=True)
    client = kernel.client()
    starting = client.start(
        f"async def work():\n    try:\n        await {snippets.wait_forever}\n    finally:\n"
        f"        print('task ended')\n{snippets.start_background}\nawait {snippets.sleep}"
    )
    client.result(starting)
    stop_by_client(kernel, client)
    client.printed(starting, "task ended")
    gone(kernel)


def test_child_processes_end_with_it(start: Callable[..., KernelProcess], ours: None) -> None:
    kernel = start(writes_file=True)
    client = kernel.client()
    client.run("import subprocess\np = subprocess.Popen(['sleep', '3600'])")
    client.run("!sleep 3600 &")
    assert len(kernel.children()) >= 1
    stop_by_client(kernel, client)
    gone(kernel)


@pytest.mark.skipif(os.name == "nt", reason="Windows frees shared memory itself, without a process that tracks it")
def test_what_multiprocessing_tracks_is_given_back(start: Callable[..., KernelProcess], ours: None) -> None:
    kernel = start(writes_file=True)
    client = kernel.client()
    client.run("from multiprocessing import shared_memory\nmemory = shared_memory.SharedMemory(create=True, size=10)")
    name = client.value("memory.name").strip("'")
    (tracker,) = kernel.children()
    stop_by_client(kernel, client)
    assert kernel.exit_code() == 0
    tracker.wait(10)
    assert "Killing child process" not in kernel.log
    with pytest.raises(FileNotFoundError):
        shared_memory.SharedMemory(name)


@pytest.mark.parametrize("what", ["idle", "sleeping", "awaiting"])
def test_it_ends_with_its_parent(
    start: Callable[..., KernelProcess], ours: None, snippets: Snippets, what: str
) -> None:
    with subprocess.Popen(["sleep", "3600"]) as parent:
        try:
            kernel = start(env={"JPY_PARENT_PID": str(parent.pid)}, writes_file=True)
            occupy(kernel.client(), what, snippets)
        finally:
            parent.kill()
    gone(kernel)


def test_it_ends_when_its_parent_had_gone_before(start: Callable[..., KernelProcess], ours: None) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as parent:
        pass
    kernel = start(env={"JPY_PARENT_PID": str(parent.pid)}, writes_file=True)
    gone(kernel)


def test_a_second_stop_changes_nothing(start: Callable[..., KernelProcess], ours: None) -> None:
    kernel = start(writes_file=True)
    client = kernel.client()
    running = client.start(f"import time\n{READY}time.sleep(3600)")
    client.printed(running, "ready")
    stop_by_client(kernel, client)
    for _ in range(3):
        kernel.send_signal(signal.SIGTERM)
    gone(kernel)


def test_history_is_kept_at_a_normal_end(start: Callable[..., KernelProcess], ours: None) -> None:
    first = start()
    client = first.client()
    client.run("kept_for_the_next_session = 1")
    stop_by_client(first, client)
    assert first.exit_code() == 0
    content = {"hist_access_type": "search", "pattern": "kept_for_the_next*", "raw": True, "output": False, "n": 5}
    found = start().client().request("history_request", content).reply["history"]
    assert [entry[2] for entry in found][-1] == "kept_for_the_next_session = 1"

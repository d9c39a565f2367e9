"""What happens to a kernel from outside: its machine, its files, its clients; the second table of docs/faults.md."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.e2e.harness.client import wait_for
from tests.e2e.harness.process import KernelProcess
from tests.torture.scale import of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.subject import Subject

pytestmark = pytest.mark.parametrize("backend", of(short=["trio"], long=["trio", "asyncio"]), scope="module")

NO_FILES = dict.fromkeys(("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"), "")
STOPPED_S = of(short=2.0, long=60.0)


@pytest.fixture
def start_in(subject: Subject, tmp_path: Path) -> Generator[Callable[..., KernelProcess]]:
    """Starts a kernel by a command that goes before its own."""
    kernels: list[KernelProcess] = []

    def start(*prefix: str, **env: str) -> KernelProcess:
        path = tmp_path / f"connection-{uuid.uuid4().hex[:8]}.json"
        command = [*prefix, *subject.command(str(path))]
        kernel = KernelProcess(command, path, env={"JPY_PARENT_PID": str(os.getpid()), **env}, folder=tmp_path)
        kernels.append(kernel)
        return kernel

    yield start
    for kernel in kernels:
        kernel.end()


def shell(limits: str) -> tuple[str, ...]:
    return ("sh", "-c", f'{limits}; exec "$@"', "sh")


def works_and_ends(kernel: KernelProcess) -> Client:
    client = kernel.client()
    result = client.run("print('well')\n6 * 7")
    assert (result.stdout, result.text) == ("well\n", "42")
    assert client.request("history_request", {"hist_access_type": "tail", "n": 5}).status == "ok"
    assert client.run("import time").status == "ok"
    client.send("shutdown_request", {"restart": False}, channel="control")
    assert kernel.exit_code() == 0
    return client


def test_a_home_that_cannot_be_written_to(start_in: Callable[..., KernelProcess], ours: None) -> None:
    works_and_ends(start_in(**NO_FILES, HOME="/proc", XDG_DATA_HOME="/proc", XDG_CONFIG_HOME="/proc"))


def test_no_home(start_in: Callable[..., KernelProcess], ours: None) -> None:
    unset = [word for name in (*NO_FILES, "HOME", "USER", "LOGNAME") for word in ("-u", name)]
    works_and_ends(start_in("env", *unset))


def test_64_descriptors(start_in: Callable[..., KernelProcess], ours: None) -> None:
    works_and_ends(start_in(*shell("ulimit -n 64")))


def test_a_full_disk_for_the_history(start_in: Callable[..., KernelProcess], tmp_path: Path, ours: None) -> None:
    # A file may not become larger than a connection file is.
    works_and_ends(start_in(*shell("ulimit -f 1"), IPYTHONDIR=str(tmp_path / "ipython")))


def test_a_full_disk_for_the_connection_file(start_in: Callable[..., KernelProcess], ours: None) -> None:
    kernel = start_in(*shell("ulimit -f 0"))
    assert kernel.exit_code() == 1
    assert not kernel.connection_file.exists()
    assert list(kernel.connection_file.parent.glob("connection-*")) == []


def test_stopped_and_continued(start_in: Callable[..., KernelProcess], ours: None) -> None:
    kernel = start_in()
    client = kernel.client()
    waiting = client.start("import anyio\nprint('ready')\nawait anyio.sleep(1)\n6 * 7")
    client.printed(waiting, "ready")
    kernel.send_signal(signal.SIGSTOP)
    wait_for(lambda: psutil.Process(kernel.pid).status() == psutil.STATUS_STOPPED, "the kernel to be stopped")
    try:
        sent = [client.start("1"), client.send("kernel_info_request", channel="control")]
        with pytest.raises(AssertionError, match="waited"):
            client.until(lambda: client.so_far(sent[1]).done, "an answer of a stopped kernel", timeout=STOPPED_S)
    finally:
        kernel.send_signal(signal.SIGCONT)
    assert client.result(waiting).text == "42"
    assert [client.result(msg_id).status for msg_id in sent] == ["ok", "ok"]
    works_and_ends(kernel)


PHASES = {
    "as soon as it is connected": "",
    "after it has sent": "kc.execute('x = 1')",
    "while its cell runs": "kc.execute('import time; time.sleep(0.2)'); until('busy')",
    "while its cell prints": "kc.execute('for n in range(200_000): print(n)'); until('stream')",
    "while its cell asks": "kc.execute('input()', allow_stdin=True); kc.get_stdin_msg(timeout=30)",
    "while its cell awaits": "kc.execute('import anyio; await anyio.sleep(0.2)'); until('busy')",
    "while it is behind with reading": "kc.execute('print(\"x\" * 10_000_000)'); until('execute_input')",
    "after the reply": "kc.execute('1'); kc.get_shell_msg(timeout=30)",
    "with many requests under way": "[kc.execute('1') for _ in range(200)]; until('busy')",
    "on control": "kc.control_channel.send(kc.session.msg('kernel_info_request'))",
}
VICTIM = """
import sys
from jupyter_client.blocking.client import BlockingKernelClient
kc = BlockingKernelClient(connection_file=sys.argv[1])
kc.load_connection_file()
kc.start_channels(hb=False)
kc.wait_for_ready(timeout=30)
def until(kind):
    while True:
        msg = kc.get_iopub_msg(timeout=30)
        if kind in (msg["msg_type"], msg["content"].get("execution_state")): return
{phase}
print("now", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("phase", PHASES)
def test_a_client_is_killed(kernel: KernelProcess, client: Client, ours: None, phase: str) -> None:
    source = VICTIM.format(phase=PHASES[phase])
    command = [sys.executable, "-c", source, str(kernel.connection_file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        said = victim.stdout.readline()
        victim.kill()
    assert said == b"now\n"
    if "asks" in phase:
        client.interrupt()  # nobody can answer any more
        client.run("")  # may be aborted with what waits behind the interrupted cell
    result = client.run("6 * 7", timeout=60)
    assert result.text == "42"
    wait_for(lambda: client.request("kernel_info_request", channel="control").status == "ok", "an answer")
    assert kernel.alive

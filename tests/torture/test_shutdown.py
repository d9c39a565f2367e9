"""The end of a kernel: states × ways to stop it; see docs/shutdown.md, which has the table and its times."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.e2e.harness.debugging import Session
from tests.torture.scale import LONG, of, record

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess
    from tests.e2e.harness.snippets import Snippets

SECONDS = 1.0
PROMPT = 1 * SECONDS
GRACE = of(short=0.5 * SECONDS, long=5 * SECONDS)
SLACK = of(short=8 * SECONDS, long=2 * SECONDS)
"""What a machine that others use, too, may add; the real times are recorded."""

LINES = "".join(f"{n}\n" for n in range(2_000))


@dataclass(frozen=True)
class State:
    """What a kernel may be doing.

    Attributes:
        code: of the cell, which prints ``ready`` when it is so far; ``{forever}`` is an awaitable.
        runs: whether the cell goes on until the end, and is answered then.
        in_subshell: whether it is a cell of a subshell.
        debugged: whether a debugger is attached, and waited for until it has stopped the cell.
        bound: seconds until the process has ended.
        code_at_end: the exit code.
    """

    code: str
    runs: bool = True
    in_subshell: bool = False
    debugged: bool = False
    bound: float = PROMPT
    code_at_end: int = 0

    def bring_about(self, client: Client, snippets: Snippets) -> str:
        """Have the kernel do it, after printing :data:`LINES`.

        Returns:
            The id of the message that asked for the cell.
        """
        header = {}
        if self.in_subshell:
            header["subshell_id"] = client.request("create_subshell_request", channel="control").reply["subshell_id"]
        debugger = Session(client)
        if self.debugged:
            debugger.attach()
        code = f"for n in range(2000): print(n)\n{self.code.replace('{forever}', snippets.wait_forever)}"
        running = client.start(code, header=header)
        client.printed(running, "ready")
        if self.debugged:
            debugger.stopped()
        if not self.runs:
            client.result(running)
        return running


STATES = {
    "idle": State("print('ready')", runs=False),
    "blocking": State("import time\nprint('ready')\ntime.sleep(3600)"),
    "computing": State("print('ready')\nwhile True: pass"),
    "awaiting": State("print('ready')\nawait {forever}"),
    "in C code": State(
        "import hashlib\nprint('ready')\nhashlib.pbkdf2_hmac('sha256', b'x', b'y', 2_000_000_000)",
        bound=GRACE,
        code_at_end=1,
    ),
    "in C code that holds the GIL for 2 s": State(
        "import time\nprint('ready', flush=True)\ntime.sleep(0.1)\nbegan = time.monotonic()\n"
        "while time.monotonic() < began + 2: sum(range(10_000_000))",
        bound=PROMPT + 1 * SECONDS,
    ),
    "in input()": State("print('ready')\ninput()"),
    "in pdb": State("import pdb\nprint('ready')\npdb.set_trace()"),
    "at a breakpoint": State("print('ready', flush=True)\nbreakpoint()\nwhile True: pass", debugged=True),
    "1000 background tasks": State(
        "import anyio\nfor _ in range(1000): nursery.start_soon(anyio.sleep_forever)\nprint('ready')", runs=False
    ),
    "shielded": State(
        "import anyio\nprint('ready')\nwith anyio.CancelScope(shield=True): await anyio.sleep(3600)",
        bound=GRACE,
        code_at_end=1,
    ),
    "a thread that never ends": State(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,)).start()\nprint('ready')",
        runs=False,
    ),
    "a subshell blocks": State("import time\nprint('ready')\nwhile True: time.sleep(0.1)", in_subshell=True),
    "a subshell awaits": State("print('ready')\nawait {forever}", in_subshell=True),
    "a child process is waited for": State(
        "import subprocess\nprint('ready', flush=True)\nsubprocess.run(['sleep', '3600'])"
    ),
    "child processes run": State(
        "import subprocess\nchildren = [subprocess.Popen(['sleep', '3600']) for _ in range(3)]\nprint('ready')",
        runs=False,
    ),
}


@dataclass
class Stopper:
    """Stops one kernel."""

    kernel: KernelProcess
    client: Client
    parent: subprocess.Popen[bytes]
    asked: str | None = None

    def shutdown_request(self) -> None:
        self.asked = self.client.send("shutdown_request", {"restart": False}, channel="control")

    def restart(self) -> None:
        self.asked = self.client.send("shutdown_request", {"restart": True}, channel="control")

    def sigterm(self) -> None:
        self.kernel.send_signal(signal.SIGTERM)

    def sighup(self) -> None:
        self.kernel.send_signal(signal.SIGHUP)

    def parent_death(self) -> None:
        self.parent.kill()

    def stop(self) -> None:
        """``stop()`` in a thread of the kernel, which waits for somebody to open a pipe."""
        os.close(os.open(self.kernel.connection_file.with_suffix(".stop"), os.O_WRONLY))


WAYS = {
    "shutdown_request": Stopper.shutdown_request,
    "restart": Stopper.restart,
    "SIGTERM": Stopper.sigterm,
    "SIGHUP": Stopper.sighup,
    "parent death": Stopper.parent_death,
    "stop()": Stopper.stop,
}
LISTEN = (
    "import os, threading\nfrom async_kernel.interface import BaseInterface\n"
    "def listen(path={path!r}, interface=BaseInterface.instance()):\n"
    "    os.close(os.open(path, os.O_RDONLY))\n    interface.stop()\n"
    "threading.Thread(target=listen, daemon=True).start()"
)

# In the short form every state is stopped once on one backend, and every way is taken a few times.
CELLS = [
    pytest.param(backend, state, way, id=f"{state}-{way}-{backend}")
    for number, state in enumerate(STATES)
    for at, way in enumerate(WAYS)
    for backend in (["trio", "asyncio"] if LONG else [("trio", "asyncio")[number % 2]])
    if LONG or (number + number // len(WAYS)) % len(WAYS) == at
    # The thread that would call it is one of the user's, which a debugger stops, too.
    if (state, way) != ("at a breakpoint", "stop()")
]


@pytest.fixture
def parent() -> Generator[subprocess.Popen[bytes]]:
    """Somebody who is said to have started the kernel."""
    with subprocess.Popen(["sleep", "3600"]) as parent:
        yield parent
        parent.kill()


@pytest.mark.parametrize(("backend", "state", "way"), CELLS, scope="module")
def test_it_ends(
    start: Callable[..., KernelProcess],
    parent: subprocess.Popen[bytes],
    ours: None,
    snippets: Snippets,
    state: str,
    way: str,
    backend: str,
) -> None:
    what = STATES[state]
    grace = GRACE if what.code_at_end else 5 * SECONDS
    kernel = start(f"--BaseInterface.grace={grace}", env={"JPY_PARENT_PID": str(parent.pid)}, writes_file=True)
    client = kernel.client()
    pipe = kernel.connection_file.with_suffix(".stop")
    os.mkfifo(pipe)
    if way == "stop()":
        assert client.run(LISTEN.format(path=str(pipe))).status == "ok"
    running = what.bring_about(client, snippets)
    kernel.children()

    began = time.monotonic()
    stopper = Stopper(kernel, client, parent)
    WAYS[way](stopper)
    assert kernel.exit_code(what.bound + SLACK) == what.code_at_end
    took = time.monotonic() - began

    record("shutdown", state=state, way=way, backend=backend, seconds=round(took, 2), code=what.code_at_end)
    assert kernel.children() == []
    assert not kernel.connection_file.exists()
    result = client.result(running)
    assert result.stdout.startswith(LINES + "ready\n")
    assert result.status == ("error" if what.runs else "ok")
    if stopper.asked is not None:
        assert client.result(stopper.asked).reply == {"status": "ok", "restart": way == "restart"}

"""The end of a kernel in a program: states × ways to stop it; the second table of docs/shutdown.md.

The interface ends as a launched kernel does, and the program goes on. When user code cannot be stopped, the program is
told, and waits for it; nobody can end what blocks the program's own thread, for there is no signal handler.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.e2e.harness.client import wait_for
from tests.e2e.harness.process import start_program
from tests.torture.scale import LONG, of, record
from tests.torture.test_shutdown import LINES, PROMPT, SECONDS, SLACK, STATES

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.e2e.harness.process import KernelProcess
    from tests.e2e.harness.snippets import Snippets
    from tests.e2e.harness.subject import Home

GRACE = of(short=0.5 * SECONDS, long=5 * SECONDS)

PROGRAM = """
import sys, threading
import anyio
from anyio.from_thread import BlockingPortal
from async_kernel import Interface

async def main():
    leave = anyio.Event()
    def listen(interface, scope, portal):
        with open(sys.argv[1] + ".orders") as orders:
            order = orders.read()
        if order == "stop()":
            interface.stop()
        else:
            portal.start_task_soon({"leaving": leave.set, "scope cancel": scope.cancel}[order])
    async with BlockingPortal() as portal:
        with anyio.CancelScope() as scope:
            options = ["--connection_file=" + sys.argv[1], "--BaseInterface.grace=%s"]
            async with Interface(options) as interface:
                threading.Thread(target=listen, args=(interface, scope, portal), daemon=True).start()
                await leave.wait()
        print("the program goes on", scope.cancelled_caught, flush=True)

anyio.run(main, backend=%r)
"""


@dataclass(frozen=True)
class Way:
    """How it is stopped.

    Attributes:
        asks: the request that a client sends, if it is a client.
        needs_loop: whether the program's loop has to turn for it, which a cell may block.
    """

    asks: dict[str, bool] | None = None
    needs_loop: bool = False


WAYS = {
    "shutdown_request": Way({"restart": False}),
    "restart": Way({"restart": True}),
    "stop()": Way(),
    "scope cancel": Way(needs_loop=True),
    "leaving": Way(needs_loop=True),
}
IN_THE_WAY = {
    "blocking",
    "computing",
    "in C code",
    "in C code that holds the GIL for 2 s",
    "in input()",
    "in pdb",
    "at a breakpoint",
    "a child process is waited for",
}
"""States in which the cell keeps the program's loop from turning."""
WAITS = {"blocking", "in C code", "shielded", "a child process is waited for"}
"""States that nobody can end from inside without a signal: the program is told, and waits."""

CELLS = [
    pytest.param(backend, state, way, id=f"{state}-{way}-{backend}")
    for number, state in enumerate(STATES)
    for at, way in enumerate([way for way in WAYS if not (WAYS[way].needs_loop and state in IN_THE_WAY)])
    for backend in (["trio", "asyncio"] if LONG else [("trio", "asyncio")[number % 2]])
    if LONG or number % (3 if state in IN_THE_WAY else 5) == at
    if (state, way) != ("at a breakpoint", "stop()")  # the debugger has stopped the program's threads, too
]


@pytest.fixture
def program(home: Home, tmp_path: Path, backend: str, state: str) -> Generator[KernelProcess]:
    path = tmp_path / "connection.json"
    os.mkfifo(f"{path}.orders")
    grace = GRACE if state in WAITS else 5 * SECONDS
    with start_program(home, PROGRAM % (grace, backend), folder=tmp_path, connection_file=path) as program:
        yield program


@pytest.mark.parametrize(("backend", "state", "way"), CELLS, scope="module")
def test_it_ends_and_the_program_goes_on(
    program: KernelProcess, ours: None, snippets: Snippets, state: str, way: str, backend: str
) -> None:
    what = STATES[state]
    client = program.client()
    running = what.bring_about(client, snippets)
    program.children()

    began = time.monotonic()
    asked = None
    if (content := WAYS[way].asks) is not None:
        asked = client.send("shutdown_request", dict(content), channel="control")
    else:
        with open(f"{program.connection_file}.orders", "w") as orders:  # noqa: PTH123 -- a pipe
            orders.write(way)
    until = GRACE if state in WAITS else what.bound
    said = "waiting for user code that does not stop" if state in WAITS else "the program goes on"
    wait_for(lambda: said in program.log, f"{said!r} in {program.log}", timeout=until + SLACK)
    took = time.monotonic() - began
    record("shutdown, embedded", state=state, way=way, backend=backend, seconds=round(took, 2), waits=state in WAITS)

    assert program.alive or state not in WAITS
    assert program.log.count("waiting for user code") == (1 if state in WAITS else 0)
    if state in WAITS:
        return
    assert f"the program goes on {way == 'scope cancel'}" in program.log
    assert not program.connection_file.exists()
    result = client.result(running)
    assert result.stdout.startswith(LINES + "ready\n")
    # What holds the GIL ends by itself, and may have done so on a starved machine.
    assert result.status in (("error", "ok") if "GIL" in state else ("error",) if what.runs else ("ok",))
    if asked is not None:
        assert client.result(asked).reply == {"status": "ok", "restart": way == "restart"}
    if state == "child processes run":
        assert program.children() != []  # a program's children are its own
    elif state != "a thread that never ends":
        assert program.exit_code(PROMPT + SLACK) == 0

"""Starting and ending: from the spawn to the first replies, the import of its modules, the shutdown.

A *cold* start is a new process; the files are in the system's cache after the first of them, whose figures
are not used (every environment is started once before the run).
"""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from benchmarks.client import ANSWER_TIMEOUT
from benchmarks.errors import KernelError, NoAnswerError
from benchmarks.measures.introspection import begin_cell
from benchmarks.model import Effort, Feature, Figure, Probe
from benchmarks.session import START_TIMEOUT, attach

if TYPE_CHECKING:
    from benchmarks.model import Readings
    from benchmarks.session import Session
    from benchmarks.stage import Stage

__all__ = ["PROBES"]

FIRST_INFO = Figure("start_kernel_info", "spawn → first kernel_info reply")
FIRST_EXECUTE = Figure("start_execute", "spawn → first execute reply")
FIRST_COMPLETE = Figure("complete_cold", "first completion of a new kernel")
SHUTDOWN = Figure("shutdown", "shutdown request → process exit, idle")
BUSY_SECONDS = 5
SHUTDOWN_BUSY = Figure("shutdown_busy", f"shutdown request → process exit, during time.sleep({BUSY_SECONDS})")
IMPORT = Figure("import_time", "import of its modules in a new interpreter")


def _first_reply(session: Session, msg_id: str) -> float:
    """The moment when the reply to a request came that was sent before there was anybody to answer it."""
    deadline = session.spawned + START_TIMEOUT
    while True:
        try:
            session.client.reply_to(msg_id, timeout=1.0)
        except NoAnswerError:
            if session.process.poll() is not None:
                raise KernelError(f"it ended while starting: {session.last_words()}") from None
            if time.perf_counter() > deadline:
                raise
            continue
        return time.perf_counter()


def start_and_end(stage: Stage) -> Readings:
    """Start a kernel as a front-end does: kernel_info first, a cell when it is answered; then shut it down."""
    with stage.spawn() as session:
        client = session.client
        told = _first_reply(session, client.send("kernel_info_request", {}))
        executed = _first_reply(session, client.send_cell("pass"))
        attach(session)
        readings = {
            FIRST_INFO.name: (told - session.spawned) * 1e3,
            FIRST_EXECUTE.name: (executed - session.spawned) * 1e3,
        }
        if Feature.introspects in stage.kernel.features:
            client.run("import os")
            took, _ = client.request("complete_request", {"code": "os.pa", "cursor_pos": 5})
            readings[FIRST_COMPLETE.name] = took * 1e3
        readings[SHUTDOWN.name] = session.shut_down() * 1e3
        return readings


def shut_down_while_busy(stage: Stage) -> Readings:
    """Shut a kernel down that sits in a blocking call; a kernel that waits for the call to end shows it."""
    with stage.open() as session:
        begin_cell(session.client, f"time.sleep({BUSY_SECONDS})")
        return {SHUTDOWN_BUSY.name: session.shut_down(timeout=ANSWER_TIMEOUT) * 1e3}


def import_modules(stage: Stage) -> Readings:
    """Import what the kernel's command imports, in an interpreter of its own, timed inside of it."""
    code = f"import time; t = time.perf_counter()\nimport {stage.kernel.imports}\nprint(time.perf_counter() - t)"
    command = [str(stage.environment.python), "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=stage.folder, timeout=60)
    if done.returncode:
        raise KernelError(f"import failed: {done.stderr.strip().splitlines()[-1]}")
    return {IMPORT.name: float(done.stdout.split()[-1]) * 1e3}


PROBES = (
    Probe(
        name="start",
        family="start",
        title="cold start, first replies, shutdown",
        figures=(FIRST_INFO, FIRST_EXECUTE, FIRST_COMPLETE, SHUTDOWN),
        run=start_and_end,
        rounds=Effort(3, 11),
    ),
    Probe(
        name="import",
        family="start",
        title="import time",
        figures=(IMPORT,),
        run=import_modules,
        rounds=Effort(3, 11),
    ),
    Probe(
        name="shutdown_busy",
        family="start",
        title="shutdown of a kernel that blocks",
        figures=(SHUTDOWN_BUSY,),
        run=shut_down_while_busy,
        needs=frozenset({Feature.executes}),
        rounds=Effort(1, 3),
        long_only=True,
    ),
)

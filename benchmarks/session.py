"""One running kernel: its process, its connection and a client that is attached to it.

:func:`open_session` starts and ends it: whatever happens inside, the process is gone afterwards. A session is
*attached* when the kernel has answered a request and the client has seen it on iopub, so that no output of
a later cell can be missed for lack of a subscription.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.client import Client
from benchmarks.connection import Connection
from benchmarks.errors import KernelError, NoAnswerError
from benchmarks.process import cpu_seconds, wait_for_exit

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from benchmarks.environments import Environment
    from benchmarks.kernels import Kernel

__all__ = ["Session", "attach", "open_session", "spawn"]

START_TIMEOUT = 30.0
"""Seconds: a first start reads a few thousand files, also from a cold disk; more than this is a kernel that hangs."""


@dataclass(slots=True)
class Session:
    """A kernel's process with its client; ``spawned`` is the moment of its start, perf_counter seconds."""

    kernel: Kernel
    process: subprocess.Popen[bytes]
    connection: Connection
    client: Client
    spawned: float
    log: Path

    def cpu(self) -> float:
        """CPU seconds used so far."""
        return cpu_seconds(self.process.pid)

    def interrupt(self) -> None:
        """Interrupt as the kernel's kernelspec says: by message or by SIGINT."""
        if self.kernel.interrupt_by_signal:
            os.kill(self.process.pid, signal.SIGINT)
        else:
            self.client.send("interrupt_request", {}, channel="control")

    def shut_down(self, *, timeout: float = 20.0) -> float:
        """Ask it to end; return the seconds until the process is gone."""
        started = time.perf_counter()
        self.client.send("shutdown_request", {"restart": False}, channel="control")
        return wait_for_exit(self.process, timeout) - started

    def last_words(self) -> str:
        """The end of what the process wrote to its own stdout and stderr."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else ""


def attach(session: Session, *, timeout: float = START_TIMEOUT) -> None:
    """Wait until the kernel answers and iopub is heard.

    Raises:
        KernelError: if the process ended instead.
        NoAnswerError: if it runs and says nothing.
    """
    client, deadline = session.client, time.perf_counter() + timeout
    while time.perf_counter() < deadline:
        msg_id = client.send("kernel_info_request", {})
        with contextlib.suppress(NoAnswerError):
            client.reply_to(msg_id, timeout=1.0)
            client.outputs_until_idle(msg_id, timeout=0.2)
            return
        if session.process.poll() is not None:
            raise KernelError(f"it ended with code {session.process.returncode}: {session.last_words()}")
    raise NoAnswerError(f"it did not answer within {timeout:g} s of its start")


@contextlib.contextmanager
def spawn(kernel: Kernel, environment: Environment, folder: Path) -> Generator[Session]:
    """Start a kernel's process, not waiting for anything; kill it on leaving if it still runs."""
    folder.mkdir(parents=True, exist_ok=True)
    connection = Connection.choose()
    file = folder / f"kernel-{connection.key}.json"
    connection.write(file)
    argv = kernel.command(environment, file)
    log = file.with_suffix(".log")
    client = Client(connection)
    with contextlib.closing(client), log.open("wb") as output:
        spawned = time.perf_counter()
        # In a session of its own, as Jupyter's launcher does: Ctrl-C in the terminal is ours alone.
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env=_surroundings(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield Session(kernel, process, connection, client, spawned, log)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            file.unlink(missing_ok=True)


@contextlib.contextmanager
def open_session(kernel: Kernel, environment: Environment, folder: Path) -> Generator[Session]:
    """A kernel that is attached and has run its set-up cell; asked to end on leaving, killed if it does not."""
    with spawn(kernel, environment, folder) as session:
        attach(session)
        if kernel.set_up:
            session.client.run(kernel.set_up)
        yield session
        with contextlib.suppress(NoAnswerError):
            session.shut_down(timeout=3.0)


def _surroundings(folder: Path) -> dict[str, str]:
    """The environment variables of a kernel: the user's, without what would make kernels unlike each other."""
    unwanted = ("PYTHON", "IPYTHON", "JUPYTER", "JPY", "MPLBACKEND", "VIRTUAL_ENV", "COVERAGE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    state = {
        "IPYTHONDIR": folder / "ipython",
        "JUPYTER_CONFIG_DIR": folder / "config",
        "JUPYTER_DATA_DIR": folder / "data",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
    }
    # As Jupyter's launcher does: kernels that watch their parent shall watch it here too.
    return {**kept, **{name: str(path) for name, path in state.items()}, "JPY_PARENT_PID": str(os.getpid())}

"""A kernel in a process of its own, which certainly ends: by itself, or killed by its id when the test is over."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil
from jupyter_client.connect import write_connection_file

from tests.e2e.harness.client import Client, wait_for
from tests.e2e.harness.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.e2e.harness.subject import Home, Subject

SECONDS = 1.0
EXIT = 10 * SECONDS
"""More than any orderly stop may take: a kernel that is idle has one second, one that blocks has its grace time."""


class KernelProcess:
    """A started kernel.

    Args:
        command: what to run.
        connection_file: where it will be found.
        env: added to the environment.
        folder: where it runs and leaves its log.
        terminal: a descriptor for its stdout and stderr, instead of the log.
    """

    def __init__(
        self,
        command: Sequence[str],
        connection_file: Path,
        *,
        env: Mapping[str, str],
        folder: Path,
        terminal: int | None = None,
    ) -> None:
        self.command = list(command)
        self.connection_file = connection_file
        self._log = folder / f"kernel-{uuid.uuid4().hex[:8]}.log"
        self._clients: list[Client] = []
        self._known_children: dict[int, psutil.Process] = {}
        with self._log.open("wb") as log:
            # A session of its own, as with jupyter_client: Ctrl-C in the terminal of the tests is not for the kernel.
            self.popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log if terminal is None else terminal,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env},
                cwd=folder,
                start_new_session=True,
            )

    # -- its life ------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    @property
    def log(self) -> str:
        """What it wrote to its own terminal."""
        return self._log.read_text(errors="replace")

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def exit_code(self, timeout: float = EXIT) -> int:
        """Wait for its end.

        Raises:
            AssertionError: if it does not come; with the stacks of its threads.
        """
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the kernel still runs after {timeout} s\n{self.stacks()}\n{self.log}") from None

    def children(self) -> list[psutil.Process]:
        """Its child processes now; they are remembered, to be found when their parent has gone."""
        if self.alive:
            for child in psutil.Process(self.pid).children(recursive=True):
                self._known_children[child.pid] = child
        return [child for child in self._known_children.values() if _lives(child)]

    def stacks(self) -> str:
        """Where its threads are, if py-spy is there to tell."""
        spy = shutil.which("py-spy") or Path(sys.executable).with_name("py-spy")
        if not Path(spy).exists() or not self.alive:
            return ""
        return subprocess.run(
            [spy, "dump", "--pid", str(self.pid)], capture_output=True, text=True, timeout=30, check=False
        ).stdout

    def end(self) -> None:
        """Make sure that nothing of it is left."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        left = self.children()
        if self.alive:
            self.send_signal(signal.SIGKILL)
        for child in left:
            child.kill()
        self.popen.wait(10)
        self.connection_file.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    # -- its clients -----------------------------------------------------------------------------------------------

    def wait_connection_file(self, timeout: float = 30 * SECONDS) -> Path:
        """Wait until it has said where its sockets are."""

        def written() -> bool:
            assert self.alive, f"the kernel ended with {self.popen.returncode}\n{self.log}"
            return self.connection_file.exists()

        wait_for(written, "the connection file", timeout=timeout)
        return self.connection_file

    def client(self, *, ready: bool = True) -> Client:
        """A new client, closed with the process at the latest.

        Args:
            ready: wait until the kernel has answered it, and its iopub subscription works.
        """
        self.wait_connection_file()
        client = Client(self.connection_file, explain=self._explain)
        self._clients.append(client)
        if ready:
            client.ready()
        return client

    def _explain(self) -> str:
        state = "runs" if self.alive else f"ended with {self.popen.returncode}"
        return f"kernel {self.pid} {state}\n{self.stacks()}\nits log:\n{self.log}"


def start_kernel(
    subject: Subject,
    *options: str,
    folder: Path,
    env: Mapping[str, str] | None = None,
    writes_file: bool = False,
    edit: Callable[[Path], object] | None = None,
    terminal: int | None = None,
    python: str | None = None,
) -> KernelProcess:
    """Start the kernel under test by its kernelspec.

    Args:
        options: more command-line options.
        env: more environment variables. ``JPY_PARENT_PID`` is this process, as jupyter_client says.
        writes_file: whether the kernel chooses its ports and writes the connection file, as when a user starts it;
            otherwise it finds one, as when a client starts it.
        edit: called with that file before it starts.
        terminal: a descriptor for its stdout and stderr, instead of its log.
        python: the interpreter, instead of that of the kernelspec.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"connection-{uuid.uuid4().hex[:8]}.json"
    if not writes_file:
        ports = dict(
            zip(("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port"), free_ports(5), strict=True)
        )
        write_connection_file(str(path), ip="127.0.0.1", key=uuid.uuid4().hex.encode(), **ports)
        if edit is not None:
            edit(path)
    environment = {**subject.spec.get("env", {}), "JPY_PARENT_PID": str(os.getpid()), **(env or {})}
    command = [*subject.command(str(path)), *options]
    if python is not None:
        command[0] = python
    return KernelProcess(command, path, env=environment, folder=folder, terminal=terminal)


def start_program(home: Home, source: str, *, folder: Path, connection_file: Path) -> KernelProcess:
    """Start a program that embeds a kernel.

    Args:
        source: its Python source, which finds the path of its connection file in ``sys.argv[1]``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / f"program-{uuid.uuid4().hex[:8]}.py"
    script.write_text(source)
    command = [sys.executable, "-u", str(script), str(connection_file)]
    return KernelProcess(command, connection_file, env=home.environment, folder=folder)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

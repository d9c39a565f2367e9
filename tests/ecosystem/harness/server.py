"""Jupyter's servers in processes of their own, and a client of their REST and websocket interface.

The client is what a browser is to them: it starts kernels by REST, and talks to each over one websocket.
"""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from websocket import WebSocket, create_connection

from tests.e2e.harness.client import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

SECONDS = 1.0
PATIENCE = 30 * SECONDS


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        url: where it listens, without a slash at the end.
        token: what lets clients in.
        log: what it says.
    """

    url: str
    token: str
    log: Path

    def ask(self, method: str, path: str, content: object = None) -> Any:
        """A request to its REST interface; the JSON that it answers, or None."""
        data = None if content is None else json.dumps(content).encode()
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}{path}", data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            text = response.read()
        return json.loads(text) if text else None

    @property
    def answers(self) -> bool:
        try:
            return bool(self.ask("GET", "/api/kernelspecs"))
        except urllib.error.URLError:
            return False

    @contextmanager
    def kernel(self, name: str) -> Generator[RemoteKernel]:
        """Start a kernel; leaving shuts it down, if it is still there."""
        ident = self.ask("POST", "/api/kernels", {"name": name})["id"]
        kernel = RemoteKernel(self, ident)
        try:
            yield kernel
        finally:
            kernel.disconnect()
            if any(each["id"] == ident for each in self.ask("GET", "/api/kernels")):
                self.ask("DELETE", f"/api/kernels/{ident}")


@contextmanager
def started(*command: str, folder: Path, option: str = "ServerApp") -> Generator[Server]:
    """Start a server with ``python -m``; leaving ends it and its kernels.

    Args:
        command: the module and its options.
        folder: where it runs, and leaves its log.
        option: the class that its options for port and token belong to.
    """
    token = secrets.token_hex(16)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / f"{command[0]}.log"
    auth = option if option != "ServerApp" else "IdentityProvider"
    address = (f"--{option}.ip=127.0.0.1", f"--{option}.port={port}", f"--{option}.port_retries=0")
    arguments = [sys.executable, "-m", *command, *address, f"--{auth}.{'auth_' * (auth == option)}token={token}"]
    with (
        log.open("wb") as said,
        subprocess.Popen(arguments, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said) as process,
    ):
        server = Server(f"http://127.0.0.1:{port}", token, log)
        try:
            wait_for(lambda: process.poll() is not None or server.answers, f"{command[0]} to answer", timeout=PATIENCE)
            assert process.poll() is None, log.read_text()
            yield server
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


@dataclass
class Cell:
    """A cell that was sent.

    Attributes:
        ident: its message's id.
        messages: what has come of it so far.
    """

    ident: str
    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def printed(self) -> str:
        return "".join(each["content"]["text"] for each in self.messages if each["msg_type"] == "stream")

    @property
    def reply(self) -> dict[str, Any] | None:
        replies = [each["content"] for each in self.messages if each["msg_type"] == "execute_reply"]
        return replies[0] if replies else None

    @property
    def idle(self) -> bool:
        return any(each["content"].get("execution_state") == "idle" for each in self.messages)


class RemoteKernel:
    """A kernel of a server, and the websocket to it."""

    def __init__(self, server: Server, ident: str) -> None:
        self._server = server
        self._session = uuid.uuid4().hex
        self.ident = ident
        self.socket = self._connect()

    def _connect(self) -> WebSocket:
        address = self._server.url.replace("http", "ws", 1)
        path = f"/api/kernels/{self.ident}/channels?session_id={self._session}"
        headers = {"Authorization": f"token {self._server.token}"}
        return create_connection(address + path, header=headers, timeout=PATIENCE)

    def disconnect(self) -> None:
        self.socket.close()

    def send(self, msg_type: str, content: dict[str, Any], channel: str = "shell") -> str:
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": msg_type,
            "session": self._session,
            "username": "",
            "version": "5.4",
            "date": "2020-01-01T00:00:00Z",
        }
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": channel}
        self.socket.send(json.dumps(message))
        return header["msg_id"]

    def receive(self) -> dict[str, Any]:
        """The next message, of any request."""
        return json.loads(self.socket.recv())

    def start(self, code: str) -> Cell:
        """Send a cell."""
        content: dict[str, Any] = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": True,
        }
        return Cell(self.send("execute_request", content))

    def until(self, cell: Cell, condition: Callable[[], object]) -> Cell:
        """Receive until something is so with a cell."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"waited {PATIENCE} s; came: {cell.messages}"
            message = self.receive()
            if message["parent_header"].get("msg_id") == cell.ident:
                cell.messages.append(message)
                if message["msg_type"] == "input_request":
                    self.send("input_reply", {"value": "Ada", "status": "ok"}, "stdin")
        return cell

    def run(self, code: str) -> Cell:
        """Run a cell to its end; it gets the answer ``Ada`` to all it asks."""
        cell = self.start(code)
        return self.until(cell, lambda: cell.reply and cell.idle)

    def interrupt(self) -> None:
        self._server.ask("POST", f"/api/kernels/{self.ident}/interrupt")

    def restart(self) -> None:
        """Restart the kernel, and connect anew, as JupyterLab does."""
        self._server.ask("POST", f"/api/kernels/{self.ident}/restart")
        self.disconnect()
        self.socket = self._connect()

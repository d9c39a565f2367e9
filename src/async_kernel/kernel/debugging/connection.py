"""A connection to debugpy, which runs in this process: the Debug Adapter Protocol over a loopback socket.

debugpy is told to dial us, as it dials its own adapter; so no port is open for longer than it takes, and a secret that
it repeats proves that it is debugpy which came. It stays connected until the process ends, for debugpy connects once;
debugging sessions come and go over this one connection.

The messages are a header, ``Content-Length: N``, an empty line, and N bytes of JSON. Requests have numbers (``seq``),
by which their responses are found; events come in between. debugpy's own threads are its affair: nobody else could own
them, and they end with the process.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import secrets
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import SocketAttribute

from async_kernel.lifetime.late_import import late_import
from async_kernel.lifetime.owned_thread import run_in_owned_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from anyio.abc import ByteStream, SocketStream

__all__ = ["HANDSHAKE", "Connection", "ConnectionLostError", "connected", "part_from_debugpy"]

Message = dict[str, Any]

_LOOPBACK = "127.0.0.1"


HANDSHAKE: dict[str, Message] = {
    "initialize": {
        "clientID": "async-trio",
        "adapterID": "debugpy",
        "pathFormat": "path",
        "linesStartAt1": True,
        "columnsStartAt1": True,
        "supportsVariableType": True,
    }
}
"""Arguments of the commands that open a session."""


class ConnectionLostError(Exception):
    """debugpy has closed the connection."""


class Connection:
    """Requests to debugpy, and the events that come from it.

    Args:
        stream: connected to debugpy.
        on_event: called with each event, in order.
    """

    def __init__(self, stream: ByteStream, on_event: Callable[[Message], object]) -> None:
        self._stream = stream
        self._on_event = on_event
        self._seq = 0
        self._waiting: dict[int, tuple[anyio.Event, list[Message]]] = {}
        self._sending = anyio.Lock()
        self.lost: bool = False

    async def ask(self, command: str, arguments: Message, *, sent: Callable[[], object] = bool) -> Message:
        """Send a request and wait for its response.

        Args:
            command: what is asked for.
            arguments: of the command.
            sent: called when it is on its way; whoever sends after that is second.

        Returns:
            The response: ``success``, and ``body`` or ``message``.

        Raises:
            ConnectionLostError: if the connection ends before it comes.
        """
        self._seq += 1
        seq = self._seq
        answered, responses = self._waiting[seq] = anyio.Event(), []
        try:
            await self._send({"type": "request", "seq": seq, "command": command, "arguments": arguments})
            sent()
            if not self.lost:
                await answered.wait()
        finally:
            del self._waiting[seq]
        if not responses:
            msg = "the debugger has closed its connection"
            raise ConnectionLostError(msg)
        return responses[0]

    async def _send(self, message: Message) -> None:
        data = json.dumps(message).encode()
        async with self._sending:
            try:
                await self._stream.send(b"Content-Length: %d\r\n\r\n%b" % (len(data), data))
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                self.lost = True

    async def read(self) -> None:
        """Read what comes, until the connection ends."""
        try:
            with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                await self._read()
        finally:
            self.lost = True
            for answered, _ in self._waiting.values():
                answered.set()

    async def _read(self) -> None:
        data = bytearray()
        while True:
            data += await self._stream.receive()
            while (message := _take_message(data)) is not None:
                self._take(message)

    def _take(self, message: Message) -> None:
        if message.get("type") == "event":
            self._on_event(message)
        elif message.get("type") == "response" and (waiting := self._waiting.get(message["request_seq"])):
            answered, responses = waiting
            responses.append(message)
            answered.set()


def _take_message(data: bytearray) -> Message | None:
    """Take the first message out of ``data``, if it is there as a whole."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    start = end + 4
    size = next(
        int(line.partition(b":")[2])
        for line in bytes(data[:end]).split(b"\r\n")
        if line.lower().startswith(b"content-length")
    )
    if len(data) < start + size:
        return None
    message: Message = json.loads(data[start : start + size])
    del data[: start + size]
    return message


@contextlib.asynccontextmanager
async def connected(on_event: Callable[[Message], object]) -> AsyncGenerator[Connection]:
    """Import debugpy, have it trace this process, and be connected to it.

    Args:
        on_event: called with each event that comes once it is connected.

    Raises:
        ImportError: if debugpy is not installed.
        RuntimeError: if it does not connect.
    """
    await run_in_owned_thread(_import, name="async-kernel debugger", cancel=bool, no_debug=True)
    secret = secrets.token_hex(16)
    listener = await anyio.create_tcp_listener(local_host=_LOOPBACK, local_port=0)
    dial = partial(_dial, listener.extra(SocketAttribute.local_port), secret)
    found: list[Connection] = []
    ready = anyio.Event()

    async def greet(stream: SocketStream) -> None:
        async with stream, anyio.create_task_group() as reader:
            connection = Connection(stream, lambda event: on_event(event) if ready.is_set() else None)
            reader.start_soon(connection.read)
            with contextlib.suppress(ConnectionLostError):
                token = (await connection.ask("pydevdAuthorize", {})).get("body", {}).get("clientAccessToken")
                if isinstance(token, str) and hmac.compare_digest(token, secret) and not found:
                    found.append(connection)
                    # The thread that dials returns when a session was open once: open an empty one.
                    for command in ("initialize", "attach", "configurationDone", "disconnect"):
                        await connection.ask(command, HANDSHAKE.get(command, {}))
                    ready.set()
                    await anyio.sleep_forever()
            reader.cancel_scope.cancel()

    async with anyio.create_task_group() as streams:
        async with listener, anyio.create_task_group() as acceptor:
            acceptor.start_soon(listener.serve, greet, streams)
            await run_in_owned_thread(dial, name="async-kernel debugger", cancel=bool, no_debug=True)
            await ready.wait()
            acceptor.cancel_scope.cancel()
        yield found[0]
        streams.cancel_scope.cancel()


def part_from_debugpy() -> None:
    """Let the process end without debugpy's waiting for its own threads; when the connection has ended for good.

    What it waits for at the end of the interpreter is that they have written all that there is, to nobody now; and it
    looks ten times a second, which was 0.4 s of a shutdown of 0.65 s.
    """
    late_import("_pydevd_bundle.pydevd_constants").set_global_debugger(None)


def _import() -> Any:
    return late_import("debugpy")


def _dial(port: int, secret: str) -> None:
    """Have debugpy connect to us; in a thread, for it takes a while. It begins to trace this process's threads."""
    # It would warn on stderr that modules of Python are frozen. That it may not stop in them is no news to anybody.
    quiet = "PYDEVD_DISABLE_FILE_VALIDATION" not in os.environ
    # It would take breakpoint() for itself when it is imported, and stop what nobody could let go on without a session.
    hook = sys.breakpointhook
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    try:
        debugpy = _import()
        debugpy.configure(subProcess=False)  # children of cells are not debugged: they would dial us, too
        debugpy.connect((_LOOPBACK, port), access_token=secret)
    finally:
        sys.breakpointhook = hook
        if quiet:
            del os.environ["PYDEVD_DISABLE_FILE_VALIDATION"]

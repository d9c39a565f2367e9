"""A kernel in this process whose wire packs and checks as the real one does, in a thread; for proofs by the thousand.

The test's own thread takes the place of the I/O loop: it decodes frames and submits requests.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import anyio
from anyio.from_thread import start_blocking_portal
from jupyter_client.session import Session
from traitlets.config import Configurable

from async_kernel.kernel import Kernel
from async_kernel.kernel.requests import REQUESTS
from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.shell.ipshell import IPShell
from async_kernel.shell.user_io import user_io
from async_kernel.slot import slot
from async_kernel.transport.codec import Codec, RemoteError
from async_kernel.typing import Channel
from tests.torture.messages import DELIM

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Sequence
    from pathlib import Path

    from async_kernel.protocol.request import Request

KEY = b"the key"
JEDI_AT_WORK = "ignore:The recursion limit will not be reset"
"""The warning of Hypothesis, raised as an error, when jedi has a higher limit for itself in the kernel's thread at the
moment in which a test of Hypothesis looks. Tried again it is not there, and the test was said to be flaky."""
PATIENCE_S = 30.0


class FakeInterface(Configurable):
    """Owns the slot."""

    kernel: Any = None
    connection_file = ""


class CheckedWire:
    """Packs everything as the I/O loop does, and remembers the kinds of messages by the request that caused them.

    Attributes:
        keeps: whether to keep replies, and the order in which requests became idle, too; requests must live as long.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._lock = threading.Lock()
        self._kinds: dict[int, list[str]] = defaultdict(list)
        self._idle: dict[int, threading.Event] = defaultdict(threading.Event)
        self.keeps = False
        self.replies: dict[int, Any] = {}
        self.order: list[int] = []

    def _note(self, parent: Any, kind: str) -> None:
        with self._lock:
            self._kinds[id(parent)].append(kind)
            if kind == "idle":
                if self.keeps:
                    self.order.append(id(parent))
                self._idle[id(parent)].set()

    def publish(
        self, msg_type: str, content: Any, *, parent: Any, metadata: Any = None, buffers: Any = (), topic: Any = None
    ) -> None:
        kind = content.get("execution_state", msg_type)
        self._codec.encode(
            msg_type, content, parent=parent, metadata=metadata, identity=(topic or b"t",), buffers=buffers
        )
        self._note(parent, kind)

    def stream(self, name: str, text: str, *, parent: Any) -> None:
        self._codec.encode("stream", {"name": name, "text": text}, parent=parent)

    def reply(self, request: Request, content: Any, *, metadata: Any = None, buffers: Any = ()) -> None:
        self._codec.encode(
            "reply", content, parent=request.header, metadata=metadata, identity=request.identity, buffers=buffers
        )
        if self.keeps:
            self.replies[id(request.header)] = content
        self._note(request.header, "reply")

    def ask_input(self, request: Request, prompt: str, answer: Any, *, password: bool = False) -> None:
        self._codec.encode("input_request", {"prompt": prompt}, parent=request.header)
        answer.set_exception(EOFError("nobody is there"))

    def wait_idle(self, request: Request) -> bool:
        """Wait until a request is idle; False if that takes too long."""
        with self._lock:
            event = self._idle[id(request.header)]
        return event.wait(PATIENCE_S)

    def until_idle(self, request: Request) -> list[str]:
        """What has come of a request, once it is idle."""
        key = id(request.header)
        with self._lock:
            event = self._idle[key]
        assert event.wait(PATIENCE_S), f"no idle of {request.msg_type}: {self._kinds[key]} {request.header}"
        with self._lock:
            del self._idle[key]
            return [kind for kind in self._kinds.pop(key) if kind in ("busy", "reply", "idle")]


class Fed:
    """A kernel that is fed with frames."""

    def __init__(self, kernel: Kernel[Any], codec: Codec, wire: CheckedWire) -> None:
        self.kernel = kernel
        self.codec = codec
        self.wire = wire
        self._client = Session(key=KEY)
        self.refused = 0
        self.served = 0

    def signed(self, parts: Sequence[bytes]) -> list[bytes]:
        return [b"client", DELIM, self._client.sign(list(parts)), *parts]

    def take(self, frames: Sequence[bytes | memoryview], channel: Channel = Channel.shell) -> Request | None:
        """What the I/O loop does with frames; None if they are no message."""
        self.codec._seen.clear()  # the same message may come again here
        try:
            request = self.codec.decode(frames, channel)
        except RemoteError:
            self.refused += 1
            return None
        self.kernel.submit(request)
        return request

    def serve(self, frames: Sequence[bytes | memoryview], channel: Channel = Channel.shell) -> None:
        """Feed the kernel, and check that it answers as the protocol says."""
        request = self.take(frames, channel)
        if request is None:
            return
        self.served += 1
        if request.msg_type == "shutdown_request" and self.kernel._shutdowns:
            self.kernel.closing_replies()
        kinds = self.wire.until_idle(request)
        expected = ["busy", "reply", "idle"]
        if request.msg_type not in REQUESTS or not request.msg_type.endswith("_request"):
            expected.remove("reply")
        assert kinds == expected, (request.msg_type, kinds)


@contextmanager
def fed_kernel(home: Path, backend: str) -> Generator[Fed]:
    """Open one."""

    async def serve(*, task_status: anyio.abc.TaskStatus[tuple[Fed, anyio.Event]] = anyio.TASK_STATUS_IGNORED) -> None:
        async with _open(home) as fed:
            ended = anyio.Event()
            task_status.started((fed, ended))
            await ended.wait()

    with start_blocking_portal(backend) as portal:
        future, (fed, ended) = portal.start_task(serve)
        try:
            yield fed
        finally:
            portal.call(ended.set)
            future.result()


@asynccontextmanager
async def _open(home: Path) -> AsyncGenerator[Fed]:
    interface = FakeInterface()
    slot.take(interface)
    try:
        kernel: Kernel[Any] = Kernel(shell_class=IPShell, stop=lambda: None, backend=current_loop_token().backend)
        interface.kernel = kernel
        codec = Codec(Session(key=KEY))
        wire = CheckedWire(codec)
        with user_io(wire, fallback=kernel.last_parent):
            async with kernel.running(wire, ipython_dir=str(home / "ipython")):
                await kernel.serve()
                yield Fed(kernel, codec, wire)
    finally:
        slot.release(interface)

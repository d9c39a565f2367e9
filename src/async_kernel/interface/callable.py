"""The interface for hosts without sockets: messages come in by a function call and go out by one.

Needs neither zmq nor trio: a browser has none. All calls of the host's ``send`` are made in the kernel's thread, in the order
of publication; what other threads publish is handed to that thread.

>>> handlers = await start_kernel_callable_interface(send=send, stopped=stopped)  # doctest: +SKIP
>>> handlers["handle_msg"](json_text, None)  # doctest: +SKIP
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict

import anyio
from traitlets import TraitType
from traitlets.utils.importstring import import_item

from async_kernel.event_loop.background import run_in_background
from async_kernel.interface.base import BaseInterface, T_shell_co
from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.protocol.packing import pack, unpack
from async_kernel.protocol.request import Request
from async_kernel.typing import Channel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from anyio.abc import TaskGroup

    from async_kernel.protocol.wire import InputWaiter, Wire
    from async_kernel.typing import Content, Header, StreamName

__all__ = ["CallableInterface", "Handlers", "start_kernel_callable_interface"]

Buffers = list[bytes] | list[bytearray] | None


class Handlers(TypedDict):
    """What the host calls.

    Attributes:
        handle_msg: takes a message as JSON (with its ``channel``: shell or control) and its buffers; returns at once.
        stop: stops the kernel; returns at once.
    """

    handle_msg: Callable[[str, Buffers], None]
    stop: Callable[[], None]


class CallableWire:
    """A wire made of one function. See :class:`async_kernel.protocol.wire.Wire` for what the methods promise."""

    def __init__(self, send: Callable[[str, list[Any] | None, bool], str | None], protocol_version: str) -> None:
        self._send = send
        self._version = protocol_version
        self._session = str(uuid.uuid4())
        self._token = current_loop_token()
        self._out: deque[tuple[str, list[Any] | None]] = deque()
        self._text: deque[tuple[StreamName, str, Any]] = deque()
        self._sending = threading.RLock()
        self._flush_planned = False

    def _message(self, channel: Channel, msg_type: str, content: Any, parent: Any, metadata: Any) -> str:
        return pack(
            {
                "channel": str(channel),
                "header": {
                    "msg_id": str(uuid.uuid4()),
                    "msg_type": msg_type,
                    "session": (parent or {}).get("session", self._session),
                    "username": "",
                    "date": datetime.now(UTC),
                    "version": self._version,
                },
                "parent_header": parent or {},
                "metadata": dict(metadata or {}),
                "content": content,
            }
        )

    def publish(
        self,
        msg_type: str,
        content: Content,
        *,
        parent: Header | Mapping[str, Any] | None,
        metadata: Mapping[str, Any] | None = None,
        buffers: Sequence[bytes | bytearray | memoryview] = (),
        topic: bytes | None = None,
    ) -> None:
        """Send on iopub."""
        self._put(self._message(Channel.iopub, msg_type, content, parent, metadata), buffers)

    def reply(
        self,
        request: Request,
        content: Content,
        *,
        metadata: Mapping[str, Any] | None = None,
        buffers: Sequence[bytes | bytearray | memoryview] = (),
    ) -> None:
        """Answer a request."""
        content = {"status": "ok", **content}
        msg_type = request.msg_type.replace("request", "reply")
        self._put(self._message(request.channel, msg_type, content, request.header, metadata), buffers)

    def stream(self, name: StreamName, text: str, *, parent: Header | Mapping[str, Any] | None) -> None:
        """Write to a stream: text of one cell is sent together, before its next message or when the loop turns."""
        self._text.append((name, text, parent))
        self._plan_flush()

    def ask_input(self, request: Request, prompt: str, answer: InputWaiter, *, password: bool = False) -> None:
        """Ask for a line; the host must return the input_reply at once."""
        if threading.get_ident() != self._token.thread_id:
            self._token.call_soon(lambda: self.ask_input(request, prompt, answer, password=password))
            return
        self.flush()
        content = {"prompt": prompt, "password": password}
        message = self._message(Channel.stdin, "input_request", content, request.header, None)
        try:
            reply = self._send(message, None, True)
            if reply is None:
                msg = "send() must return the JSON of an input_reply when a reply is required"
                raise AssertionError(msg)
            answer.set_result(unpack(reply)["content"]["value"])
        except Exception as exc:  # noqa: BLE001 -- the host's error belongs to the cell that asked
            answer.set_exception(exc)

    def _put(self, message: str, buffers: Sequence[Any]) -> None:
        with self._sending:
            self._collect_text()
            self._out.append((message, list(buffers) or None))
        if threading.get_ident() == self._token.thread_id:
            self.flush()
        else:
            self._plan_flush()

    def _plan_flush(self) -> None:
        if not self._flush_planned:
            self._flush_planned = True
            self._token.call_soon(self.flush)

    def _collect_text(self) -> None:
        """Move written text to the messages, one for each run of the same cell and stream."""
        run: list[str] = []
        key: tuple[str, Any] | None = None
        while self._text:
            name, text, parent = self._text.popleft()
            if key is not None and (key[0] != name or key[1] is not parent):
                self._out.append((self._stream_message(key, run), None))
                run = []
            key = (name, parent)
            run.append(text)
        if key is not None:
            self._out.append((self._stream_message(key, run), None))

    def _stream_message(self, key: tuple[str, Any], run: list[str]) -> str:
        return self._message(Channel.iopub, "stream", {"name": key[0], "text": "".join(run)}, key[1], None)

    def flush(self) -> None:
        """Send all that waits; in the kernel's thread."""
        self._flush_planned = False
        with self._sending:
            self._collect_text()
            while self._out:
                message, buffers = self._out.popleft()
                self._send(message, buffers, False)


class CallableInterface(BaseInterface[T_shell_co]):
    """A kernel that its host reaches through two functions."""

    host = TraitType(None, allow_none=True)
    "GUI main loops are not supported here."

    _send: Callable[[str, list[Any] | None, bool], str | None] | None = None

    async def start_async(
        self,
        *,
        send: Callable[[str, list[Any] | None, bool], str | None],
        stopped: Callable[[], object],
    ) -> Handlers:
        """Start the kernel as a task of the running loop and return when it serves.

        Args:
            send: called with (JSON, buffers or None, requires_reply); must return the JSON of an ``input_reply`` at once when
                ``requires_reply`` is true.
            stopped: called once, when the kernel has stopped for whatever reason.

        Raises:
            BaseException: whatever kept the kernel from starting.
        """
        self._send = send
        run_in_background(partial(self.run, stopped=stopped), self._run_failed, name="kernel")
        await self.started
        return {"handle_msg": self.handle_msg, "stop": self.stop}

    def _run_failed(self, exc: BaseException) -> None:
        """Whoever waits for ``started`` or ``stopped`` learns why it will not come."""
        for pending in (self.started, self.stopped):
            if not pending.done():
                pending.set_exception(exc)

    @asynccontextmanager
    async def carrier(self, channels: TaskGroup) -> AsyncGenerator[Wire]:
        from async_kernel.kernel.info import PROTOCOL_VERSION

        if self._send is None:
            msg = "a CallableInterface is started by start_async(send=..., stopped=...)"
            raise RuntimeError(msg)
        wire = CallableWire(self._send, PROTOCOL_VERSION)
        self.kernel = self.kernel_class(shell_class=self.shell_class, stop=self.stop)
        self.kernel.wire = wire
        wire.publish("status", {"execution_state": "starting"}, parent=None)
        try:
            yield wire
        finally:
            with anyio.CancelScope(shield=True):
                self.kernel.closing_replies()
                wire.flush()

    def closing_begins(self) -> None:
        if hasattr(self, "kernel"):
            self.kernel.close_lanes()

    def handle_msg(self, msg_json: str, buffers: Buffers = None) -> None:
        """Take a message from the host; returns at once.

        Raises:
            ValueError: if it is no JSON object, or its ``channel`` is neither shell nor control.
            KeyError: if it has no ``channel`` or no ``header``.
        """
        message = unpack(msg_json)
        if not isinstance(message, dict):
            msg = f"a message must be a JSON object, not {type(message).__name__}"
            raise ValueError(msg)  # noqa: TRY004 -- documented
        channel = Channel(message["channel"])
        if channel not in (Channel.shell, Channel.control):
            msg = f"messages arrive on the channels shell and control, not {channel}"
            raise ValueError(msg)
        request = Request(
            channel=channel,
            header=message["header"],
            parent_header=message.get("parent_header") or {},
            metadata=message.get("metadata") or {},
            content=message.get("content") or {},
            buffers=[bytes(buffer) for buffer in buffers or ()],
            received=time.monotonic(),
        )
        self.kernel.submit(request)


async def start_kernel_callable_interface(
    *,
    send: Callable[[str, list[Any] | None, bool], str | None],
    stopped: Callable[[], object],
    settings: dict[str, Any] | None = None,
) -> Handlers:
    """Start a kernel that is reached through ``send`` and the returned handlers.

    Args:
        send: see :meth:`CallableInterface.start_async`.
        stopped: called once, when the kernel has stopped.
        settings: options: ``interface_class`` chooses the class, ``flags`` is a list, everything else is an option of the
            command line by its alias or its dotted name.
    """
    from async_kernel.kernelspec import make_argv

    settings = dict(settings or {})
    cls = settings.pop("interface_class", None) or CallableInterface
    if isinstance(cls, str):
        cls = import_item(cls)
    argv = make_argv(command=(), connection_file="", **settings)[1:]
    app = cls(argv)
    return await app.start_async(send=send, stopped=stopped)

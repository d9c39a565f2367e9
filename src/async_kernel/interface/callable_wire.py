"""A wire that is one function of the host: ``send(json, buffers, requires_reply)``.

All calls of it are made in the kernel's thread, in the order of publication; what other threads publish is handed to
that thread. Text for the streams is collected until the next message or the next turn of the loop.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.protocol.packing import pack, unpack
from async_kernel.typing import Channel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from async_kernel.protocol.request import Request
    from async_kernel.protocol.wire import InputWaiter
    from async_kernel.typing import Content, Header, StreamName

__all__ = ["CallableWire", "Send"]

Send = Callable[[str, list[Any] | None, bool], str | None]
"""Called with the JSON of a message, its buffers or None, and whether it must return the JSON of a reply."""


class CallableWire:
    """A wire made of one function. See :class:`async_kernel.protocol.wire.Wire` for what the methods promise."""

    def __init__(self, send: Send, protocol_version: str) -> None:
        self._send = send
        self._version = protocol_version
        self._session = str(uuid.uuid4())
        self._token = current_loop_token()
        self._out: deque[tuple[str, list[Any] | None]] = deque()
        self._text: deque[tuple[StreamName, str, Any]] = deque()
        self._sending = threading.RLock()
        self._flush_planned = False

    def _message(self, channel: Channel, msg_type: str, content: Any, parent: Any, metadata: Any) -> str:
        parent_header: dict[str, Any] = parent or {}
        return pack(
            {
                "channel": str(channel),
                "header": {
                    "msg_id": str(uuid.uuid4()),
                    "msg_type": msg_type,
                    "session": parent_header.get("session", self._session),
                    "username": "",
                    "date": datetime.now(UTC),
                    "version": self._version,
                },
                "parent_header": parent_header,
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
            answer.set_result(_value_of(reply))
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
                try:
                    self._send(message, buffers, False)
                except Exception:  # noqa: BLE001 -- neither the cell's that wrote nor a reason to lose the next message
                    _log.exception("The host did not take a message.")


def _value_of(reply: str | None) -> str:
    """The text in an input_reply.

    Raises:
        AssertionError: if there is no reply.
        KeyError: if it is no input_reply.
        ValueError: if it is no JSON.
    """
    if reply is None:
        msg = "send() must return the JSON of an input_reply when a reply is required"
        raise AssertionError(msg)
    return unpack(reply)["content"]["value"]


_log = logging.getLogger("async_kernel")

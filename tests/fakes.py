"""Fakes that tests own: a wire that remembers what it was given, and requests to feed a kernel with."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from typing import Any

import anyio

from async_kernel.protocol.request import Request
from async_kernel.typing import Channel

_numbers = itertools.count(1)


def request(
    msg_type: str, *, channel: Channel = Channel.shell, metadata: dict[str, Any] | None = None, **content: Any
) -> Request:
    """A request as if a client had sent it."""
    number = next(_numbers)
    header: Any = {
        "msg_id": f"request-{number}",
        "msg_type": msg_type,
        "session": "test-session",
        "username": "tester",
        "date": "2030-01-01T00:00:00Z",
        "version": "5.5",
    }
    return Request(channel=channel, header=header, parent_header={}, metadata=metadata or {}, content=content)


def execute(code: str, **content: Any) -> Request:
    """An execute_request."""
    return request("execute_request", code=code, **{"allow_stdin": True, "stop_on_error": True, **content})


@dataclass
class Sent:
    """One thing that left through the wire."""

    kind: str
    content: dict[str, Any]
    parent: str | None
    metadata: dict[str, Any] = field(default_factory=dict)
    thread: int = field(default_factory=threading.get_ident)
    buffers: Any = ()


class RecordingWire:
    """Keeps everything in order; wakes whoever waits for a message (in the loop that made it)."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.questions: list[tuple[Request, str, Any, bool]] = []
        self._changed = anyio.Event()
        from async_kernel.lifetime.loop_token import current_loop_token

        self._token = current_loop_token()

    def _add(self, sent: Sent) -> None:
        self.sent.append(sent)
        self._token.call_soon(self._notify)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def publish(
        self, msg_type: str, content: Any, *, parent: Any, metadata: Any = None, buffers: Any = (), topic: Any = None
    ) -> None:
        parent_id = (parent or {}).get("msg_id")
        self._add(Sent(msg_type, dict(content), parent_id, dict(metadata or {}), buffers=buffers))

    def stream(self, name: str, text: str, *, parent: Any) -> None:
        self._add(Sent("stream", {"name": name, "text": text}, (parent or {}).get("msg_id")))

    def reply(self, request: Request, content: Any, *, metadata: Any = None, buffers: Any = ()) -> None:
        self._add(
            Sent(request.msg_type.replace("request", "reply"), dict(content), request.msg_id, dict(metadata or {}))
        )

    def ask_input(self, request: Request, prompt: str, answer: Any, *, password: bool = False) -> None:
        self.questions.append((request, prompt, answer, password))
        self._token.call_soon(self._notify)

    def of(self, request: Request) -> list[Sent]:
        """What has this request as its parent, in order."""
        return [sent for sent in self.sent if sent.parent == request.msg_id]

    def kinds(self, request: Request) -> list[str]:
        """The same as short words: message types, and ``busy`` or ``idle`` for a status."""
        return [sent.content.get("execution_state", sent.kind) for sent in self.of(request)]

    def text(self, request: Request, name: str = "stdout") -> str:
        """What was streamed for this request."""
        return "".join(s.content["text"] for s in self.of(request) if s.kind == "stream" and s.content["name"] == name)

    async def idle(self, request: Request) -> list[Sent]:
        """Wait until the request is done."""
        while "idle" not in self.kinds(request):
            await self._changed.wait()
        return self.of(request)

    async def reply_to(self, request: Request) -> Sent:
        """Wait for the reply."""
        await self.idle(request)
        return next(sent for sent in self.of(request) if sent.kind.endswith("_reply"))

    async def question(self) -> tuple[Request, str, Any, bool]:
        """Wait for an input_request."""
        while not self.questions:
            await self._changed.wait()
        return self.questions.pop(0)

"""A host without sockets, as tests need one: it speaks JSON with a kernel by two functions."""

from __future__ import annotations

import itertools
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from async_kernel.interface import start_kernel_callable_interface
from async_kernel.slot import slot

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from async_kernel.interface.callable import Handlers

_numbers = itertools.count(1)


class Host:
    """Keeps what the kernel has sent, in order, and wakes who waits for it."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.answers: list[Any] = []
        self.stopped_calls = 0
        self.stopped = anyio.Event()
        self.handlers: Handlers
        self._changed = anyio.Event()

    def send(self, text: str, buffers: list[Any] | None, requires_reply: bool) -> str | None:
        self.sent.append({**json.loads(text), "buffers": buffers, "requires_reply": requires_reply})
        self._changed.set()
        self._changed = anyio.Event()
        if not requires_reply:
            return None
        answer = self.answers.pop(0)
        return answer if answer is None else json.dumps({"content": {"value": answer}})

    def on_stopped(self) -> None:
        self.stopped_calls += 1
        self.stopped.set()

    def request(
        self, msg_type: str, *, channel: str = "shell", buffers: Any = None, metadata: Any = None, **content: Any
    ) -> str:
        """Hand a request in; returns its id."""
        msg_id = f"request-{next(_numbers)}"
        header = {"msg_id": msg_id, "msg_type": msg_type, "session": "host", "username": "", "version": "5.5"}
        message = {
            "channel": channel,
            "header": {**header, "date": "2030-01-01T00:00:00Z"},
            "parent_header": {},
            "metadata": metadata or {},
            "content": content,
        }
        self.handlers["handle_msg"](json.dumps(message), buffers)
        return msg_id

    def of(self, msg_id: str) -> list[dict[str, Any]]:
        """Everything that was sent because of a request."""
        return [message for message in self.sent if message["parent_header"].get("msg_id") == msg_id]

    async def until(self, msg_type: str, msg_id: str | None = None) -> dict[str, Any]:
        """The first message of a type, of a request if one is given."""
        with anyio.fail_after(60):
            while True:
                for message in self.sent if msg_id is None else self.of(msg_id):
                    if message["header"]["msg_type"] == msg_type:
                        return message
                await self._changed.wait()

    async def idle(self, msg_id: str) -> list[dict[str, Any]]:
        """Everything that belongs to a request, when it is over."""
        with anyio.fail_after(60):
            while not any(m["content"].get("execution_state") == "idle" for m in self.of(msg_id)):
                await self._changed.wait()
        return self.of(msg_id)

    async def execute(self, code: str, **content: Any) -> list[dict[str, Any]]:
        """Run a cell: everything that it sent."""
        return await self.idle(self.request("execute_request", code=code, **content))


def the_interface() -> Any:
    """The interface of this process."""
    return slot.get()


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    """The types of messages; of a status, what it says."""
    return [m["content"].get("execution_state") or m["header"]["msg_type"] for m in messages]


def reply_in(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The content of the reply among messages."""
    (reply,) = [m["content"] for m in messages if m["header"]["msg_type"].endswith("_reply")]
    return reply


def text_in(messages: list[dict[str, Any]], name: str = "stdout") -> str:
    """What was written to a stream."""
    return "".join(m["content"]["text"] for m in messages if m["content"].get("name") == name)


@asynccontextmanager
async def callable_kernel(settings: dict[str, Any] | None = None) -> AsyncGenerator[Host]:
    """A kernel and its host."""
    host = Host()
    host.handlers = await start_kernel_callable_interface(send=host.send, stopped=host.on_stopped, settings=settings)
    interface = the_interface()
    try:
        yield host
    finally:
        host.handlers["stop"]()
        with anyio.fail_after(60):
            await interface.stopped.wait(result=False)

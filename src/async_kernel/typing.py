"""The vocabulary of the kernel: channels, message types, backends and the shapes of messages.

Pure data, importable everywhere: no zmq, no anyio, no trio, no IPython. The names follow the Jupyter
messaging protocol (https://jupyter-client.readthedocs.io/en/stable/messaging.html).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

__all__ = [
    "Backend",
    "Channel",
    "Content",
    "ExecuteContent",
    "Header",
    "Job",
    "Message",
    "MsgType",
    "NoValue",
    "RunSettings",
    "StreamName",
]


class _NoValue(enum.Enum):
    NoValue = "<no value>"

    def __repr__(self) -> str:
        return "NoValue"


NoValue: Literal[_NoValue.NoValue] = _NoValue.NoValue
"""Stands for "not given" where None has a meaning of its own."""

NoValueType = Literal[_NoValue.NoValue]


class Backend(enum.StrEnum):
    """The async libraries that user code can run on."""

    asyncio = "asyncio"
    trio = "trio"


class Channel(enum.StrEnum):
    """The five sockets of a kernel, by the names that clients know."""

    heartbeat = "hb"
    shell = "shell"
    stdin = "stdin"
    control = "control"
    iopub = "iopub"


class MsgType(enum.StrEnum):
    """Every request that the kernel answers."""

    kernel_info_request = "kernel_info_request"
    comm_info_request = "comm_info_request"
    connect_request = "connect_request"
    usage_request = "usage_request"
    execute_request = "execute_request"
    complete_request = "complete_request"
    is_complete_request = "is_complete_request"
    inspect_request = "inspect_request"
    history_request = "history_request"
    comm_open = "comm_open"
    comm_msg = "comm_msg"
    comm_close = "comm_close"
    interrupt_request = "interrupt_request"
    shutdown_request = "shutdown_request"
    cancel_request = "cancel_request"
    debug_request = "debug_request"
    create_subshell_request = "create_subshell_request"
    delete_subshell_request = "delete_subshell_request"
    list_subshell_request = "list_subshell_request"


Content = dict[str, Any]
"""The content of a message; a reply's may carry ``buffers`` beside its JSON."""

StreamName = Literal["stdout", "stderr"]


class Header(TypedDict):
    """A message header (messaging protocol 5.5)."""

    msg_id: str
    session: str
    username: str
    date: Any
    msg_type: str
    version: str
    subshell_id: NotRequired[str | None]


class Message(TypedDict):
    """A whole message as the kernel and its clients see it; buffers are bytes-like."""

    channel: Channel
    header: Header
    parent_header: Header | dict[str, Any]
    metadata: dict[str, Any]
    content: Content
    buffers: list[bytes | bytearray | memoryview]


class Job(TypedDict):
    """A request being served, as ``utils.get_job`` hands it to user code.

    ``received_time`` is in seconds of :func:`time.monotonic`; ``ident`` is the routing prefix of the client.
    """

    msg: Message
    ident: bytes | list[bytes]
    received_time: float


class ExecuteContent(TypedDict):
    """The content of an execute_request."""

    code: str
    silent: NotRequired[bool]
    store_history: NotRequired[bool]
    user_expressions: NotRequired[dict[str, str]]
    allow_stdin: NotRequired[bool]
    stop_on_error: NotRequired[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How to run a loop: the async library and its options; the GUI main loop that hosts it and its options."""

    backend: Backend = Backend.trio
    backend_options: dict[str, Any] | None = None
    host: str | None = None
    host_options: dict[str, Any] | None = None

"""One request from a client, and the context variable that says which one is being served.

A :class:`Request` is made once, where its frames were checked and parsed, and travels unchanged to the
handler. ``current_request`` follows the context: tasks started by a cell inherit it, which is how their
output finds the cell that started them.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from async_kernel.typing import Channel, Content, Header, Job

__all__ = ["Request", "current_request", "for_nobody"]


class Request:
    """A parsed request.

    Attributes:
        channel: where it arrived; its reply leaves there.
        identity: the routing prefix of the client (empty where there are no sockets).
        header: the request's header; replies and outputs carry it as their parent header.
        buffers: binary buffers, not copied from the wire.
        received: :func:`time.monotonic` at arrival, seconds.
        maker: of a comm's message, the cell that made the comm: people look there for errors, and front ends forget the
            message when it is served, but not the cell.
        beside: whether it is a cell that runs beside its shell's queue.
        aborted: of a cell that was about to begin when it was cancelled: the cause, and words that came with it.
        ended: whether it is a cell whose code has ended; what it started may still run.
        has_started: whether it is a cell that has started a task or a thread; none may still run.
        shell_id: the subshell that serves it; None is the main shell. For a comm's message it may be another than its
            header names.
        captured: whether the client collects what belongs to it somewhere: then errors go there, too.
    """

    __slots__ = (
        "__weakref__",
        "aborted",
        "beside",
        "buffers",
        "captured",
        "channel",
        "content",
        "ended",
        "has_started",
        "header",
        "identity",
        "maker",
        "metadata",
        "parent_header",
        "received",
        "shell_id",
    )

    def __init__(
        self,
        *,
        channel: Channel,
        header: Header,
        parent_header: dict[str, Any],
        metadata: dict[str, Any],
        content: Content,
        identity: Sequence[bytes] = (),
        buffers: Sequence[bytes | bytearray | memoryview] = (),
    ) -> None:
        self.channel: Channel = channel
        self.header: Header = header
        self.parent_header: dict[str, Any] = parent_header
        self.metadata: dict[str, Any] = metadata
        self.content: Content = content
        self.identity: Sequence[bytes] = identity
        self.buffers: Sequence[bytes | bytearray | memoryview[int]] = buffers
        self.received: float = time.monotonic()
        self.maker: Request | None = None
        self.captured: bool = False
        self.beside: bool = False
        self.aborted: tuple[str, str | None] | None = None
        self.ended: bool = False
        self.has_started: bool = False
        self.shell_id: str | None = header.get("subshell_id")

    @property
    def msg_id(self) -> str:
        """What its answers name as their parent."""
        return self.header["msg_id"]

    @property
    def msg_type(self) -> str:
        """What is asked, such as ``execute_request``."""
        return self.header["msg_type"]

    @property
    def error_header(self) -> Header:
        """The parent of an error."""
        return self.header if self.maker is None or self.captured else self.maker.header

    @property
    def lasting(self) -> Request:
        """What work belongs to that goes on after this is served."""
        return self if self.maker is None else self.maker

    @property
    def subshell_id(self) -> str | None:
        """The subshell that it is for; None is the main shell (JEP 91)."""
        return self.header.get("subshell_id")

    def as_job(self) -> Job:
        """The request in the documented shape that user code sees."""
        return cast(
            "Job",
            {
                "msg": {
                    "channel": self.channel,
                    "header": self.header,
                    "parent_header": self.parent_header,
                    "metadata": self.metadata,
                    "content": self.content,
                    "buffers": list(self.buffers),
                },
                "ident": list(self.identity),
                "received_time": self.received,
            },
        )


current_request: ContextVar[Request | None] = ContextVar("async_kernel_current_request", default=None)
for_nobody: ContextVar[bool] = ContextVar("async_kernel_for_nobody", default=False)
"""Whether what is written here shall not go to the cell that ran last either, when there is no request."""

"""Messages as users of an interface make them: headers, defaults from the context, and what is published.

Nothing is sent here. A :class:`Publication` is what one call of ``iopub_send`` asks for, with its parent looked up in
the context of that call; the interface keeps those that come before it has started.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from async_kernel.protocol.request import current_request
from async_kernel.typing import Channel, NoValue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from async_kernel.protocol.wire import Wire
    from async_kernel.typing import Content, Header, Message, NoValueType

__all__ = ["Publication", "extract_header", "make_message", "make_publication"]


def extract_header(msg_or_header: Mapping[str, Any] | None) -> Any:
    """The header of a message, or the header itself; empty if there is neither.

    Raises:
        KeyError: if it is neither a message nor a header.
    """
    if not msg_or_header:
        return {}
    if "header" in msg_or_header:
        return dict(msg_or_header["header"])
    msg_or_header["msg_id"]
    return dict(msg_or_header)


def make_message(
    msg_type: str,
    *,
    content: Content | None = None,
    parent: Mapping[str, Any] | None = None,
    header: Header | None = None,
    metadata: dict[str, Any] | None = None,
    channel: Channel = Channel.shell,
) -> Message:
    """Make a message.

    Args:
        msg_type: as the protocol names it.
        content: empty, if None.
        parent: a message or its header; None: the request of the context, if there is one.
        header: None: a new one, of the parent's session.
        metadata: empty, if None.
        channel: that it is for.
    """
    parent_header = extract_header(_request_header() if parent is None else parent)
    if header is None:
        from async_kernel.kernel.info import PROTOCOL_VERSION  # noqa: PLC0415 -- the kernel's part

        header = {
            "date": datetime.now(UTC),
            "msg_id": str(uuid.uuid4()),
            "session": parent_header.get("session", ""),
            "username": "",
            "version": PROTOCOL_VERSION,
            "msg_type": msg_type,
        }
    return {  # pyright: ignore[reportReturnType] -- buffers are added by who has some
        "channel": channel,
        "header": header,
        "parent_header": parent_header,
        "content": {} if content is None else content,
        "metadata": {} if metadata is None else metadata,
    }


class Publication(NamedTuple):
    """What is to be published on iopub; :attr:`parent` is a header or None."""

    msg_type: str
    content: Content
    parent: Mapping[str, Any] | None
    metadata: Mapping[str, Any] | None
    topic: bytes | None
    buffers: Sequence[bytes]

    def send(self, wire: Wire) -> None:
        """Publish it."""
        wire.publish(
            self.msg_type,
            self.content,
            parent=self.parent,
            metadata=self.metadata,
            buffers=self.buffers,
            topic=self.topic,
        )


def make_publication(
    msg_or_type: Mapping[str, Any] | str,
    *,
    content: Content | None,
    metadata: Mapping[str, Any] | None,
    parent: Mapping[str, Any] | NoValueType | None,
    ident: bytes | None,
    buffers: Sequence[bytes] | None,
) -> Publication:
    """Resolve the arguments of ``iopub_send``; those of a whole message are in the message."""
    if not isinstance(msg_or_type, str):
        content, metadata = msg_or_type["content"], msg_or_type.get("metadata")
        parent, buffers = msg_or_type.get("parent_header"), msg_or_type.get("buffers")
        msg_or_type = str(msg_or_type["header"]["msg_type"])
    header = _request_header() if parent is NoValue else extract_header(parent)
    return Publication(msg_or_type, content or {}, header or None, metadata, ident, buffers or ())


def _request_header() -> Any:
    request = current_request.get()
    return request.header if request is not None else None

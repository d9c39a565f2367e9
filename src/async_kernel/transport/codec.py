"""Messages to frames and back, as ``jupyter_client.session.Session`` makes and reads them.

The wire format is the messaging protocol's "wire protocol" section: ``[identities…, <IDS|MSG>, signature, header,
parent_header, metadata, content, buffers…]``. :meth:`Codec.encode` may be called from any thread;
:meth:`Codec.decode` belongs to one (it keeps the history of signatures).

Key and identity come from a Session, or from a :class:`~async_kernel.transport.plain_session.PlainSession`, which does
not import jupyter_client.

Why not ``Session.send`` and ``Session.deserialize`` as they are:

- ``deserialize`` notes a signature before it has checked it, so that whoever reaches the port can flood the history
  with invented ones, and culls it at random: a recorded message can be replayed afterwards. Here only messages that
  were signed with the key enter, and the oldest leaves first.
- it fails with whatever exception the bad input happens to cause. Here all of them are :class:`RemoteError` with a
  sentence that says what was wrong.
- it parses dates (most of its time); here a date stays the text that it was, which a parent header gives back exactly.
  An impossible one is refused, since every jupyter_client that is sent it as a parent header fails.
- lone surrogates pass the packer as bytes that are not UTF-8, which breaks the client; here they become U+FFFD.

Errors come in two kinds (as in h11): :class:`RemoteError`, the other side sent rubbish; :class:`LocalError`, our own
caller did.
"""

from __future__ import annotations

import itertools
import json
import os
from datetime import UTC, datetime
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import orjson
import zmq

from async_kernel.protocol.request import Request
from async_kernel.transport.plain_session import DELIM, PlainSession

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from jupyter_client.session import Session

    from async_kernel.transport.plain_session import SessionLike
    from async_kernel.typing import Channel, Content, Header

__all__ = ["LARGE", "PROTOCOL_VERSION", "Codec", "LocalError", "RemoteError", "without_lone_surrogates"]

PROTOCOL_VERSION: Final = "5.5"
"""The version of the messaging protocol in the headers that we write."""

_ORJSON_OPTIONS = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z  # as jupyter_client's packer
_EMPTY: Final = b"{}"
HEADER_LIMIT: Final = 64 << 10
"""Bytes that a header may have: a real one has 300. It goes out again with every message that the request causes."""
LARGE: Final = 1 << 16
"""Bytes from which a copy of a buffer costs more than what a view of ZMQ's memory holds on to."""
_CONTAINERS: Final = (dict, list)
_SIGNED_PARTS = 4  # header, parent header, metadata, content


class _SessionMethods(Protocol):
    """What we use of a Session and it does not annotate."""

    pack: Callable[[object], bytes]
    unpack: Callable[[bytes | memoryview], object]


def _packer_of(session: Session) -> Callable[[object], bytes]:
    """A user's own packer (the trait Session.packer) does everything itself."""
    from jupyter_client.session import orjson_packer  # noqa: PLC0415 -- there, since there is a Session

    pack = cast("_SessionMethods", session).pack
    return _pack_json if pack is orjson_packer else pack


class RemoteError(Exception):
    """A peer sent something that is not a message for us; the text says what was wrong with it."""


class LocalError(TypeError):
    """Our caller handed in something that cannot be sent; the text says what."""


class Codec:
    """Encodes for every channel and decodes what comes in, for one session.

    Args:
        session: gives key, signature scheme, packer, session id and user name. Its key may change until the first use.
    """

    def __init__(self, session: PlainSession | Session) -> None:
        self.session: SessionLike = cast("SessionLike", session)
        self._identity, self._username = self.session.session, self.session.username
        self._prefix = f"{self._identity}_{os.getpid()}_"  # of message ids; a forked child sends nothing
        self._count = itertools.count()
        self._seen: dict[bytes, None] = {}
        self._sign = self.session.sign
        self._unpack_json = cast("_SessionMethods", session).unpack
        self._pack = _pack_json if isinstance(session, PlainSession) else _packer_of(session)

    def header(self, msg_type: str) -> Header:
        """A new header; its date is now, an aware datetime. Any thread."""
        return {
            "msg_id": f"{self._prefix}{next(self._count)}",
            "msg_type": msg_type,
            "username": self._username,
            "session": self._identity,
            "date": datetime.now(UTC),
            "version": PROTOCOL_VERSION,
        }

    def encode(
        self,
        msg_type: str,
        content: Content,
        *,
        parent: Mapping[str, Any] | Header | None,
        metadata: Mapping[str, Any] | None = None,
        identity: Sequence[bytes] = (),
        buffers: Sequence[bytes | bytearray | memoryview] = (),
        header: Header | None = None,
    ) -> list[bytes | memoryview]:
        """Make a signed message. Any thread.

        Nothing in the result refers to arguments that can change: they may change afterwards.

        Args:
            msg_type: of the header.
            content: what is JSON, or what jupyter_client makes JSON of.
            metadata: likewise; None is empty.
            parent: the header, or the whole message, that caused this one; None for none.
            identity: the frames that go first: a ROUTER's route, or a topic.
            buffers: contiguous binary buffers. Bytes, and read-only views of bytes or of what was received, are not
                copied; large ones of other kinds come as views of ZMQ's own memory, which sending does not copy.
            header: one from :meth:`header`, if the caller must know it; by default a new one.

        Raises:
            LocalError: if content, metadata or parent have no JSON form, or a buffer is not a contiguous buffer.
        """
        try:
            pack = self._pack
            parts: list[bytes] = [
                pack(self.header(msg_type) if header is None else header),
                pack(_header_of(parent)) if parent else _EMPTY,
                pack(metadata) if metadata else _EMPTY,
                pack(content) if content else _EMPTY,
            ]
        except Exception as exc:  # the packer calls the objects' own methods, which may raise anything
            msg = f"the content of {msg_type} cannot be sent as JSON: {exc}"
            raise LocalError(msg) from exc
        frames: list[bytes | memoryview] = [*identity, DELIM, self._sign(parts), *parts]
        if buffers:
            frames += _snapshot(buffers)
        return frames

    def decode(self, frames: Sequence[bytes | memoryview], channel: Channel) -> Request:
        """Check and parse a request that came in on ``channel``. One thread only.

        Raises:
            RemoteError: if it is not a complete, well-formed, correctly signed message seen for the first time.
        """
        try:
            start = frames.index(DELIM)
        except ValueError:
            msg = f"{len(frames)} frame(s) of {sum(map(len, frames))} bytes without the delimiter {DELIM.decode()}"
            raise RemoteError(msg) from None
        identity, parts = cast("Sequence[bytes]", frames[:start]), frames[start + 1 :]
        if len(parts) <= _SIGNED_PARTS:
            msg = f"{len(parts)} frame(s) after the delimiter; a message has at least {_SIGNED_PARTS + 1}"
            raise RemoteError(msg)
        self._check_signature(parts)
        if len(parts[1]) > HEADER_LIMIT:
            msg = f"the header has {len(parts[1])} bytes; it may have {HEADER_LIMIT}"
            raise RemoteError(msg)
        header = self._unpack(parts[1], "header")
        for name in ("msg_id", "msg_type"):
            if not header.get(name):
                msg = f"no {name} in the header"
                raise RemoteError(msg)
        for name in ("msg_id", "msg_type", "session", "username", "version"):
            if not isinstance(header.setdefault(name, ""), str):
                msg = f"{name} in the header is not a string"
                raise RemoteError(msg)
        if any(type(value) in _CONTAINERS for value in header.values()):
            self._check_that_it_can_go_out_again(header)
        _check_dates(header)
        message: dict[str, Any] = {
            "header": header,
            "msg_type": header["msg_type"],
            "parent_header": self._unpack(parts[2], "parent header"),
            "metadata": self._unpack(parts[3], "metadata"),
            "content": self._unpack(parts[4], "content"),
        }
        if not header["version"].startswith("5."):
            message = _adapt(message)
        return Request(
            channel=channel,
            header=message["header"],
            parent_header=message["parent_header"],
            metadata=message["metadata"],
            content=message["content"],
            identity=identity,
            buffers=[memoryview(frame) for frame in parts[_SIGNED_PARTS + 1 :]],
        )

    def _check_signature(self, parts: Sequence[bytes | memoryview]) -> None:
        if self.session.auth is None:
            return
        signature = cast("bytes", parts[0])
        if not signature:
            msg = "the message is not signed"
            raise RemoteError(msg)
        if not compare_digest(signature, self._sign(parts[1 : _SIGNED_PARTS + 1])):
            msg = "the signature is wrong: it was not made with the key of this kernel"
            raise RemoteError(msg)
        if signature in self._seen:
            msg = "the message was received before (a replay)"
            raise RemoteError(msg)
        if (size := self.session.digest_history_size) > 0:
            if len(self._seen) >= size:
                # Many at once: to find its first key a dict passes all that were deleted before it.
                for oldest in list(itertools.islice(self._seen, size // 10 + 1)):
                    del self._seen[oldest]
            self._seen[signature] = None

    def _check_that_it_can_go_out_again(self, header: dict[str, Any]) -> None:
        """JSON may be nested deeper than it can be written; only a header with objects in it can be."""
        try:
            self._pack(header)
        except Exception as exc:  # as in encode
            msg = f"the header cannot be given back as a parent header: {exc}"
            raise RemoteError(msg) from exc

    def _unpack(self, part: bytes | memoryview, name: str) -> dict[str, Any]:
        try:
            value = self._unpack_json(part)
        except (ValueError, TypeError, RecursionError) as exc:
            msg = f"the {name} cannot be parsed ({len(part)} bytes): {exc}"
            raise RemoteError(msg) from exc
        if value is None:
            return {}
        if not isinstance(value, dict):
            msg = f"the {name} is a JSON {type(value).__name__}, not an object"
            raise RemoteError(msg)
        return cast("dict[str, Any]", value)


def _check_dates(header: dict[str, Any]) -> None:
    """Refuse what jupyter_client takes for a date and cannot parse, anywhere in a header: it fails in all clients.

    Raises:
        RemoteError: if there is such a thing.
    """
    waiting: list[Any] = [header]
    while waiting:
        each = waiting.pop()
        values = cast("dict[str, Any]", each).values() if isinstance(each, dict) else cast("list[Any]", each)
        for value in values:
            if isinstance(value, str):
                if value[4:5] == "-" and value[7:8] == "-":
                    _check_date(value)
            elif isinstance(value, _CONTAINERS):
                waiting.append(value)


def _check_date(text: str) -> None:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        from jupyter_client.jsonutil import parse_date  # noqa: PLC0415 -- most dates are good

        try:
            parse_date(text)
        except Exception as exc:  # whatever the parser of dates raises
            msg = f"the header has an impossible date: {exc}"
            raise RemoteError(msg) from exc


def _header_of(parent: Mapping[str, Any] | Header) -> Mapping[str, Any] | Header:
    """The header of a message, or what is one.

    Raises:
        KeyError: if it is neither.
    """
    header = cast("Mapping[str, Any]", parent.get("header", parent))
    if header:
        header["msg_id"]
    return header if isinstance(header, dict) else dict(header)


def _adapt(message: dict[str, Any]) -> dict[str, Any]:
    """A message of another protocol version (or none: version 4 had none) in the terms of ours."""
    from jupyter_client.adapter import adapt  # noqa: PLC0415 -- clients of that age are rare

    header = message["header"]
    if not header["version"]:
        del header["version"]
    try:
        adapted = adapt(message)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as exc:
        msg = f"a {header['msg_type']} of protocol version {header.get('version', '4')} that cannot be adapted: {exc}"
        raise RemoteError(msg) from exc
    adapted["header"].setdefault("version", PROTOCOL_VERSION)
    return adapted


def _json_default(obj: object) -> object:
    """What jupyter_client makes of an object that JSON does not know; it is imported when the first one comes."""
    from jupyter_client.jsonutil import json_default  # noqa: PLC0415

    return json_default(obj)


def _pack_json(obj: object) -> bytes:
    """The JSON of ``obj``, always valid UTF-8; in doubtful cases what jupyter_client's packer would make of it."""
    try:
        return orjson.dumps(obj, default=_json_default, option=_ORJSON_OPTIONS)
    except TypeError:
        pass  # orjson is strict: lone surrogates, keys that are not strings, integers beyond 64 bits
    try:
        text = json.dumps(obj, default=_json_default, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        from jupyter_client.jsonutil import json_clean  # noqa: PLC0415 -- as above

        text = json.dumps(json_clean(obj), default=_json_default, ensure_ascii=False, allow_nan=False)
    return without_lone_surrogates(text).encode()


def without_lone_surrogates(text: str) -> str:
    """``text`` as it can be encoded: two halves of a surrogate pair become their character, a lone half U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _snapshot(buffers: Sequence[bytes | bytearray | memoryview]) -> list[bytes | memoryview]:
    frames: list[bytes | memoryview] = []
    for number, buffer in enumerate(buffers):
        if isinstance(buffer, bytes):
            frames.append(buffer)
            continue
        try:
            view = memoryview(buffer)
        except TypeError as exc:
            msg = f"buffer {number} is a {type(buffer).__name__}, which is not a buffer"
            raise LocalError(msg) from exc
        if not view.contiguous:
            msg = f"buffer {number} is not contiguous"
            raise LocalError(msg)
        unchanging = view.readonly and isinstance(view.obj, (bytes, zmq.Frame)) and view.c_contiguous
        if unchanging:
            frames.append(view.cast("B"))  # as bytes, so that its length is its size
        elif view.nbytes >= LARGE and view.c_contiguous:
            frames.append(zmq.Frame(view.cast("B"), copy=True).buffer.toreadonly())  # the socket need not copy again
        else:
            frames.append(view.tobytes())
    return frames

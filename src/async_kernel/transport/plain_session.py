"""What a kernel needs of ``jupyter_client.session.Session``, without importing jupyter_client.

Its package imports clients, managers, tornado and asyncio: 141 modules, 8 MB and a sixth of a kernel's start, of which
a kernel that only serves uses nothing. The wire is the same to the byte: the messaging protocol's "wire protocol"
section says how a message is signed (an HMAC over four JSON parts), and a test compares with a Session.

A :class:`PlainSession` is made, and changed, before the codec takes it; then any thread may sign.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import uuid
from typing import TYPE_CHECKING, Final, Protocol

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DELIM", "PlainSession", "SessionLike", "user_name"]

DELIM: Final = b"<IDS|MSG>"
"""Stands between the identities and the signature of a message."""

_LARGE: Final = 64 << 10
"""Bytes of content from which on joining costs more than it saves: 4 of 7 µs, at each of a cell's five messages."""

_SCHEME_PREFIX: Final = "hmac-"


class SessionLike(Protocol):
    """What a codec uses of a session: a :class:`PlainSession`, or jupyter_client's."""

    @property
    def session(self) -> str:
        """Who we are in the headers that we write."""
        ...

    @property
    def username(self) -> str:
        """The user in the headers that we write."""
        ...

    @property
    def auth(self) -> object | None:
        """None if messages are not signed."""
        ...

    @property
    def digest_history_size(self) -> int:
        """How many signatures are remembered, to find replays."""
        ...

    def sign(self, msg_list: Sequence[bytes | memoryview], /) -> bytes:
        """The signature of the parts of a message; empty if messages are not signed."""
        ...


class PlainSession:
    """Key, signature scheme and identity of a kernel.

    Args:
        key: signs and checks; empty: no message is signed.
        username: for the headers.

    Attributes:
        session: a new, unique id.
    """

    def __init__(self, key: bytes, username: str = "") -> None:
        self.session: str = str(uuid.uuid4())
        self.username = username
        self.digest_history_size = 1 << 16
        self._scheme = "hmac-sha256"
        self._digest = "sha256"
        self.key = key

    @property
    def key(self) -> bytes:
        """The secret that clients have from the connection file."""
        return self._key

    @key.setter
    def key(self, key: bytes) -> None:
        self._key = key
        self.auth: hmac.HMAC | None = hmac.new(key, digestmod=self._digest) if key else None
        # The two hashes of an HMAC (RFC 2104), begun with the key: copies of them cost half of one of hmac's object.
        inner, outer = hashlib.new(self._digest), hashlib.new(self._digest)
        block = key if len(key) <= inner.block_size else hashlib.new(self._digest, key).digest()
        block = block.ljust(inner.block_size, b"\0")
        inner.update(bytes(byte ^ 0x36 for byte in block))
        outer.update(bytes(byte ^ 0x5C for byte in block))
        self._begun = inner, outer

    @property
    def signature_scheme(self) -> str:
        """``hmac-`` and the name of a hash.

        Raises:
            ValueError: when it is set to something else.
        """
        return self._scheme

    @signature_scheme.setter
    def signature_scheme(self, scheme: str) -> None:
        digest = scheme.removeprefix(_SCHEME_PREFIX)
        if digest == scheme or digest not in hashlib.algorithms_available:
            msg = f"the signature scheme {scheme!r} is not 'hmac-' and the name of a hash"
            raise ValueError(msg)
        self._scheme, self._digest = scheme, digest
        self.key = self._key

    def sign(self, msg_list: Sequence[bytes | memoryview], /) -> bytes:
        """The signature of the parts of a message; empty if messages are not signed."""
        if self.auth is None:
            return b""
        inner, outer = self._begun
        inner, outer = inner.copy(), outer.copy()
        if len(msg_list[-1]) < _LARGE:
            inner.update(b"".join(msg_list))
        else:
            for part in msg_list:
                inner.update(part)
        outer.update(inner.digest())
        return outer.hexdigest().encode()

    @staticmethod
    def unpack(text: bytes | memoryview) -> object:
        """The value of a JSON text, also of one that orjson finds too lax: NaN, lone surrogates, bytes that are none.

        Raises:
            ValueError: if it is none.
        """
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return json.loads(bytes(text).decode("utf-8", "replace"))


def user_name() -> str:
    """The name of the user, for headers."""
    return os.environ.get("USER", "username")

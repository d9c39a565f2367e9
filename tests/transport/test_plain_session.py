"""The session that a kernel serves with, against jupyter_client's."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
from jupyter_client.session import DELIM as THEIR_DELIM
from jupyter_client.session import Session

from async_kernel.transport.codec import Codec, RemoteError
from async_kernel.transport.plain_session import DELIM, PlainSession
from async_kernel.typing import Channel

PARTS = [b"header", memoryview(b"parent"), b"", b"{}"]


@pytest.mark.parametrize("scheme", ["hmac-sha256", "hmac-sha512", "hmac-md5"])
def test_it_signs_as_jupyter_client_does(scheme: str) -> None:
    session = PlainSession(b"key")
    session.signature_scheme = scheme
    assert session.sign(PARTS) == Session(key=b"key", signature_scheme=scheme).sign(PARTS)


def test_a_key_that_is_longer_than_a_block_signs_as_with_jupyter_client() -> None:
    key = bytes(range(200))
    assert PlainSession(key).sign(PARTS) == Session(key=key).sign(PARTS)


def test_it_signs_large_content_the_same() -> None:
    parts = [b"header", b"", b"{}", bytes(1 << 20)]
    assert PlainSession(b"key").sign(parts) == Session(key=b"key").sign(parts)


def test_a_new_key_counts() -> None:
    session = PlainSession(b"key")
    session.key = b"other"
    assert session.sign(PARTS) == Session(key=b"other").sign(PARTS)


def test_without_a_key_nothing_is_signed() -> None:
    session = PlainSession(b"")
    assert (session.auth, session.sign(PARTS)) == (None, b"")


@pytest.mark.parametrize("scheme", ["sha256", "hmac-", "hmac-nothing"])
def test_a_scheme_that_is_none_is_refused(scheme: str) -> None:
    with pytest.raises(ValueError, match="signature scheme"):
        PlainSession(b"key").signature_scheme = scheme


def test_json_that_orjson_refuses_is_read_as_jupyter_client_reads_it() -> None:
    assert math.isnan(PlainSession.unpack(b"[NaN]")[0])  # type: ignore[index]
    for text in (b'"\\ud800"', b"123456789012345678901234567890", b'"\xff"'):
        assert PlainSession.unpack(memoryview(text)) == Session(key=b"").unpack(text)


def test_a_client_with_a_session_and_a_kernel_without_understand_each_other() -> None:
    client, codec = Session(key=b"key"), Codec(PlainSession(b"key", "user"))
    request = codec.decode(client.serialize(client.msg("x_request", {"a": 1}), ident=[b"route"]), Channel.shell)
    reply = client.deserialize(client.feed_identities(codec.encode("x_reply", {"b": 2}, parent=request.header))[1])
    assert (request.content, reply["content"], reply["parent_header"]["msg_id"], reply["header"]["username"]) == (
        {"a": 1},
        {"b": 2},
        request.header["msg_id"],
        "user",
    )


def test_a_message_with_another_key_is_refused() -> None:
    client = Session(key=b"other")
    with pytest.raises(RemoteError, match="signature is wrong"):
        Codec(PlainSession(b"key")).decode(client.serialize(client.msg("x_request", {})), Channel.shell)


def test_two_sessions_differ_and_the_delimiter_is_the_protocols() -> None:
    assert PlainSession(b"").session != PlainSession(b"").session
    assert DELIM == THEIR_DELIM


def test_a_kernel_that_only_serves_does_not_import_jupyter_client() -> None:
    code = """
import json, sys
import async_kernel.interface.ip_app, async_kernel.kernel, async_kernel.shell.ipshell
print(json.dumps([name for name in ("jupyter_client", "tornado", "psutil", "asyncio") if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert json.loads(done.stdout) == []

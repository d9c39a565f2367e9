"""The session of an interface, and what a connection file says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from jupyter_client.session import Session
from traitlets import TraitError
from traitlets.config import Config

from async_kernel.interface.connection import ConnectionFileMixin
from async_kernel.slot import slot
from async_kernel.transport.connection_file import ConnectionFileError
from async_kernel.transport.plain_session import PlainSession

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture
def connection() -> Generator[ConnectionFileMixin]:
    yield from with_options(Config())


def with_options(config: Config) -> Generator[ConnectionFileMixin]:
    connection = ConnectionFileMixin(config=config)
    slot.take(connection)
    yield connection
    slot.release(connection)


INFO = {
    "transport": "tcp",
    "ip": "127.0.0.2",
    "shell_port": 1,
    "stdin_port": 2,
    "iopub_port": 3,
    "hb_port": 4,
    "control_port": 5,
    "signature_scheme": "hmac-sha512",
    "key": b"key",
}


def test_what_is_loaded_can_be_given_to_clients(connection: ConnectionFileMixin) -> None:
    connection.load_connection_info({**INFO, "key": "key"})
    assert connection.get_connection_info() == INFO
    assert connection.ports == [1, 2, 3, 4, 5]


def test_a_kernel_serves_with_the_plain_session(connection: ConnectionFileMixin) -> None:
    assert isinstance(connection.serving_session, PlainSession)


def test_whoever_asks_gets_a_session_of_the_same_key_and_identity(connection: ConnectionFileMixin) -> None:
    connection.load_connection_info(INFO)
    plain = connection.plain_session
    session = connection.session
    assert isinstance(session, Session)
    assert (session.session, session.key, session.sign([b"x"] * 4)) == (plain.session, b"key", plain.sign([b"x"] * 4))
    assert connection.serving_session is session


def test_a_key_that_comes_later_counts_for_the_session_that_was_made(connection: ConnectionFileMixin) -> None:
    session = connection.session
    connection.load_connection_info(INFO)
    assert (session.key, session.signature_scheme) == (b"key", "hmac-sha512")


def test_a_session_of_the_users_serves() -> None:
    for connection in with_options(Config()):
        given = type(connection.session)(key=b"given")
        connection.session = given
        assert connection.serving_session is given


def test_only_a_session_is_one(connection: ConnectionFileMixin) -> None:
    with pytest.raises(TraitError):
        connection.session = "none"


def test_options_for_session_count() -> None:
    for connection in with_options(Config({"Session": {"username": "somebody", "digest_history_size": 5}})):
        serving = connection.serving_session
        assert isinstance(serving, Session)
        assert (serving.username, serving.digest_history_size, serving.key) == (
            "somebody",
            5,
            connection.plain_session.key,
        )


def test_it_is_configured_by_the_name_of_jupyter_clients_class() -> None:
    for connection in with_options(Config({"ConnectionFileMixin": {"ip": "*"}})):
        assert connection.ip == "0.0.0.0"


def test_a_signature_scheme_that_is_none_is_refused(connection: ConnectionFileMixin) -> None:
    with pytest.raises(ConnectionFileError, match="signature scheme 'nothing'"):
        connection.load_connection_info({**INFO, "signature_scheme": "nothing"})

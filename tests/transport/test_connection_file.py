from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from async_kernel.transport.connection_file import (
    ConnectionFileError,
    read_connection_file,
    write_connection_file,
)

if TYPE_CHECKING:
    from pathlib import Path

INFO: dict[str, Any] = {"shell_port": 5, "ip": "127.0.0.1", "transport": "tcp", "key": "abc"}


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "kernel.json"
    write_connection_file(path, {**INFO, "key": b"abc"})
    assert read_connection_file(path) == INFO


def test_nobody_else_can_ever_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    real = os.fdopen

    def spy(descriptor: int, *args: Any, **kwargs: Any) -> Any:
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return real(descriptor, *args, **kwargs)

    monkeypatch.setattr(os, "fdopen", spy)
    previous = os.umask(0)
    try:
        file = write_connection_file(tmp_path / "kernel.json", INFO)
    finally:
        os.umask(previous)
    assert [*modes, stat.S_IMODE(file.path.stat().st_mode)] == [0o600, 0o600]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kernel.json"
    path.write_text("old")

    def fail(*_args: Any, **_kwargs: Any) -> None:
        msg = "disk full"
        raise OSError(msg)

    monkeypatch.setattr(type(path), "replace", fail)
    with pytest.raises(ConnectionFileError, match="disk full"):
        write_connection_file(path, INFO)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"kernel.json": "old"}


def test_a_folder_that_is_not_there_is_said_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "kernel.json"
    with pytest.raises(ConnectionFileError, match=r"there is no folder .*deep; make it, or give another place"):
        write_connection_file(path, INFO)
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_nothing_can_be_written_is_said(tmp_path: Path) -> None:
    path = tmp_path / "kernel.json"
    path.mkdir()
    with pytest.raises(ConnectionFileError, match=r"cannot write the connection file .*kernel.json: "):
        write_connection_file(path, INFO)
    assert list(tmp_path.iterdir()) == [path]


def test_it_is_removed_if_we_made_it(tmp_path: Path) -> None:
    file = write_connection_file(tmp_path / "kernel.json", INFO)
    file.remove()
    file.remove()
    assert list(tmp_path.iterdir()) == []


def test_it_stays_if_another_made_it(tmp_path: Path) -> None:
    path = tmp_path / "kernel.json"
    path.write_text("theirs")
    file = write_connection_file(path, INFO)
    file.remove()
    assert read_connection_file(path) == INFO


def test_it_stays_if_another_has_replaced_it(tmp_path: Path) -> None:
    file = write_connection_file(tmp_path / "kernel.json", INFO)
    other = tmp_path / "other"
    other.write_text("theirs")
    other.replace(file.path)
    file.remove()
    assert file.path.read_text() == "theirs"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is not JSON"),
        ("\xff", "is not JSON"),
        ("[]", "it holds a list"),
        ('{"shell_port": "5"}', "shell_port is '5', not a port number"),
        ('{"hb_port": 70000}', "hb_port is 70000"),
        ('{"hb_port": true}', "hb_port is True"),
        ('{"key": 5}', "key is a int"),
        ('{"transport": "udp"}', "transport is 'udp'"),
        ('{"curve_publickey": "x"}', "half of a CURVE key pair"),
    ],
)
def test_a_malformed_file_is_explained(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "kernel.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConnectionFileError, match=complaint) as raised:
        read_connection_file(path)
    assert str(path) in str(raised.value)


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConnectionFileError, match=r"cannot read the connection file .*: No such file"):
        read_connection_file(tmp_path / "kernel.json")


def test_it_is_what_jupyter_client_reads(tmp_path: Path) -> None:
    from jupyter_client.connect import ConnectionFileMixin

    file = write_connection_file(tmp_path / "kernel.json", {**INFO, "signature_scheme": "hmac-sha256"})
    reader = ConnectionFileMixin()
    reader.load_connection_file(str(file.path))
    assert (reader.shell_port, reader.session.key, json.loads(file.path.read_text())["ip"]) == (5, b"abc", "127.0.0.1")

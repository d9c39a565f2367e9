from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from async_kernel.channels.settings import IOSettings
from async_kernel.interface import config_places, early
from async_kernel.interface.ip_app import IPApp
from async_kernel.transport.connection import Ports
from async_kernel.transport.plain_session import PlainSession
from tests.e2e.harness.ports import free_ports

CHANNELS = ("hb", "shell", "iopub", "stdin", "control")


@pytest.fixture(autouse=True)
def unconfigured(homes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without configuration files; IPython's folder."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(homes / "config"))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setattr(early, "PATIENCE_S", float("inf"))  # however busy the machine
    return Path(os.environ["IPYTHONDIR"])


def connection_file(folder: Path, **changes: Any) -> str:
    ports = dict(zip((f"{channel}_port" for channel in CHANNELS), free_ports(5), strict=True))
    info = {"ip": "127.0.0.1", "transport": "tcp", "key": "secret", "signature_scheme": "hmac-sha256", **ports}
    path = folder / "connection.json"
    path.write_text(json.dumps(info | changes))
    return str(path)


def received(**options: Any) -> bool:
    """Whether clients are received for a kernel of these options."""
    with early.clients_received(options):
        return early.is_receiving()


def test_clients_are_received_for_a_plain_kernel(tmp_path: Path) -> None:
    assert received(connection_file=connection_file(tmp_path), name="async-trio", backend="asyncio", flags=["quiet"])


def test_not_on_a_machine_that_would_take_long_for_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "PATIENCE_S", -1)
    assert not received(connection_file=connection_file(tmp_path))


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_class": "package.Kernel"},
        {"Kernel.help_links": []},
        {"profile": "other"},
        {"interface_class": "package.Interface"},
        {"encrypt": True},
        {"flags": ["encrypt"]},
        {"flags": ["help-all"]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_not_with_options_that_may_change_the_answer(tmp_path: Path, options: dict[str, Any]) -> None:
    assert not received(connection_file=connection_file(tmp_path), **options)


@pytest.mark.parametrize(
    "changes",
    [
        {"key": ""},
        {"shell_port": 0},
        {"transport": "ipc"},
        {"ip": "0.0.0.0"},
        {"signature_scheme": "hmac-none"},
        {"curve_publickey": "x" * 40, "curve_secretkey": "y" * 40},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_not_where_the_connection_file_does_not_say_all(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert not received(connection_file=connection_file(tmp_path, **changes))


def test_not_without_a_connection_file(tmp_path: Path) -> None:
    assert not received()
    assert not received(connection_file=str(tmp_path / "missing.json"))


@pytest.mark.parametrize("name", ["ipython_config.py", "async_config.json"])
def test_not_where_a_file_configures_ipython(tmp_path: Path, unconfigured: Path, name: str) -> None:
    profile = unconfigured / "profile_default"
    profile.mkdir(parents=True)
    (profile / name).touch()
    assert not received(connection_file=connection_file(tmp_path))


@pytest.mark.parametrize("name", ["async_kernel_config.py", "async_config.json"])
def test_not_where_a_file_configures_every_kernel(
    tmp_path: Path, unconfigured: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "jupyter"))
    (tmp_path / "jupyter").mkdir()
    (tmp_path / "jupyter" / name).touch()
    assert not received(connection_file=connection_file(tmp_path))


def test_every_folder_with_configuration_files_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[Path] = []

    def look(folder: Path, pattern: str) -> list[Path]:
        looked_at.append(folder)
        return []

    with monkeypatch.context() as patched:
        patched.setattr(Path, "glob", look)
        list(config_places.ipython_files())
    app = IPApp()
    try:
        assert {Path(folder) for folder in app.config_file_paths} <= set(looked_at)
    finally:
        app.stop()


def test_the_banner_is_ipythons(monkeypatch: pytest.MonkeyPatch) -> None:
    banner = early.ipython_banner()
    assert banner is not None
    monkeypatch.setattr("IPython.core.interactiveshell.pick_tip", lambda: banner.partition("Tip: ")[2].rstrip("\n"))
    assert banner == InteractiveShell.banner.__get__(InteractiveShell())


def test_nobody_takes_over_and_the_ports_are_free_again(tmp_path: Path) -> None:
    options = {"connection_file": connection_file(tmp_path)}
    assert [received(**options), received(**options)] == [True, True]


def test_what_was_received_with_another_key_is_not_taken(tmp_path: Path) -> None:
    path = connection_file(tmp_path)
    info = json.loads(Path(path).read_text())
    settings = IOSettings(ip="127.0.0.1", ports=Ports(*(info[f"{channel}_port"] for channel in CHANNELS)))
    with early.clients_received({"connection_file": path}):
        assert early.take(settings, PlainSession(b"other")) is None
    with early.clients_received({"connection_file": path}):
        arrivals = early.take(settings, PlainSession(b"secret"))
        assert arrivals is not None
        arrivals.close()

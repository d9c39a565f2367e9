"""The interface with IPython's profiles and startup code, entry by entry of what is documented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from async_kernel.interface import Interface
from async_kernel.interface.ip_app import IPApp
from async_kernel.typing import Hosts

pytestmark = pytest.mark.usefixtures("free_slot")


def new(*args: Any, **kwargs: Any) -> Any:
    return IPApp(*args, **kwargs)


def test_it_is_the_interface_for_everyday_use() -> None:
    assert Interface is IPApp


def test_the_description_is_a_trait() -> None:
    assert new(["--IPApp.description=mine"]).description == "mine"


@pytest.mark.parametrize(
    ("argument", "section", "name", "value"),
    [
        ("--profile=work", "BaseIPythonApplication", "profile", "work"),
        ("--profile-dir=/x", "ProfileDir", "location", "/x"),
        ("--ipython-dir=/y", "BaseIPythonApplication", "ipython_dir", "/y"),
        ("--logappend=x.log", "InteractiveShell", "logappend", "x.log"),
        ("--automagic", "InteractiveShell", "automagic", True),
        ("--no-automagic", "InteractiveShell", "automagic", False),
        ("--pdb", "InteractiveShell", "pdb", True),
    ],
)
def test_options_of_ipython_are_taken(
    argument: str, section: str, name: str, value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(IPApp, "init_profile_dir", lambda _self: None)
    monkeypatch.setattr(IPApp, "init_config_files", lambda _self: None)
    assert new([argument]).config[section][name] == value


def test_a_configuration_file_is_read_and_the_command_line_wins(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("c.BaseShell.timeout = 5\nc.ZMQInterface.stalled_client = 7\n", "utf-8")
    interface = new([f"--config={file}", "--timeout=3"])
    assert (interface.config.BaseShell.timeout, interface.stalled_client) == (3.0, 7.0)


@pytest.mark.parametrize("name", ["mine.py", "mine.json"])
def test_a_configuration_file_is_looked_for_here(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = (
        '{"ZMQInterface": {"stalled_client": 7}}' if name.endswith("json") else "c.ZMQInterface.stalled_client = 7"
    )
    Path(name).write_text(content, "utf-8")
    assert new([f"--config={name}"]).stalled_client == 7.0


@pytest.mark.parametrize("wanted", ["{}/not_there.py", "{}", "/"], ids=["no file", "a folder", "the root"])
def test_a_configuration_file_that_is_nowhere_is_refused(
    wanted: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        new([f"--config={wanted.format(tmp_path)}"])
    assert ended.value.code == 2
    assert "there is no configuration file" in capsys.readouterr().err


@pytest.mark.anyio
async def test_the_namespace_is_that_of_the_shell_and_cannot_be_replaced() -> None:
    names: dict[str, Any] = {"x": 1}
    async with new(user_ns=names) as interface:
        assert interface.user_ns is interface.shell.user_ns is names
        with pytest.raises(AttributeError):
            interface.user_ns = {}


@pytest.mark.parametrize(
    ("arguments", "host"),
    [
        (["--gui=tk"], Hosts.tk),
        (["--matplotlib=qt"], Hosts.qt),
        (["--pylab=tk", "--gui=qt"], Hosts.tk),
        (["--matplotlib=inline"], None),
        (["--gui=tk", "--host=qt"], Hosts.qt),
    ],
    ids=["gui", "matplotlib", "pylab first", "inline", "said"],
)
def test_windows_at_the_start_choose_the_host(arguments: list[str], host: Hosts | None) -> None:
    assert new(arguments).host == host


@pytest.mark.anyio
async def test_it_is_prepared_in_order_and_then_started(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    for name in ("init_path", "init_gui_pylab", "init_code", "init_extensions"):
        monkeypatch.setattr(IPApp, name, lambda _self, name=name: events.append(name))
    interface = new()
    interface.started.add_done_callback(lambda _: events.append("started"))
    async with interface:
        events.append("entered")
    assert events == ["init_path", "init_gui_pylab", "init_code", "init_extensions", "started", "entered"]


@pytest.mark.anyio
async def test_startup_code_runs_in_the_namespace(tmp_path: Path) -> None:
    async with new(["--InteractiveShellApp.exec_lines=x = 6", "--InteractiveShellApp.exec_lines=y = x * 7"]) as app:
        assert app.user_ns["y"] == 42

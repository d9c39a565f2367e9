"""Configuration files, the same for every kind of interface."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from jupyter_core.paths import jupyter_config_path

from async_kernel.interface import config_places
from async_kernel.interface.callable import CallableInterface, start_kernel_callable_interface
from async_kernel.interface.config_files import ConfigFileError
from async_kernel.interface.ip_app import IPApp
from async_kernel.interface.zmq import ZMQInterface
from async_kernel.slot import slot

pytestmark = pytest.mark.usefixtures("free_slot")

every_interface = pytest.mark.parametrize("cls", [CallableInterface, ZMQInterface, IPApp])


@pytest.fixture(autouse=True)
def jupyter(homes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Jupyter's folder for configuration, of somebody who has no other; the working directory is another."""
    for name in ("jupyter_config_dir", "here"):
        (homes / name).mkdir()
    monkeypatch.chdir(homes / "here")
    return homes / "jupyter_config_dir"


def timeout_of(interface: Any) -> float:
    return interface.config.BaseShell.timeout


@every_interface
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("async_kernel_config.py", "c.BaseShell.timeout = 5"),
        ("async_kernel_config.json", '{"BaseShell": {"timeout": 5}}'),
        ("my_own_config.py", "c.BaseShell.timeout = 5"),
    ],
)
def test_a_file_in_jupyters_folder_is_read(cls: Any, file: str, text: str, jupyter: Path) -> None:
    (jupyter / file).write_text(text, "utf-8")
    assert timeout_of(cls(["--name=my-own"])) == 5


@every_interface
def test_that_of_the_kernel_wins_over_that_of_every_kernel(cls: Any, jupyter: Path) -> None:
    (jupyter / "async_kernel_config.py").write_text("c.BaseShell.timeout = 5\nc.BaseInterface.grace = 2", "utf-8")
    (jupyter / "mine_config.py").write_text("c.BaseShell.timeout = 6", "utf-8")
    interface = cls(["--name=mine"])
    assert (timeout_of(interface), interface.grace) == (6, 2)


@every_interface
@pytest.mark.parametrize("wanted", ["mine.py", "mine", "{here}/mine.py", "in_jupyters.json"])
def test_a_file_that_is_named_wins_over_others_and_the_command_line_over_it(
    cls: Any, wanted: str, jupyter: Path
) -> None:
    (jupyter / "async_kernel_config.py").write_text("c.BaseInterface.grace = 2", "utf-8")
    (jupyter / "in_jupyters.json").write_text('{"BaseInterface": {"grace": 3}, "BaseShell": {"timeout": 5}}', "utf-8")
    Path("mine.py").write_text("c.BaseInterface.grace = 3\nc.BaseShell.timeout = 5", "utf-8")
    interface = cls([f"--config={wanted.format(here=Path.cwd())}", "--timeout=6"])
    assert (interface.grace, timeout_of(interface)) == (3, 6)


@every_interface
@pytest.mark.parametrize("wanted", ["{}/not_there.py", "{}", "/"], ids=["no file", "a folder", "the root"])
def test_a_file_that_is_nowhere_is_refused(
    cls: Any, wanted: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cls([f"--config={wanted.format(tmp_path)}"])
    assert ended.value.code == 2
    assert "there is no configuration file" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["ipython_config.py", "ipython_kernel_config.py", "async_config.json"])
def test_files_of_the_profile_are_read(file: str, homes: Path) -> None:
    folder = homes / "ipythondir" / "profile_default"
    folder.mkdir(parents=True)
    text = '{"BaseShell": {"timeout": 5}}' if file.endswith("json") else "c.BaseShell.timeout = 5"
    (folder / file).write_text(text, "utf-8")
    assert timeout_of(IPApp()) == 5


def test_what_is_meant_for_other_programs_is_passed_over(jupyter: Path) -> None:
    text = "c.IPKernelApp.quiet = 'no'\nc.InteractiveShellApp.not_there = 1\nc.Nobody.extensions.append('x')"
    (jupyter / "async_kernel_config.py").write_text(text, "utf-8")
    IPApp()


WRONG = {
    "a syntax error": ("x = 1\nx = = 1", ", line 2: invalid syntax"),
    "an error": ("x = 1\n\n1 / 0", ", line 3: ZeroDivisionError: division by zero"),
    "an error deeper down": ("import json\njson.loads('')", ", line 2: json.decoder.JSONDecodeError"),
    "an exit": ("import sys\nsys.exit()", ", line 2: SystemExit"),
    "a wrong value": ("c.BaseShell.timeout = 'long'", ": BaseShell.timeout: The 'timeout' trait of a BaseShell"),
    "not UTF-8": (b"x = '\xff'", "utf-8"),
}


@every_interface
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_file_is_refused_with_its_place_and_the_process_has_no_interface(
    cls: Any, wrong: str, jupyter: Path
) -> None:
    text, said = WRONG[wrong]
    file = jupyter / "async_kernel_config.py"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigFileError) as refused:
        cls()
    assert str(refused.value).startswith(str(file))
    assert said in str(refused.value)
    assert str(refused.value).endswith("mend this configuration file, or move it away")
    assert slot.get() is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a":\n]}', ", line 2: no JSON"),
        ("[1]", ": it has to hold a JSON object"),
        ('{"version": 9}', "Unknown version"),
        ('{"BaseShell": 5}', ": BaseShell: a section has to be a JSON object"),
        ('{"BaseShell": [{"timeout": 5}]}', 'not [{"timeout": 5}]; mend'),
        ('{"BaseShell": null}', "not null; mend"),
    ],
)
def test_wrong_json_is_refused_with_its_place(text: str, said: str, jupyter: Path) -> None:
    file = jupyter / "async_kernel_config.json"
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigFileError) as refused:
        ZMQInterface()
    assert str(refused.value).startswith(str(file))
    assert said in str(refused.value)


def test_a_process_of_its_own_says_it_in_a_line(jupyter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (jupyter / "async_kernel_config.py").write_text("1 / 0", "utf-8")
    with pytest.raises(SystemExit) as ended:
        IPApp.launch_instance([])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("async-kernel: ")
    assert "line 1: ZeroDivisionError" in line


def unused(*_: Any) -> None:
    """Nothing is sent."""


@pytest.mark.anyio
async def test_the_host_of_a_callable_interface_learns_of_it(jupyter: Path) -> None:
    (jupyter / "async_kernel_config.py").write_text("1 / 0", "utf-8")
    with pytest.raises(ConfigFileError):
        await start_kernel_callable_interface(send=unused, stopped=unused)


@pytest.mark.parametrize("env", [{}, {"JUPYTER_CONFIG_PATH": os.pathsep.join(["/one", "/two"])}, {"PROGRAMDATA": "/p"}])
def test_every_folder_of_jupyters_is_looked_at(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    looked_at: list[str] = []

    def exists(path: str) -> bool:
        looked_at.append(str(Path(path).parent))
        return False

    with monkeypatch.context() as patched:
        patched.setattr("os.path.exists", exists)
        assert not config_places.may_have_jupyter_files("async")
    assert set(jupyter_config_path()) <= set(looked_at)


def test_what_only_the_library_knows_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    assert config_places.may_have_jupyter_files("async")

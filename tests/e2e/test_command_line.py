"""Starting the kernel wrongly: one clear line and an exit code that says whose mistake it was."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.harness.ports import free_ports
from tests.e2e.harness.subject import OURS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.harness.process import KernelProcess
    from tests.e2e.harness.subject import Home

WRONG_OPTIONS = [
    ["--backend=twisted"],
    ["--no-such-option=1"],
    ["--no-such-flag"],
    ["--shell=no-number"],
    ["--ZMQInterface.no_such_trait=1"],
    ["--BaseInterface.grace=soon"],
    ["--transport=pigeon"],
]


@pytest.fixture(autouse=True)
def _ours(home: Home) -> None:
    if home.kernel != OURS:
        pytest.skip("these are this kernel's")


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    command = [sys.executable, "-m", "async_kernel", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, cwd=cwd)


@pytest.mark.parametrize("options", WRONG_OPTIONS, ids=lambda options: options[0])
def test_wrong_options_of_start(tmp_path: Path, options: list[str]) -> None:
    done = run("start", f"--connection_file={tmp_path / 'c.json'}", *options)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert options[0].lstrip("-").partition("=")[0].rpartition(".")[2] in done.stderr
    assert not (tmp_path / "c.json").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["frobnicate"], "frobnicate"), (["install", "--name=no/slash"], "no/slash"), (["--frobnicate"], "frobnicate")],
)
def test_wrong_commands(arguments: list[str], says: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert says in done.stderr


def test_help_and_version_are_no_mistakes() -> None:
    for arguments in ([], ["--help"], ["--version"], ["-V"], ["--list"], ["-h"]):
        done = run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout


def test_configuration_is_shown() -> None:
    done = run("start", "--backend=asyncio", "--show-config-json")
    assert done.returncode == 0
    assert "asyncio" in json.dumps(json.loads(done.stdout))


@pytest.mark.parametrize("channel", ["shell", "iopub", "stdin", "control", "hb"])
def test_a_port_in_use_is_named(tmp_path: Path, channel: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("start", f"--connection_file={tmp_path / 'c.json'}", f"--{channel}={port}")
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert str(port) in done.stderr
    assert channel in done.stderr
    assert not (tmp_path / "c.json").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"shell_port": "x"}', '{"key": 5}'])
def test_a_connection_file_that_is_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(content)
    done = run("start", f"--connection_file={path}")
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert str(path) in done.stderr
    assert path.read_text() == content


def test_a_connection_file_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    done = run("start", f"--connection_file={tmp_path / 'deep' / 'c.json'}")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert f"there is no folder {tmp_path / 'deep'}; make it, or give another place" in line
    assert list(tmp_path.iterdir()) == []


def test_chosen_ports_are_used(tmp_path: Path, start: Callable[..., KernelProcess]) -> None:
    shell, iopub = free_ports(2)
    kernel = start(f"--shell={shell}", f"--iopub={iopub}", writes_file=True)
    info = json.loads(kernel.wait_connection_file().read_text())
    assert (info["shell_port"], info["iopub_port"]) == (shell, iopub)
    assert info["kernel_name"].startswith("subject-")
    assert kernel.connection_file.stat().st_mode & 0o777 == 0o600
    assert kernel.client().run("1").text == "1"


def test_files_of_the_folder_do_not_shadow_modules(tmp_path: Path, start: Callable[..., KernelProcess]) -> None:
    for name in ("random.py", "token.py", "json.py", "zmq.py"):
        (tmp_path / name).write_text("raise ImportError('shadowed')")
    (tmp_path / "mine.py").write_text("value = 5")
    assert start().client().run("import mine\nmine.value").text == "5"

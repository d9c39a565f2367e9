"""What cannot run is refused when the kernel is started: in one line, with exit code 2, before anything is opened."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

WINDOWS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
X11 = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="X11 and Wayland")
QUEUE = "--host_options host_class=tests.event_loop.queue_host.QueueHost"

REFUSED = {
    "--host=gtk": "'tk', 'qt', 'custom'",
    "--host=custom": "a custom host needs the option host_class",
    "--host_options speed=1": "host_options (speed) need a host",
    f"{QUEUE} --host_options speed=1": "host_options: QueueHost has no option 'speed'; it has note",
    "--host_options host_class=no.such.Class": "host_class 'no.such.Class' cannot be imported",
    "--host_options host_class=builtins.int": "must be a subclass of async_kernel.event_loop.host.Host",
    "--host=qt --host_options module=Qt7": "module is 'Qt7'; it must be one of PySide6, PyQt6",
    "--backend_options speed=1": "backend_options: trio has no option 'speed'; it has",
    "--backend=asyncio --backend_options speed=1": "backend_options: asyncio has no option 'speed'; it has",
    f"--backend=asyncio {QUEUE} --host=custom --backend_options use_uvloop=True": "no option use_uvloop with a host",
}


def kernel(command: str, options: str, folder: Path, **env: str) -> tuple[int, str]:
    """Exit code and stderr of the command, without a display; fails if it has opened a connection."""
    own = {name: value for name, value in os.environ.items() if name not in WINDOWS}
    done = subprocess.run(
        [sys.executable, "-m", "async_kernel", *command.split(), *options.split()],
        cwd=Path(__file__).parents[2],
        env=own | {"JUPYTER_RUNTIME_DIR": str(folder / "runtime"), "IPYTHONDIR": str(folder / "ipython")} | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert not (folder / "runtime").exists()
    return done.returncode, done.stderr


def check_refused(result: tuple[int, str], message: str) -> None:
    code, stderr = result
    (line,) = stderr.splitlines()
    assert line.startswith("async-kernel: ")
    assert message in line
    assert code == 2


@pytest.mark.parametrize("options", REFUSED)
def test_options_of_the_loop(options: str, tmp_path: Path) -> None:
    check_refused(kernel("start", options, tmp_path), REFUSED[options])


@X11
@pytest.mark.parametrize(("option", "needs"), [("--host=tk", "tk"), ("--host=qt", "qt"), ("--matplotlib=qt", "qt")])
def test_windows_without_a_display(option: str, needs: str, tmp_path: Path) -> None:
    if find_spec({"tk": "tkinter", "qt": "PySide6"}[needs]) is None:
        pytest.skip("the toolkit is not installed")
    check_refused(kernel("start", option, tmp_path), f"--host={needs} needs a display, and there is none")


@X11
@pytest.mark.parametrize(
    ("host", "module", "says"),
    [("tk", "tkinter", "cannot make windows"), ("qt", "PySide6.QtWidgets", "Qt cannot start: could not connect")],
)
def test_a_display_that_is_not_there(host: str, module: str, says: str, tmp_path: Path) -> None:
    pytest.importorskip(module)
    check_refused(
        kernel("start", f"--host={host}", tmp_path, DISPLAY=":7999"),
        f"--host={host}{':' if host == 'qt' else ''} {says}",
    )


def test_a_kernelspec_with_such_options_is_not_installed(tmp_path: Path) -> None:
    kernels = tmp_path / "kernels"
    options = f"--folder={kernels} --name=wrong --host=qt --host_options module=Qt7"
    check_refused(kernel("install", options, tmp_path), "module is 'Qt7'")
    assert not kernels.exists()


def test_a_kernelspec_with_a_host_is_installed_where_there_is_no_display(tmp_path: Path) -> None:
    pytest.importorskip("tkinter")
    kernels = tmp_path / "kernels"
    code, stderr = kernel("install", f"--folder={kernels} --name=with-tk --host=tk", tmp_path)
    assert (code, stderr) == (0, "")
    assert '"--host=tk"' in (kernels / "with-tk" / "kernel.json").read_text()

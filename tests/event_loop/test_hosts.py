"""Both hosts with both libraries, with real windows on a display that nobody looks at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from async_kernel.event_loop.host import Host, make_host
from async_kernel.event_loop.run import run
from async_kernel.typing import Backend, Hosts, RunSettings

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
REFUSALS = {
    "trio": "backend_options: trio has no option 'speed'",
    "asyncio": "backend_options: asyncio has no option use_uvloop with a host",
}

# Program, and what it has to see.
PROGRAMS: dict[str, Any] = {
    "error": "ZeroDivisionError",
    "everything_of_the_library": ["echo", "child\n", "thread", True],
    "windows_live_beside_tasks": [20, True],
    "a_busy_task_lets_windows_live": 5,
    "closing_windows_ends_nothing": 3,
    "quitting_ends_nothing": 3,
    "tasks_go_on_while_a_dialog_waits": "a dialog waits",
    "windows_that_are_open_do_not_keep_it": "ended",
    "other_threads_reach_it": [["MainThread"], 20, True],
    "an_interrupt_ends_it_in_order": ["main ended", "KeyboardInterrupt"],
    "an_error_of_the_main_loop_ends_it_in_order": ["main ended", "from the main loop", None],
    "an_idle_one_sleeps": True,
    "one_after_another": [0, 1, 2],
    "a_cell_may_wait_in_a_window": 10,
    "nothing_is_left": [0, []],
}


@pytest.fixture(scope="module")
def qt_screen(screen: dict[str, str]) -> dict[str, str]:
    """The same for Qt, which needs more of the system than a display; without that, a screen in memory."""
    code = "from PySide6.QtWidgets import QApplication\nQApplication([])"
    probe = subprocess.run([sys.executable, "-c", code], env={**os.environ, **screen}, capture_output=True, check=False)
    return screen if probe.returncode == 0 else {"QT_QPA_PLATFORM": "offscreen"}


@pytest.fixture(params=["trio", "asyncio"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def run_program(request: pytest.FixtureRequest, host: str, backend: str) -> Callable[[str], Any]:
    """Run a program of ``host_programs`` and return what it has seen."""
    screen: dict[str, str] = request.getfixturevalue("qt_screen" if host == "qt" else "screen")

    def run_program(name: str, **env: str) -> Any:
        command = [sys.executable, "-W", "error", "-m", "tests.event_loop.host_programs", name, host, backend]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **screen, **env},
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout.splitlines()[-1])

    return run_program


def test_the_result_comes_back(run_program: Callable[[str], Any], backend: str) -> None:
    assert run_program("result") == [backend, 42]


@pytest.mark.parametrize("program", PROGRAMS)
def test_program(run_program: Callable[[str], Any], program: str) -> None:
    assert run_program(program) == PROGRAMS[program]


def test_the_host_is_found_from_any_thread(run_program: Callable[[str], Any], host: str) -> None:
    assert run_program("current") == [host, None, True, None]


def test_two_at_once_are_refused(run_program: Callable[[str], Any], host: str) -> None:
    assert run_program("not_two_at_once").startswith(f"a {host} host runs in this thread already")


def test_callbacks_of_windows_reach_the_library(run_program: Callable[[str], Any], backend: str) -> None:
    more = {"trio": [], "asyncio": ["create_task", "call_later"]}
    assert run_program("callbacks_of_windows_reach_the_library") == ["call_soon", "between steps", *more[backend]]


def test_options_are_checked_and_given(run_program: Callable[[str], Any], backend: str) -> None:
    given, refused = run_program("options")
    assert (given, refused.startswith(REFUSALS[backend])) == (True, True)


def test_a_window_is_drawn(run_program: Callable[[str], Any], host: str, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("PIL.ImageGrab")
    if host == "qt" and "DISPLAY" not in request.getfixturevalue("qt_screen"):
        pytest.skip("Qt cannot use X here (libxcb-cursor0 and its like are missing)")
    assert run_program("a_window_is_drawn") == ["#ff0000", "#00ff00"]


def test_qt_without_a_display_says_so(host: str) -> None:
    if host != "qt" or sys.platform in ("win32", "darwin"):
        pytest.skip("Qt on X11 and Wayland")
    code = "from async_kernel.event_loop.host import make_host\nmake_host('qt')"
    env = {name: v for name, v in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        "RuntimeError: --host=qt needs a display, and there is none (neither DISPLAY nor WAYLAND_DISPLAY is set): "
        "start the kernel in a desktop session, under xvfb-run, or with QT_QPA_PLATFORM=offscreen",
    )


def test_tk_without_a_display_says_so(host: str) -> None:
    if host != "tk" or sys.platform in ("win32", "darwin"):
        pytest.skip("Tk on X11")
    code = "from async_kernel.event_loop.host import make_host\nmake_host('tk')"
    env = {name: v for name, v in os.environ.items() if name != "DISPLAY"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        "RuntimeError: --host=tk needs a display, and there is none (DISPLAY is not set): "
        "start the kernel in a desktop session or under xvfb-run",
    )


@pytest.mark.parametrize(
    ("name", "module", "message"),
    [
        ("tk", "tkinter", "--host=tk needs tkinter, which this Python has not"),
        ("qt", "PySide6", "--host=qt needs PySide6, which cannot be imported"),
    ],
)
def test_a_toolkit_that_is_not_there_is_named(name: str, module: str, message: str, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"{module}.QtCore", raising=False)
    with pytest.raises(ImportError) as caught:
        make_host(name)
    assert str(caught.value).startswith(message)


def test_a_binding_of_qt_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PyQt6", None)
    with pytest.raises(ImportError, match=r"--host=qt needs PyQt6, .*: pip install PyQt6"):
        make_host("qt", {"module": "PyQt6"})


def test_an_unknown_host_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="there is no host 'gtk': --host is tk, qt, or custom"):
        make_host("gtk")


def test_a_custom_host_needs_its_class() -> None:
    with pytest.raises(ValueError, match="a custom host needs the option host_class"):
        make_host("custom")


@pytest.mark.parametrize("wrong", [int, "builtins.int", 3])
def test_a_class_that_is_no_host_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="host_class must be a subclass of"):
        make_host("custom", {"host_class": wrong})


def test_an_option_that_a_host_has_not_is_refused() -> None:
    with pytest.raises(TypeError, match="speed"):
        make_host("custom", {"host_class": "tests.event_loop.queue_host.QueueHost", "speed": 3})


class TestCustom:
    """A host of the user's own: a queue that the main loop works through."""

    @pytest.mark.parametrize("host_class", ["tests.event_loop.queue_host.QueueHost"])
    def test_it_runs_either_library(self, backend: str, host_class: str) -> None:
        from tests.event_loop.queue_host import everything

        options = {"host_class": host_class, "note": "an option"}
        settings = RunSettings(backend=Backend(backend), host=Hosts.custom, host_options=options)
        assert run(everything, (1,), settings) == (1, backend, "an option")
        assert Host.current() is None

    def test_a_main_loop_that_fails_again_is_left(self, backend: str) -> None:
        from tests.event_loop.queue_host import BrokenHost, wait

        settings = RunSettings(backend=Backend(backend), host="custom", host_options={"host_class": BrokenHost})
        if backend == "trio":
            pytest.skip("trio cannot be left in the middle of a run of this process")
        with pytest.raises(ZeroDivisionError, match="2"):
            run(wait, (), settings)

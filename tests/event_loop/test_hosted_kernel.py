"""Kernels started with a host: cells, windows and plots side by side; interrupts and the end as in every kernel."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from tests.event_loop.display import display

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess

TK_WINDOW = """
import tkinter
window = tkinter.Tk()
ticks = []
def tick():
    ticks.append(len(ticks))
    window.after(1, tick)
tick()
"""
QT_WINDOW = """
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QWidget
window = QWidget()
window.show()
ticks = []
timer = QTimer()
timer.timeout.connect(lambda: ticks.append(len(ticks)))
timer.start(1)
"""
WINDOW = {"tk": TK_WINDOW, "qt": QT_WINDOW}
CLOSE = {"tk": "window.destroy()", "qt": "window.close()"}
PLOT = """
%matplotlib {host}
import matplotlib.pyplot as plt
figure, axes = plt.subplots()
axes.plot([1, 2, 3])
plt.show()
type(figure.canvas.manager).__name__
"""


@pytest.fixture(scope="module")
def screen() -> Generator[dict[str, str]]:
    with display() as variables:
        yield variables


@pytest.fixture(params=["tk", "qt"])
def host(request: pytest.FixtureRequest) -> str:
    needed = {"tk": "tkinter", "qt": "PySide6"}[request.param]
    if find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    return request.param


@pytest.fixture
def hosted(start: Callable[..., KernelProcess], screen: dict[str, str], host: str, ours: None) -> KernelProcess:
    """A kernel for one test; Qt draws in memory, so that the test asks nothing more of the system."""
    env = {"QT_QPA_PLATFORM": "offscreen"} if host == "qt" else screen
    return start(f"--host={host}", env={"MPLBACKEND": "", **env})


@pytest.fixture
def client(hosted: KernelProcess) -> Generator[Client]:
    client = hosted.client()
    yield client
    client.close()


def sleep(backend: str, seconds: float) -> str:
    return f"import {backend}\nawait {backend}.sleep({seconds})"


def test_cells_run_in_the_backend_and_windows_live_meanwhile(client: Client, host: str, backend: str) -> None:
    assert client.run("import sniffio; sniffio.current_async_library()").text == f"'{backend}'"
    assert client.run(WINDOW[host]).status == "ok"
    client.run(sleep(backend, 0.2))
    seen = int(client.value("len(ticks)"))
    assert seen > 10
    client.run(sleep(backend, 0.1))  # and while nothing is run, until the next request
    assert int(client.value("len(ticks)")) > seen


def test_plots_are_windows(client: Client, host: str, backend: str) -> None:
    pytest.importorskip("matplotlib")
    result = client.run(PLOT.format(host=host))
    assert (result.status, result.text) == ("ok", {"tk": "'FigureManagerTk'", "qt": "'FigureManagerQT'"}[host])
    assert client.run(sleep(backend, 0.05) + "\nplt.close('all'); 'closed'").text == "'closed'"


def test_closing_its_windows_leaves_the_kernel(client: Client, host: str, backend: str) -> None:
    client.run(WINDOW[host])
    client.run(sleep(backend, 0.05))
    client.run(CLOSE[host])
    client.run(sleep(backend, 0.05))
    assert client.run("1 + 1").text == "2"


@pytest.mark.parametrize("code", ["import time; time.sleep(3600)", "await {backend}.sleep(3600)", "while True: pass"])
def test_cells_are_interrupted(client: Client, host: str, backend: str, code: str) -> None:
    client.run(WINDOW[host])
    client.run(f"import {backend}")
    running = client.start(code.format(backend=backend))
    client.until(lambda: "execute_input" in client.so_far(running).kinds, "the cell's start")
    client.interrupt()
    assert client.result(running).reply["ename"] == "KeyboardInterrupt"
    assert client.run("1 + 1").text == "2"


def test_it_stops_with_windows_open(hosted: KernelProcess, client: Client, host: str) -> None:
    client.run(WINDOW[host])
    reply: Any = client.request("shutdown_request", {"restart": False}, channel="control")
    assert (reply.status, hosted.exit_code()) == ("ok", 0)


def test_it_stops_by_sigterm(hosted: KernelProcess, client: Client, host: str) -> None:
    import signal

    client.run(WINDOW[host])
    hosted.send_signal(signal.SIGTERM)
    assert hosted.exit_code() == 0

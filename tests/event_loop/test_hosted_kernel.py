"""Kernels started with a host: cells, windows and plots side by side; interrupts and the end as in every kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

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


def display_of(host: str, screen: dict[str, str]) -> dict[str, str]:
    return {"QT_QPA_PLATFORM": "offscreen"} if host == "qt" else screen


@pytest.fixture
def hosted(start: Callable[..., KernelProcess], screen: dict[str, str], host: str, ours: None) -> KernelProcess:
    """A kernel for one test; Qt draws in memory, so that the test asks nothing more of the system."""
    return start(f"--host={host}", env={"MPLBACKEND": "", **display_of(host, screen)})


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
    # A cell that ends when the windows have lived beside it.
    assert client.run(f"import {backend}\nwhile len(ticks) <= 10: await {backend}.sleep(0.01)").status == "ok"
    seen = int(client.value("len(ticks)"))
    client.until(lambda: int(client.value("len(ticks)")) > seen, "windows that live while nothing is run")


def test_plots_are_windows(client: Client, host: str, backend: str) -> None:
    pytest.importorskip("matplotlib")
    result = client.run(PLOT.format(host=host))
    assert (result.status, result.text) == ("ok", {"tk": "'FigureManagerTk'", "qt": "'FigureManagerQT'"}[host])
    assert client.run(sleep(backend, 0.05) + "\nplt.close('all'); 'closed'").text == "'closed'"


def test_only_its_own_windows_are_offered(client: Client, host: str) -> None:
    pytest.importorskip("matplotlib")
    other = {"tk": "qt", "qt": "tk"}[host]
    listed = client.run("%matplotlib --list").stdout
    assert (f"'{host}'" in listed, f"'{other}'" in listed, f"host runs windows of {host}" in listed) == (
        True,
        False,
        True,
    )
    assert client.run(f"%gui {host}").status == "ok"
    for magic in ("%gui", "%matplotlib"):
        refused = client.run(f"{magic} {other}")
        assert (refused.status, f"--host={other}" in refused.stderr) == ("error", True)


def test_plots_go_back_into_the_notebook(client: Client, host: str) -> None:
    pytest.importorskip("matplotlib")
    assert client.run(PLOT.format(host=host)).status == "ok"
    inline = client.run("plt.close('all')\n%matplotlib inline\nplt.plot([1, 2]); None")
    assert "image/png" in inline.of("display_data")[0]["data"]


def test_plots_can_be_asked_for_on_the_command_line(
    start: Callable[..., KernelProcess], screen: dict[str, str], host: str, ours: None
) -> None:
    pytest.importorskip("matplotlib")
    client = start(f"--matplotlib={host}", env=display_of(host, screen)).client()
    manager = client.run("import matplotlib.pyplot as plt\ntype(plt.figure().canvas.manager).__name__").text
    client.close()
    assert manager == {"tk": "'FigureManagerTk'", "qt": "'FigureManagerQT'"}[host]


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


ENDINGS = {
    "a cell that waits": "await {backend}.sleep(3600)",
    "a plot": PLOT,
    "a closed plot": PLOT + "figure.canvas.manager.window.{close}()",
    "quitting": "{quit}",
    "a dialog that a callback waits for": "{later}",
}
WORDS = {
    "tk": {
        "close": "destroy",
        "quit": "window.quit()",
        "dialog": "window.wait_window()",
        "later": "window.after(1, window.wait_window)",
    },
    "qt": {
        "close": "close",
        "quit": "from PySide6.QtWidgets import QApplication; QApplication.quit()",
        "dialog": "from PySide6.QtWidgets import QDialog; QDialog().exec()",
        "later": "from PySide6.QtWidgets import QDialog; QTimer.singleShot(1, QDialog(window).exec)",
    },
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_it_stops_whatever_windows_do(
    hosted: KernelProcess, client: Client, host: str, backend: str, ending: str
) -> None:
    client.run(f"import {backend}\n{WINDOW[host]}")
    code = ENDINGS[ending].format(host=host, backend=backend, **WORDS[host])
    running = client.start(code)
    client.until(lambda: "execute_input" in client.so_far(running).kinds, "the cell's start")
    if "cell" not in ending:
        assert client.result(running).status == "ok"
        assert client.run("1 + 1").text == "2"
    reply: Any = client.request("shutdown_request", {"restart": False}, channel="control")
    assert (reply.status, hosted.exit_code()) == ("ok", 0)


def test_a_dialog_that_a_cell_waits_in_does_not_keep_it(
    start: Callable[..., KernelProcess], screen: dict[str, str], host: str, ours: None
) -> None:
    """The toolkit swallows the interrupt: it ends when its grace is over."""
    kernel = start(f"--host={host}", "--BaseInterface.grace=0.3", env=display_of(host, screen))
    client = kernel.client()
    client.run(WINDOW[host])
    running = client.start(WORDS[host]["dialog"])
    client.until(lambda: "execute_input" in client.so_far(running).kinds, "the cell's start")
    reply: Any = client.request("shutdown_request", {"restart": False}, channel="control")
    client.close()
    assert (reply.status, kernel.exit_code()) == ("ok", 1)
    assert "User code did not stop within 0.3 s" in kernel.log


def test_it_stops_by_sigterm(hosted: KernelProcess, client: Client, host: str) -> None:
    import signal

    client.run(WINDOW[host])
    hosted.send_signal(signal.SIGTERM)
    assert hosted.exit_code() == 0

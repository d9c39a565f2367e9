"""The terminal that a kernel was started in: what it shows, and that it stops nobody."""

from __future__ import annotations

import os
import termios
from typing import TYPE_CHECKING

import pytest

from tests.e2e.harness.client import wait_for
from tests.e2e.harness.process import start_kernel

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.e2e.harness.process import KernelProcess
    from tests.e2e.harness.subject import Subject

pytestmark = [
    pytest.mark.usefixtures("ours"),
    pytest.mark.skipif(os.name != "posix", reason="POSIX terminals"),
]


@pytest.fixture
def screen() -> Generator[tuple[int, int]]:
    """A terminal's two ends: what the user sees, and what programs write to."""
    master, slave = os.openpty()
    os.set_blocking(master, False)
    yield master, slave
    os.close(master)
    os.close(slave)


@pytest.fixture
def loud(subject: Subject, tmp_path: Path, screen: tuple[int, int]) -> Generator[KernelProcess]:
    """A kernel that echoes output to its terminal."""
    with start_kernel(subject, "--no-quiet", folder=tmp_path, terminal=screen[1]) as kernel:
        yield kernel


class Seen:
    """What is on the screen so far."""

    def __init__(self, master: int) -> None:
        self.text = ""
        self._master = master

    def __contains__(self, text: str) -> bool:
        try:
            while data := os.read(self._master, 1 << 16):
                self.text += data.decode()
        except BlockingIOError:
            pass
        return text in self.text


def test_output_is_shown_there_too(loud: KernelProcess, screen: tuple[int, int]) -> None:
    seen = Seen(screen[0])
    assert loud.client().run("import os\nprint('from Python')\nos.system('echo from a child') and None").stdout
    for text in ("from Python", "from a child"):
        wait_for(lambda text=text: text in seen, text)


def test_a_stopped_terminal_stops_neither_cells_nor_the_kernel(loud: KernelProcess, screen: tuple[int, int]) -> None:
    client = loud.client()
    termios.tcflow(screen[1], termios.TCOOFF)  # Ctrl-S
    printing = client.start(
        "import os\nfor n in range(5000): print('#' * 70)\nos.system('yes % | head -c 200000') and None"
    )
    assert client.request("kernel_info_request", channel="control").reply["status"] == "ok"
    assert client.result(printing).status == "ok"
    assert client.run("6 * 7").text == "42"
    termios.tcflow(screen[1], termios.TCOON)  # Ctrl-Q
    seen = Seen(screen[0])
    wait_for(lambda: seen.__contains__("#") and seen.text.count("%") >= 100_000, "what was held up")
    assert seen.text.count("#") == 350_000


def test_a_kernel_ends_while_its_terminal_is_stopped(loud: KernelProcess, screen: tuple[int, int]) -> None:
    client = loud.client()
    termios.tcflow(screen[1], termios.TCOOFF)
    client.run("for n in range(5000): print('#' * 70)")
    client.send("shutdown_request", {"restart": False}, channel="control")
    assert loud.exit_code() == 0
    termios.tcflow(screen[1], termios.TCOON)

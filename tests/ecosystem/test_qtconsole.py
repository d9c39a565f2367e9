"""qtconsole, as somebody sits before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from qtpy.QtCore import Qt

from tests.ecosystem.harness.qtconsole import QtConsole, qtconsole

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.e2e.harness.process import KernelProcess
    from tests.e2e.harness.snippets import Snippets
    from tests.e2e.harness.subject import Subject


@pytest.fixture
def console(subject: Subject) -> Generator[QtConsole]:
    """A console whose kernel is ready."""
    with qtconsole(subject.name) as console:
        console.see("In [1]: ")
        yield console


def test_cells_show_what_they_print_and_return(console: QtConsole, snippets: Snippets, pictures: Path) -> None:
    console.type(f"print('hello'); await {snippets.sleep}; 6 * 7")
    console.see("In [2]: ")
    assert "hello\nOut[1]: 42\n" in console.text
    console.type("1 / 0")
    console.see("In [3]: ")
    assert "ZeroDivisionError: division by zero" in console.text
    console.type("%matplotlib inline")
    console.see("In [4]: ")
    console.type("import matplotlib.pyplot as plt; plt.figure(figsize=(3, 1)); plt.plot([1, 3, 2]);")
    console.see("In [5]: ")
    assert console.images() == 1
    console.screenshot(pictures / "qtconsole.png")


def test_it_completes_and_explains(console: QtConsole, pictures: Path) -> None:
    console.keys("import tracema")
    console.press(Qt.Key.Key_Tab)
    console.see("In [1]: import tracemalloc")
    console.press(Qt.Key.Key_Return)
    console.see("In [2]: ")
    console.keys("tracemalloc.sta")
    console.press(Qt.Key.Key_Tab)
    console.see("In [2]: tracemalloc.start")
    console.keys("(")
    console.until(lambda: "nframe" in console.tip, "the tip")
    console.screenshot(pictures / "qtconsole-tip.png")


@pytest.mark.parametrize("how", ["awaits", "blocks"])
def test_control_c_interrupts_one_cell(console: QtConsole, snippets: Snippets, how: str) -> None:
    waits = {"awaits": f"await {snippets.wait_forever}", "blocks": "__import__('time').sleep(3600)"}[how]
    console.type(f"print('ready'); {waits}")
    console.see("\nready")
    console.interrupt()
    console.see("In [2]: ")
    assert "\nKeyboardInterrupt: " in console.text
    console.type("'next'")
    console.see("Out[2]: 'next'")


def test_a_cell_asks(console: QtConsole) -> None:
    console.type("name = input('who? ')")
    console.asks()
    console.type("Ada")
    console.see("In [2]: ")
    console.type("name")
    console.see("Out[2]: 'Ada'")


def test_exit_closes_the_window_and_the_kernel(console: QtConsole) -> None:
    console.type("exit")
    console.until(lambda: not console.is_open, "the end of the window")
    assert not console.kernel_lives


def test_a_cell_opens_one_for_its_kernel(own_kernel: KernelProcess) -> None:
    client = own_kernel.client()
    client.run("import os\nos.environ['QT_QPA_PLATFORM'] = 'offscreen'\n%qtconsole")
    known = (None, client.kc.session.session)

    def asked() -> bool:
        return any(r.kind == "idle" and r.msg["parent_header"].get("session") not in known for r in client.received)

    client.until(asked, "a question of the console")
    (console,) = [child for child in own_kernel.children() if "qtconsole" in " ".join(child.cmdline())]
    assert client.run("'meanwhile'").text == "'meanwhile'"
    assert console.is_running()

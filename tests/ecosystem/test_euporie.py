"""euporie's console, as somebody sits before it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.e2e.harness.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.e2e.harness.snippets import Snippets
    from tests.e2e.harness.subject import Home, Subject

CONSOLE = [sys.executable, "-m", "euporie.console"]
CONTROL_C, CONTROL_D, TAB = "\x03", "\x04", "\t"


@pytest.fixture
def console(subject: Subject, home: Home, tmp_path: Path) -> Generator[Terminal]:
    """A console with a kernel of its own."""
    env = {**home.environment, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    with Terminal([*CONSOLE, f"--kernel-name={subject.name}"], env=env, folder=tmp_path) as terminal:
        terminal.see("In [1]:")
        yield terminal


def test_a_session(console: Terminal, snippets: Snippets) -> None:
    assert "hello" in console.type("print('hel' + 'lo'); 6 * 7", see="Out[1]: 42")
    console.type(f"await {snippets.sleep} or 3", see="Out[2]: 3")
    console.keys("import tracema" + TAB)
    console.see("import tracemalloc")
    console.keys("\r")
    console.see("In [4]:")
    console.type("1 / 0", see="ZeroDivisionError: division by zero")
    console.type(f"print('wai' + 'ts'); await {snippets.wait_forever}", see="waits")
    console.keys(CONTROL_C)
    console.see("KeyboardInterrupt")
    console.type("import time; print('sle' + 'eps'); time.sleep(3600)", see="sleeps")
    console.keys(CONTROL_C)
    console.see("KeyboardInterrupt")
    console.type("print?", see="Docstring:")


def test_a_question_has_a_box(console: Terminal) -> None:
    # In which state euporie leaves the cursor differs from time to time: answering is for a person.
    console.type("input('who? ')", see="\nwho?")


def test_leaving_ends_the_kernel(console: Terminal) -> None:
    console.type("1 + 1", see="Out[1]: 2")
    kernels = [process for process in console.children if "subject-" in " ".join(process.cmdline())]
    assert len(kernels) == 1
    console.keys(CONTROL_D)
    assert console.ended() == 0
    psutil.wait_procs(kernels, timeout=10)
    assert not any(process.is_running() for process in kernels)

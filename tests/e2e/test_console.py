"""jupyter console, as somebody sits before it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.e2e.harness.process import start_program
from tests.e2e.harness.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.e2e.harness.snippets import Snippets
    from tests.e2e.harness.subject import Home, Subject

# On a busy machine it may take longer than a second to tell whether a line is complete, which a console waits for it.
PATIENT = "--ZMQTerminalInteractiveShell.kernel_is_complete_timeout=30"
CONSOLE = [sys.executable, "-m", "jupyter_console", PATIENT]
CONTROL_C, CONTROL_D, TAB, UP = "\x03", "\x04", "\t", "\x1b[A"


@pytest.fixture
def console(subject: Subject, home: Home, tmp_path: Path) -> Generator[Terminal]:
    """A console with a kernel of its own."""
    with Terminal([*CONSOLE, "--kernel", subject.name], env=home.environment, folder=tmp_path) as terminal:
        terminal.see("In [1]:")
        yield terminal


def test_a_session(console: Terminal, snippets: Snippets, tmp_path: Path) -> None:
    (tmp_path / "a_file.txt").touch()
    assert "Out[1]: 2" in console.type("1+1", see="In [2]:")
    assert "Out[2]: 3" in console.type(f"await {snippets.sleep} or 3", see="In [3]:")
    console.keys("import tracema" + TAB)
    console.see("import tracemalloc")
    console.keys("\r")
    console.see("In [4]:")
    console.type("name = input('name? ')", see="name?")
    console.keys("Ada\r")
    console.see("In [5]:")
    assert "hello Ada" in console.type("print('hello', name)", see="In [6]:")
    console.type("def f(x): return 1 / x", see="In [7]:")
    assert "ZeroDivisionError" in console.type("f(0)", see="In [8]:")
    console.type("%debug", see="ipdb>")
    console.keys("p x + 41\r")
    console.see("41")
    console.keys("q\r")
    console.see("In [9]:")
    console.type("import time; print('sleeps'); time.sleep(30)", see="\nsleeps")
    console.keys(CONTROL_C)
    assert "KeyboardInterrupt" in console.see("In [10]:")
    console.type(f"print('waits'); await {snippets.wait_forever}", see="\nwaits")
    console.keys(CONTROL_C)
    assert "KeyboardInterrupt" in console.see("In [11]:")
    assert "a_file.txt" in console.type("!ls", see="In [12]:")
    kernels = [process for process in console.children if "subject-" in " ".join(process.cmdline())]
    assert len(kernels) == 1
    console.keys("exit\r")
    assert console.ended() == 0
    psutil.wait_procs(kernels, timeout=10)
    assert not any(process.is_running() for process in kernels)


def test_the_live_tree_is_drawn_in_its_place(console: Terminal, ours: None) -> None:
    console.type("1+1", see="In [2]:")
    console.type("%tasks --live", see="session nursery")
    console.see("--live  [running, 2")  # seconds, and some pictures later
    assert console.new.count("session nursery") == 1
    console.keys(CONTROL_C)
    assert "KeyboardInterrupt" in console.see("In [3]:")


def test_lines_of_former_sessions_come_back(subject: Subject, home: Home, tmp_path: Path) -> None:
    for up in (False, True):
        with Terminal([*CONSOLE, "--kernel", subject.name], env=home.environment, folder=tmp_path) as console:
            console.see("In [1]:")
            if up:
                console.keys(UP)
                console.see("In [1]: 'of an ' + 'earlier session'")
                console.keys("\r")
                console.see("Out[1]: 'of an earlier session'")
            else:
                console.type("'of an ' + 'earlier session'", see="In [2]:")
            console.keys("exit\r")
            assert console.ended() == 0


def test_help_is_paged(console: Terminal) -> None:
    # With a pager that just prints.
    assert "Docstring:" in console.type("print?", see="Docstring:")


@pytest.fixture
def console_in_use(console: Terminal) -> Terminal:
    """A console with one cell behind it.

    A console takes the ``idle`` of any earlier question of its own, which it reads 50 ms after it has sent a cell, for
    the cell's, and then never asks what the cell asks, unless the cell's ``busy`` is there by then. With the first
    cell, the idles of the start are among them.
    """
    console.type("1+1", see="In [2]:")
    return console


def test_the_end_of_input_at_a_question(console_in_use: Terminal) -> None:
    console_in_use.type("input('any' + 'thing? ')", see="anything?")
    console_in_use.keys(CONTROL_D)
    assert "EOFError" in console_in_use.see("In [3]:")


def test_an_interrupt_at_a_question(console_in_use: Terminal) -> None:
    console_in_use.type("input('any' + 'thing? ')", see="anything?")
    console_in_use.keys(CONTROL_C)
    assert "KeyboardInterrupt" in console_in_use.see("In [3]:")
    console_in_use.type("1+1", see="Out[3]: 2")  # perhaps below the next prompt: see console_in_use


def test_output_while_a_cell_runs(console: Terminal, snippets: Snippets) -> None:
    code = f"print('first'); await {snippets.sleep}; print('second')"
    assert "\nfirst\nsecond\n" in console.type(code, see="In [2]:")


def test_a_console_attaches_to_a_program(
    home: Home, subject: Subject, backend: str, tmp_path: Path, ours: None
) -> None:
    program = f"""
import sys, anyio
from async_kernel import Interface
async def main():
    fruit = ["apple"]
    async with Interface(["--connection_file=" + sys.argv[1]], user_ns={{"fruit": fruit}}):
        while "pear" not in fruit:
            await anyio.sleep(0.01)
        print("the program saw", fruit)
        await anyio.sleep_forever()
    print("the program ends")
anyio.run(main, backend={backend!r})
"""
    path = tmp_path / "connection.json"
    with start_program(home, program, folder=tmp_path, connection_file=path) as process:
        process.client()
        for number in range(2):
            with Terminal([*CONSOLE, "--existing", str(path)], env=home.environment, folder=tmp_path) as console:
                console.see("]:")
                assert ("pear" in console.type("fruit", see="]\n")) is (number == 1)
                console.type("fruit.append('pear')", see="]:")
                console.keys("exit\r")
                assert console.ended() == 0
            assert process.alive
        client = process.client()
        assert client.run("'still here'").text == "'still here'"
        client.send("shutdown_request", {"restart": False}, channel="control")
        assert process.exit_code() == 0
        assert "the program saw ['apple', 'pear']" in process.log
        assert "the program ends" in process.log

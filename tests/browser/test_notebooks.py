"""A notebook in the front ends, as a user sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("front_end", ["lab", "notebook"])
def test_cells_run_and_show_what_they_print(open_notebook: Callable[..., Any], front_end: str) -> None:
    page = open_notebook("print(6 * 7)", "import time; print('sleeps'); time.sleep(60)", "'after'", front_end=front_end)

    page.run(0)
    page.start(1)
    page.wait_text(1, "sleeps")
    page.interrupt()
    page.wait_text(1, "KeyboardInterrupt")
    page.wait_done(1)  # its reply; what is sent before that is aborted
    page.run(2)

    page.wait_text(2, "[3]:\n'after'")
    assert (page.text(0).strip(), page.prompt(0)) == ("42", "[1]:")
    page.screenshot(f"interrupted-{front_end}")


@pytest.mark.parametrize("front_end", ["lab", "notebook"])
def test_a_cell_asks_in_a_box(open_notebook: Callable[..., Any], front_end: str) -> None:
    page = open_notebook("name = input('who? ')\nprint('hello', name)", front_end=front_end)

    page.start(0)
    page.until(lambda: page.find(0, ".jp-Stdin-input"), "the box")
    (box,) = page.find(0, ".jp-Stdin-input")
    box.send_keys("Ada\n")

    page.wait_text(0, "hello Ada")
    page.screenshot(f"question-{front_end}")


@pytest.mark.parametrize("front_end", ["lab", "notebook"])
def test_a_restart_forgets(open_notebook: Callable[..., Any], front_end: str) -> None:
    page = open_notebook("before = 1", "print('before' in globals())", front_end=front_end)
    page.run(0)

    page.command("kernelmenu:restart")
    page.until(lambda: page.element(".jp-Dialog .jp-mod-accept"), "the question whether it shall restart")
    page.element(".jp-Dialog .jp-mod-accept").click()
    page.until(lambda: page.element(".jp-Dialog") is None, "the dialog to go")
    page.until(lambda: page.panel("return panel.sessionContext.session?.kernel?.status") == "idle", "the new kernel")
    page.run(1)

    page.wait_text(1, "False")
    assert page.prompt(1) == "[1]:"

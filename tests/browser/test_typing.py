"""What JupyterLab and Notebook 7 offer while somebody types: completions with Tab, help with Shift and Tab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from selenium.common.exceptions import TimeoutException
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.harness.page import Page

CODE = """
import collections, threading
stop = threading.Event()
def harvest(pears: int, *, ripe: bool = True) -> str:
    'Bring the pears in.'
    return 'done'
"""

pytestmark = pytest.mark.parametrize("front_end", ["lab", "notebook"])


def write(page: Page, text: str) -> None:
    """Type into a new cell at the end."""
    number = page.add("")
    page.panel("panel.content.activeCellIndex = arguments[0]; panel.content.mode = 'edit';", number)
    editor = ".jp-Notebook-cell.jp-mod-active .cm-content"
    page.until(lambda: page.element(editor), "the editor of the cell")
    found = page.element(editor)
    assert found is not None
    found.click()
    press(page, text)
    page.until(lambda: source(page) == text, f"{text!r} in the cell")


def press(page: Page, *keys: str, shift: bool = False) -> None:
    actions = ActionChains(page.driver)
    if shift:
        actions.key_down(Keys.SHIFT)
    actions.send_keys(*keys)
    if shift:
        actions.key_up(Keys.SHIFT)
    actions.perform()


def source(page: Page) -> str:
    """The code of the cell that is being edited."""
    return page.panel("return panel.content.activeCell.model.sharedModel.getSource()")


def shown(page: Page, selector: str) -> str:
    """The text of a box that is open; nothing if it is not."""
    element = page.element(selector)
    return element.text if element is not None and element.is_displayed() else ""


def ready(page: Page) -> None:
    """Run the first cell, and let the kernel complete once: a front end drops what it has not got within a second."""
    page.run(0)
    page.panel_async(
        "await panel.sessionContext.session.kernel.requestComplete({code: 'threading.Thr', cursor_pos: 13})"
    )


def tab(page: Page, condition: Callable[[], object], what: str) -> None:
    """Press Tab, as somebody does: once more if nothing has come after a while."""
    for seconds in (5, 10):
        press(page, Keys.TAB)
        try:
            page.until(condition, what, seconds)
        except TimeoutException:
            continue
        return
    press(page, Keys.TAB)
    page.until(condition, what)


@pytest.mark.parametrize("meanwhile", ["idle", "blocked"])
def test_tab_completes(open_notebook: Callable[..., Page], front_end: Any, meanwhile: str) -> None:
    page = open_notebook(CODE, "print('blocks'); stop.wait()", front_end=front_end)
    ready(page)
    if meanwhile == "blocked":
        page.start(1)
        page.wait_text(1, "blocks")
    write(page, "collections.Ordere")
    tab(page, lambda: source(page) == "collections.OrderedDict", "the only completion")
    write(page, "threading.B")
    tab(page, lambda: "BoundedSemaphore" in shown(page, ".jp-Completer"), "the completions")
    assert "BrokenBarrierError" in shown(page, ".jp-Completer")
    page.screenshot(f"completions-{meanwhile}-{front_end}")
    if meanwhile == "blocked":
        page.interrupt()
        page.wait_text(1, "KeyboardInterrupt")


@pytest.mark.parametrize("meanwhile", ["idle", "blocked"])
def test_shift_and_tab_explain(open_notebook: Callable[..., Page], front_end: Any, meanwhile: str) -> None:
    page = open_notebook(CODE, "print('blocks'); stop.wait()", front_end=front_end)
    ready(page)
    if meanwhile == "blocked":
        page.start(1)
        page.wait_text(1, "blocks")
    write(page, "harvest")
    press(page, Keys.TAB, shift=True)
    page.until(lambda: "Bring the pears in." in shown(page, ".jp-Tooltip"), "the help")
    assert "harvest(pears: int, *, ripe: bool = True) -> str" in shown(page, ".jp-Tooltip")
    page.screenshot(f"help-{meanwhile}-{front_end}")
    if meanwhile == "blocked":
        press(page, Keys.ESCAPE)
        page.interrupt()
        page.wait_text(1, "KeyboardInterrupt")

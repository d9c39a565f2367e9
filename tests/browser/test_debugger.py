"""The debugger of JupyterLab: a person sets a breakpoint, looks at variables, steps, and goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from selenium.common.exceptions import TimeoutException
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.harness.page import Page

CELL = """\
def double(number):
    result = number * 2
    return result

answer = double(21)
print("the answer is", answer)"""

GUTTER = ".cm-breakpoint-gutter"

# JupyterLab asks for debugInfo many times while a notebook opens, and mixes its sessions up if it is switched on then.
WATCH = """
window.unanswered = 0;
window.lastDebugMessage = performance.now();
window.debugCommands = [];
panel.sessionContext.session.kernel.anyMessage.connect((_, {msg, direction}) => {
  if (msg.header.msg_type.startsWith('debug_re')) {
    window.unanswered += direction === 'send' ? 1 : -1;
    window.lastDebugMessage = performance.now();
    if (direction === 'send') {
      window.debugCommands.push(msg.content.command);
    }
  }
});
"""
QUIET = "return window.unanswered <= 0 && performance.now() - window.lastDebugMessage > 1000"


class Debugging:
    """A notebook with its debugger on."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.panel(WATCH)
        page.until(lambda: page.panel(QUIET), "JupyterLab to have asked what it asks of a debugger when it opens")
        page.until(lambda: self._bug is not None and self._bug.is_enabled(), "the button with a bug")
        self._click(lambda: self._bug.click(), "initialize")
        page.until(lambda: self.page.element(f".jp-NotebookPanel {GUTTER}"), "the debugger")

    @property
    def _bug(self) -> Any:
        return self.page.element(".jp-DebuggerBugButton")

    def _click(self, click: Callable[[], object], command: str) -> None:
        """Click until JupyterLab asks the kernel to do something: it takes no click to heart before it is ready.

        Once it has asked, another click would take the first one back, however long the answer is in coming.
        """

        def asked() -> int:
            return self.page.panel(
                "return window.debugCommands.filter((each) => each === arguments[0]).length", command
            )

        def clicked() -> bool:
            click()
            try:
                self.page.until(lambda: asked() > before, f"JupyterLab to ask for {command}", 2)
            except TimeoutException:
                return False
            return True

        before = asked()
        self.page.until(clicked, f"a click that JupyterLab takes for {command}")

    def set_breakpoint(self, cell: int, line: int) -> None:
        """Click beside a line of a cell."""

        def click() -> None:
            node: Any = self.page.panel("return panel.content.widgets[arguments[0]].node", cell)
            gutter = node.find_element(By.CSS_SELECTOR, GUTTER)
            down = node.find_elements(By.CSS_SELECTOR, ".cm-line")[line - 1].rect["y"] - gutter.rect["y"] + 8
            clicks = ActionChains(self.page.driver).move_to_element(gutter)
            clicks.move_by_offset(0, round(down - gutter.rect["height"] / 2)).click().perform()

        self._click(click, "setBreakpoints")
        self.page.until(lambda: str(line) in self.panel("Breakpoints"), "the breakpoint in the sidebar")

    def panel(self, name: str) -> str:
        """What a part of the debugger's sidebar shows: Variables, Callstack, Breakpoints, Sources."""
        element = self.page.element(f".jp-Debugger{name}")
        return element.text if element is not None else ""

    def wait_stack(self, *entries: str) -> None:
        """Wait until the call stack shows just this."""
        self.page.until(lambda: all(entry in self.panel("Callstack") for entry in entries), f"the stack {entries}")


@pytest.fixture
def debugging(open_notebook: Callable[..., Page]) -> Debugging:
    return Debugging(open_notebook(CELL, "answer + 1"))


def test_a_cell_is_debugged(debugging: Debugging) -> None:
    page = debugging.page
    debugging.set_breakpoint(0, 2)
    page.start(0)
    debugging.wait_stack("double", "<module>")
    page.until(lambda: "21" in debugging.panel("Variables"), "the variable number")
    page.screenshot("debugger-stopped")

    page.command("debugger:next")
    page.until(lambda: "42" in debugging.panel("Variables"), "the variable result")
    page.screenshot("debugger-stepped")

    page.command("debugger:continue")
    page.wait_text(0, "the answer is 42")
    page.wait_done(0)
    page.run(1)
    page.wait_text(1, "43")


def test_an_interrupt_ends_what_is_stopped(debugging: Debugging) -> None:
    page = debugging.page
    debugging.set_breakpoint(0, 2)
    page.start(0)
    debugging.wait_stack("double")
    page.interrupt()
    page.wait_done(0)
    page.run(1)
    page.wait_done(1)

"""qtconsole with a window that nobody sees: what a user would type, and what the user would see.

It is the whole application, in this process, on Qt's offscreen platform: one at a time.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ["QT_API"] = "pyside6"

from qtconsole.qtconsoleapp import JupyterQtConsoleApp
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

PATIENCE = 30.0
"""Seconds until something is in the window."""


class QtConsole:
    """The window of a running qtconsole."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._widget = app.widget

    @property
    def text(self) -> str:
        """All that the console shows."""
        return self._widget._control.toPlainText()

    @property
    def tip(self) -> str:
        """The tip at the cursor, if there is one."""
        tip = self._widget._call_tip_widget
        return tip.text() if tip.isVisible() else ""

    @property
    def is_open(self) -> bool:
        return self._app.window.isVisible()

    @property
    def kernel_lives(self) -> bool:
        return self._app.kernel_manager.is_alive()

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Let Qt work until something is so.

        Raises:
            AssertionError: when the time is over; says what the console shows.
        """
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"waited {PATIENCE} s for {what} in\n{self.text}"
            QTest.qWait(10)

    def see(self, text: str) -> str:
        """Wait until the console shows a text; all that follows its first appearance."""
        self.until(lambda: text in self.text, repr(text))
        return self.text.split(text, 1)[1]

    def asks(self) -> None:
        """Wait until a cell asks for input."""
        self.until(lambda: self._widget._reading, "a question")

    def keys(self, keys: str) -> None:
        """Type into the console."""
        QTest.keyClicks(self._widget._control, keys)

    def press(self, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        QTest.keyClick(self._widget._control, key, modifier)

    def type(self, line: str) -> None:
        """Type a line and Return."""
        self.keys(line)
        self.press(Qt.Key.Key_Return)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.press(Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)

    def images(self) -> int:
        """How many pictures the console shows."""
        return self.text.count("\N{OBJECT REPLACEMENT CHARACTER}")

    def screenshot(self, path: Path) -> None:
        assert self._app.window.grab().save(str(path))


@contextmanager
def qtconsole(kernel: str) -> Generator[QtConsole]:
    """Open a console with a kernel of its own; leaving closes both."""
    threads = set(threading.enumerate())
    app: Any = JupyterQtConsoleApp()
    app.initialize(["--kernel", kernel, "--JupyterWidget.include_other_output=True"])
    app.window.confirm_exit = False
    app.widget._confirm_exit = False
    app.window.show()
    try:
        yield QtConsole(app)
    finally:
        app.window.close()
        if app.kernel_manager.has_kernel:
            app.kernel_manager.shutdown_kernel(now=True)
        # It stops its channels in a thread of its own.
        for thread in set(threading.enumerate()) - threads:
            thread.join(PATIENCE)

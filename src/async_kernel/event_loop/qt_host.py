"""Qt's main loop as host, by whichever of its Python bindings.

The application object is made if there is none; it stays, as Qt wants it. Closing the last window does not end it.
Calls from other threads are events posted to an object of the main thread, which Qt delivers in any of its loops: also
while a dialog runs one of its own.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from async_kernel.event_loop.host import Host
from async_kernel.typing import Hosts

if TYPE_CHECKING:
    from collections.abc import Callable

    import outcome

__all__ = ["QtHost"]

Module = Literal["PySide6", "PyQt6", "PySide2", "PyQt5"]


class QtHost(Host):
    """Windows of Qt, and of matplotlib's QtAgg.

    Args:
        module: the binding to use.

    Attributes:
        app: the QApplication.

    Raises:
        ImportError: if the binding is not installed.
        RuntimeError: outside the main thread, or without a display.
    """

    HOST = Hosts.qt
    MATPLOTLIB_GUIS = ("qt", "qt5", "qt6")

    def __init__(self, module: Module = "PySide6") -> None:
        if threading.current_thread() is not threading.main_thread():
            msg = "--host=qt: Qt's main loop runs in the main thread only"
            raise RuntimeError(msg)
        try:
            core, widgets = import_module(f"{module}.QtCore"), import_module(f"{module}.QtWidgets")
        except ImportError as exc:
            extra = "async-trio[gui]" if module == "PySide6" else module
            msg = f"--host=qt needs {module}, which cannot be imported ({exc}): pip install {extra}"
            raise ImportError(msg) from None
        self._core: Any = core
        self._calls: deque[Callable[[], object]] = deque()
        self._failure: BaseException | None = None
        self.app: Any = core.QCoreApplication.instance() or _make_application(widgets)
        self._quit_on_last_window = self.app.quitOnLastWindowClosed()
        self.app.setQuitOnLastWindowClosed(False)
        self._event_type = core.QEvent.Type(core.QEvent.registerEventType())
        self._receiver = self._make_receiver()

    def _make_receiver(self) -> Any:
        host = self

        class Receiver(self._core.QObject):
            def event(self, event: Any) -> bool:
                if event.type() != host._event_type:
                    return False
                host._call_one()
                return True

        return Receiver()

    def run_sync_soon_threadsafe(self, fn: Callable[[], object]) -> None:
        """Post an event for ``fn()``."""
        self._calls.append(fn)
        self._core.QCoreApplication.postEvent(self._receiver, self._core.QEvent(self._event_type))

    def _call_one(self) -> None:
        try:
            self._calls.popleft()()
        except BaseException as exc:  # noqa: BLE001 -- Qt would print it: it is raised by the main loop
            self._failure = exc
            self.app.exit(1)

    def mainloop(self) -> None:
        """Run Qt's main loop; returns at the end, and when somebody calls the application's ``quit`` or ``exit``."""
        (self.app.exec if hasattr(self.app, "exec") else self.app.exec_)()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def done_callback(self, result: outcome.Outcome[Any]) -> None:
        """End the main loop, and those of dialogs inside it."""
        super().done_callback(result)
        self.app.exit(0)

    def close(self) -> None:
        """Give the application back as it was; it itself stays."""
        self.app.setQuitOnLastWindowClosed(self._quit_on_last_window)
        self._receiver.deleteLater()
        del self._receiver


def _make_application(widgets: Any) -> Any:
    needs_display = sys.platform not in ("win32", "darwin")
    if needs_display and not any(os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")):
        # Qt would end the process.
        msg = (
            "--host=qt needs a display, and there is none (neither DISPLAY nor WAYLAND_DISPLAY is set): start the "
            "kernel in a desktop session, under xvfb-run, or with QT_QPA_PLATFORM=offscreen"
        )
        raise RuntimeError(msg)
    return widgets.QApplication(["async-kernel"])

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
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from async_kernel.event_loop.display import check_display
from async_kernel.event_loop.host import Host
from async_kernel.typing import Hosts

if TYPE_CHECKING:
    from collections.abc import Callable

    import outcome

__all__ = ["QtHost"]

Module = Literal["PySide6", "PyQt6", "PySide2", "PyQt5"]
CANNOT_START = 2
"""The exit code for a host that cannot start here, as for a wrong option: Qt does not let Python raise."""


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

    HOST: ClassVar[Hosts] = Hosts.qt
    MATPLOTLIB_GUIS: tuple[str, ...] = ("qt", "qt6")

    def __init__(self, module: Module = "PySide6") -> None:
        if threading.current_thread() is not threading.main_thread():
            msg = "--host=qt: Qt's main loop runs in the main thread only"
            raise RuntimeError(msg)
        self._core: Any
        self._core, widgets = _import_qt(module)
        core = self._core
        # PySide2 is Qt 5. The name is documented as it is.
        self.MATPLOTLIB_GUIS = ("qt", f"qt{module[-1].replace('2', '5')}")  # pyright: ignore[reportConstantRedefinition]
        self._calls: deque[Callable[[], object]] = deque()
        self._failure: BaseException | None = None
        self.app: Any = core.QCoreApplication.instance() or _make_application(core, widgets)
        self._quit_on_last_window = self.app.quitOnLastWindowClosed()
        self.app.setQuitOnLastWindowClosed(False)
        self._event_type = core.QEvent.Type(core.QEvent.registerEventType())
        self._receiver = self._make_receiver()

    @classmethod
    def check_installed(cls, module: Module = "PySide6", **options: Any) -> None:
        """See whether the binding can be imported."""
        _import_qt(module)

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


def _import_qt(module: str) -> tuple[Any, Any]:
    if module not in get_args(Module):
        msg = f"host_options: module is {module!r}; it must be one of {', '.join(get_args(Module))}"
        raise TypeError(msg)
    try:
        return import_module(f"{module}.QtCore"), import_module(f"{module}.QtWidgets")
    except ImportError as exc:
        extra = "async-trio[gui]" if module == "PySide6" else module
        msg = f"--host=qt needs {module}, which cannot be imported ({exc}): pip install {extra}"
        raise ImportError(msg) from None


def _make_application(core: Any, widgets: Any) -> Any:
    if not os.environ.get("QT_QPA_PLATFORM"):
        check_display("qt", ("DISPLAY", "WAYLAND_DISPLAY"), "start with QT_QPA_PLATFORM=offscreen")
    said: list[str] = []

    def say(kind: Any, context: Any, text: str) -> None:
        if kind == core.QtMsgType.QtFatalMsg:
            # Qt ends the process when this returns. Nothing has begun yet, so it may as well end in one line.
            cause = " ".join(said) or text
            sys.stderr.write(f"async-kernel: --host=qt: Qt cannot start: {cause}\n")
            sys.stderr.flush()
            os._exit(CANNOT_START)
        said.append(text.strip().partition("\n")[0])

    before = core.qInstallMessageHandler(say)
    try:
        return widgets.QApplication(["async-kernel"])
    finally:
        core.qInstallMessageHandler(before)

"""Tk's main loop as host.

Tcl has one queue of events in a thread for the windows of every ``Tk`` object. This host works through it from an
interpreter of its own that has no window: so it is nobody's default root, and does not end when windows are closed.
That windows can be made at all is tried first. Calls from other threads come through a socket that Tcl watches; on
Windows, where it watches none, through Tcl's own hand-over between threads.

The end must not wait for a dialog that somebody has left open: main loops that callbacks have entered inside this one
are left too, and if one waits for a window, tkinter's default root is destroyed.
"""

from __future__ import annotations

import socket
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from async_kernel.event_loop.display import check_display
from async_kernel.event_loop.host import Host
from async_kernel.typing import Hosts

if TYPE_CHECKING:
    from collections.abc import Callable

    import outcome

__all__ = ["TkHost"]

_INNER_LOOP_MS = 20
"""After this time, the main loop that was told to end and has not is one inside another."""


class TkHost(Host):
    """Windows of tkinter, and of matplotlib's TkAgg.

    Raises:
        ImportError: if this Python has no tkinter.
        RuntimeError: if there is no display.
    """

    HOST: ClassVar[Hosts] = Hosts.tk
    MATPLOTLIB_GUIS: tuple[str, ...] = ("tk",)

    def __init__(self) -> None:
        self._tkinter = tkinter = _import_tkinter()
        check_display("tk", ("DISPLAY",))
        _try_window(tkinter)
        self._tk: Any = tkinter.Tcl().tk
        self._calls: deque[Callable[[], object]] = deque()
        self._idle_calls: deque[Callable[[], object]] = deque()
        self._sockets = socket.socketpair()
        for each in self._sockets:
            each.setblocking(False)
        self._watches = hasattr(self._tk, "createfilehandler")
        if self._watches:
            self._tk.createfilehandler(self._sockets[0], tkinter.READABLE, self._woken)
        self._tk.createcommand("async_kernel_call", self._call_all)
        self._tk.createcommand("async_kernel_idle", self._call_one)
        self._tk.createcommand("async_kernel_quit", self._quit_inner)

    @classmethod
    def check_installed(cls, **options: Any) -> None:
        """See whether this Python has tkinter."""
        _import_tkinter()

    def run_sync_soon_threadsafe(self, fn: Callable[[], object]) -> None:
        """Wake the main loop for ``fn()``."""
        self._calls.append(fn)
        self._wake()

    def _wake(self) -> None:
        if not self._watches:
            self._tk.call("after", "idle", "async_kernel_call")
            return
        try:
            self._sockets[1].send(b"\0")
        except BlockingIOError:
            return  # it is full of wakes

    def run_sync_soon_not_threadsafe(self, fn: Callable[[], object]) -> None:
        """After what is ready now, the drawing of windows included, so that a busy guest lets them live."""
        self._idle_calls.append(fn)
        # Drawing is done when idle, but Tk shows a new window when no idle call is left: not one after another, then.
        self._tk.call("after", "idle", "after 0 async_kernel_idle")

    def _woken(self, receiver: socket.socket, mask: int) -> None:
        try:
            receiver.recv(4096)
        except BlockingIOError:
            return
        self._call_all()

    def _call_all(self) -> None:
        left = len(self._calls)  # what is added meanwhile has its own wake
        try:
            while left:
                left -= 1
                self._calls.popleft()()
        finally:
            if left:  # the main loop is left by an error: it goes on with the others
                self._wake()

    def _call_one(self) -> None:
        self._idle_calls.popleft()()

    def mainloop(self) -> None:
        """Work through Tcl's events; returns at the end, and when somebody calls ``quit`` on whatever widget."""
        self._tk.mainloop(-1)  # however few windows there are

    def done_callback(self, result: outcome.Outcome[Any]) -> None:
        """End the main loop, and those inside it."""
        super().done_callback(result)
        self._tk.quit()
        self._tk.call("after", _INNER_LOOP_MS, "async_kernel_quit")

    def _quit_inner(self) -> None:
        root: Any = getattr(self._tkinter, "_default_root", None)
        if root is not None:
            root.destroy()  # whoever waits for one of its windows goes on
        self._tk.quit()
        self._tk.call("after", _INNER_LOOP_MS, "async_kernel_quit")

    def close(self) -> None:
        """Forget the interpreter and close the socket."""
        if self._watches:
            self._tk.deletefilehandler(self._sockets[0])
        for each in self._sockets:
            each.close()
        for name in ("async_kernel_call", "async_kernel_idle", "async_kernel_quit"):
            self._tk.deletecommand(name)
        del self._tk


def _import_tkinter() -> Any:
    try:
        import tkinter  # noqa: PLC0415 -- not every Python has it
    except ImportError as exc:
        msg = f"--host=tk needs tkinter, which this Python has not ({exc}). Debian: apt install python3-tk"
        raise ImportError(msg) from None
    return tkinter


def _try_window(tkinter: Any) -> None:
    """Whether a window can be made; this one is never shown.

    Raises:
        RuntimeError: if not.
    """
    try:
        root = tkinter.Tk()
    except tkinter.TclError as exc:
        msg = f"--host=tk cannot make windows: {exc}"
        raise RuntimeError(msg) from None
    root.withdraw()
    root.destroy()

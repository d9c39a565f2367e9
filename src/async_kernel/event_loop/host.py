"""GUI main loops as hosts: the GUI has the thread, and the async library runs in it as its guest.

A :class:`Host` is what a toolkit provides: a main loop, and a way to have a function called in it from any thread.
Windows live because their main loop runs; tasks and cells live because the library's steps are events of that main
loop. Neither polls the other: when nothing happens, both sleep.

Order: the guest is prepared, the main loop runs, the guest's steps are events in it; when the guest has ended, the main
loop is left, and the guest's result is returned or raised. A main loop that is left before that (somebody calls the
application's ``quit``) is entered again: only the guest's end ends it. What the main loop itself raises cancels the
guest, and is raised when that has ended; if the main loop raises once more, that is raised at once.

While a cell blocks, no window is redrawn, as with every toolkit; while a window's callback blocks (or waits in a dialog
of its own), tasks go on where the toolkit runs its main loop meanwhile.
"""

from __future__ import annotations

import inspect
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from async_kernel.common import import_item
from async_kernel.typing import Backend, Hosts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    import outcome

__all__ = ["Guest", "Host", "host_class", "make_host"]

T = TypeVar("T")

_CLASSES: dict[str, str] = {
    Hosts.tk: "async_kernel.event_loop.tk_host.TkHost",
    Hosts.qt: "async_kernel.event_loop.qt_host.QtHost",
}


class Guest(Protocol):
    """An async library that runs in steps. Used in the host's thread."""

    def start(self) -> None:
        """Arrange for the first step, once, before the main loop runs."""
        ...

    def cancel(self) -> None:
        """Have it end soon."""
        ...

    def close(self) -> None:
        """Give back what it has; once, when the main loop is left."""
        ...


class Host(ABC):
    """A GUI main loop that hosts an async library.

    To bring another toolkit, subclass it and name the class in the host options: ``host="custom"``,
    ``host_options={"host_class": "package.module.MyHost"}``. Other host options are arguments of its constructor.
    All methods are called in the thread that runs it, except :meth:`run_sync_soon_threadsafe`.

    Attributes:
        HOST: which one it is.
        MATPLOTLIB_GUIS: what IPython and matplotlib call the GUIs whose windows live in it.
    """

    HOST: ClassVar[Hosts] = Hosts.custom
    MATPLOTLIB_GUIS: tuple[str, ...] = ()
    _outcome: outcome.Outcome[Any] | None = None

    @classmethod  # noqa: B027 -- many need nothing
    def check_installed(cls, **options: Any) -> None:
        """See whether what the host needs can be imported.

        Args:
            options: arguments of its constructor.

        Raises:
            ImportError: if not; the message says what to install.
        """

    # -- what a toolkit provides -----------------------------------------------------------------------------

    @abstractmethod
    def run_sync_soon_threadsafe(self, fn: Callable[[], object]) -> None:
        """Have ``fn()`` called in the main loop soon; from any thread."""

    def run_sync_soon_not_threadsafe(self, fn: Callable[[], object]) -> None:
        """The same from the main loop's own thread, if that can be done better."""
        self.run_sync_soon_threadsafe(fn)

    @abstractmethod
    def mainloop(self) -> None:
        """Run the GUI's main loop, until :attr:`ended`. It is called again if it returns before."""

    def done_callback(self, result: outcome.Outcome[Any]) -> None:
        """The guest has ended: have :meth:`mainloop` return. Called in the main loop.

        Overriding methods call this one first.
        """
        self._outcome = result

    def close(self) -> None:  # noqa: B027 -- many have nothing
        """Give back what the constructor has taken; called once, at the end."""

    # -- what is done with that ------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the guest has ended."""
        return self._outcome is not None

    @classmethod
    def current(cls, thread: threading.Thread | int | None = None) -> Host | None:
        """The host that runs in a thread (an object, or its ident; None: this one); None if there is none."""
        ident = thread.ident if isinstance(thread, threading.Thread) else thread
        return _running.get(threading.get_ident() if ident is None else ident)

    def run(
        self,
        func: Callable[..., Awaitable[T]],
        args: tuple[Any, ...],
        backend: Backend,
        backend_options: Mapping[str, Any] | None = None,
    ) -> T:
        """Run ``await func(*args)`` as its guest, and the main loop until that has ended. Once only.

        Raises:
            BaseException: what ``func`` or the main loop raised.
            RuntimeError: if a host runs in this thread already.
            TypeError: if the backend has no such option as a guest.
        """
        ident = threading.get_ident()
        if _running.setdefault(ident, self) is not self or self.ended:
            msg = f"a {_running[ident].HOST} host runs in this thread already, or this one has run before"
            raise RuntimeError(msg)
        try:
            guest = self._guest(func, args, backend, dict(backend_options or {}))
            try:
                self._run(guest)
            finally:
                guest.close()
        finally:
            del _running[ident]
            self.close()
        result, self._outcome = self._outcome, None
        assert result is not None, "the main loop is left when the guest has ended"
        try:
            return result.unwrap()
        finally:
            del result, guest  # no cycle through this frame

    def _guest(
        self, func: Callable[..., Awaitable[Any]], args: tuple[Any, ...], backend: Backend, options: dict[str, Any]
    ) -> Guest:
        # Imported where they run: a kernel has one of them.
        if backend is Backend.trio:
            from async_kernel.event_loop.trio_guest import TrioGuest  # noqa: PLC0415

            return TrioGuest(self, func, args, options)
        from async_kernel.event_loop.asyncio_guest import AsyncioGuest  # noqa: PLC0415

        return AsyncioGuest(self, func, args, options)

    def _run(self, guest: Guest) -> None:
        failure: BaseException | None = None
        guest.start()
        while not self.ended:
            try:
                self.mainloop()
            except BaseException as exc:
                if failure is not None:
                    raise
                failure = exc
                guest.cancel()
        if failure is not None:
            try:
                raise failure
            finally:
                del failure, guest  # no cycle through this frame


_running: dict[int, Host] = {}


def make_host(host: str | None, options: Mapping[str, Any] | None = None) -> Host:
    """The host of that name, for this thread.

    Args:
        host: one of :class:`~async_kernel.typing.Hosts`; None: custom, if the options name a class.
        options: arguments of its constructor; ``host_class`` (a class or its dotted name) is used instead of the
            host's own.

    Raises:
        ImportError: if the toolkit, or the class, is not there.
        RuntimeError: if the toolkit cannot run in this thread or without a display.
        TypeError: if the class is no :class:`Host`, or takes no such option.
        ValueError: if there is no host of that name.
    """
    cls, arguments = host_class(host, options)
    return cls(**arguments)


def host_class(host: str | None, options: Mapping[str, Any] | None = None) -> tuple[type[Host], dict[str, Any]]:
    """The class of a host, and the arguments for its constructor.

    Raises:
        ImportError: if the class is not there.
        TypeError: as :func:`make_host`.
        ValueError: as :func:`make_host`.
    """
    options = dict(options or {})
    cls: Any = options.pop("host_class", None)
    if cls is None and host is None:
        given = ", ".join(options)
        msg = f"host_options ({given}) need a host: add --host=tk, --host=qt, or host_class=package.module.Class"
        raise ValueError(msg)
    cls = cls or _CLASSES.get(host or "")
    if cls is None:
        why = "a custom host needs the option host_class" if host == Hosts.custom else f"there is no host {host!r}"
        msg = f"{why}: --host is tk, qt, or custom with --host_options host_class=package.module.Class"
        raise ValueError(msg)
    if isinstance(cls, str):
        name = cls
        try:
            cls = import_item(name)
        except (ImportError, AttributeError, ValueError) as exc:
            msg = f"host_class {name!r} cannot be imported: {exc}"
            raise ImportError(msg) from exc
    if not (isinstance(cls, type) and issubclass(cls, Host)):
        msg = f"host_class must be a subclass of async_kernel.event_loop.host.Host, not {cls!r}"
        raise TypeError(msg)
    known = inspect.signature(cls).parameters
    for name in options:
        if name not in known and not any(each.kind is each.VAR_KEYWORD for each in known.values()):
            has = f"it has {', '.join(known)}" if known else "it has none"
            msg = f"host_options: {cls.__name__} has no option {name!r}; {has}"
            raise TypeError(msg)
    return cls, options

"""Running an async library in this thread, alone or as the guest of a GUI's main loop.

Blocks until the function has returned, and returns or raises what it did. Options are checked before anything runs.

Importable without trio, and without any GUI toolkit.
"""

from __future__ import annotations

import inspect
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from async_kernel.typing import Backend

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from async_kernel.typing import RunSettings

__all__ = ["check", "checked_backend_options", "prepare", "run"]

T = TypeVar("T")


def run(func: Callable[..., Awaitable[T]], args: tuple[Any, ...], settings: RunSettings, /) -> T:
    """Run ``await func(*args)`` in a new loop: :func:`prepare`, and then what that returns."""
    return prepare(settings)(func, args)


def prepare(settings: RunSettings, /) -> Callable[[Callable[..., Awaitable[T]], tuple[Any, ...]], T]:
    """Check the settings, and make the host that they name.

    Args:
        settings: which loop, and which GUI hosts it (:class:`async_kernel.event_loop.host.Host`), if any.

    Returns:
        ``runner(func, args)``, to be called once, in this thread: runs ``await func(*args)``. It raises RuntimeError if
        a loop runs in this thread already.

    Raises:
        ImportError: if the async library, uvloop or the GUI toolkit is not installed.
        RuntimeError: if the toolkit cannot run in this thread or without a display.
        TypeError: if an option of the backend or of the host does not exist.
        ValueError: if there is no such backend or host.
    """
    backend = Backend(settings.backend)
    options = _checked_options(settings)
    if settings.host is not None or settings.host_options:
        from async_kernel.event_loop.host import make_host  # noqa: PLC0415 -- most kernels have none

        return partial(make_host(settings.host, settings.host_options).run, backend=backend, backend_options=options)

    def runner(func: Callable[..., Awaitable[T]], args: tuple[Any, ...]) -> T:
        return anyio.run(func, *args, backend=str(backend), backend_options=options)

    return runner


def check(settings: RunSettings, /) -> None:
    """See whether the settings could run somewhere: what :func:`prepare` checks but for the display and the thread.

    Raises:
        ImportError: as :func:`prepare`.
        TypeError: as :func:`prepare`.
        ValueError: as :func:`prepare`.
    """
    _checked_options(settings)
    if settings.host is not None or settings.host_options:
        from async_kernel.event_loop.host import host_class  # noqa: PLC0415 -- as above

        cls, options = host_class(settings.host, settings.host_options)
        cls.check_installed(**options)


def _checked_options(settings: RunSettings) -> dict[str, Any]:
    backend = Backend(settings.backend)
    options = checked_backend_options(backend, settings.backend_options)
    if settings.host is not None and backend is Backend.asyncio:
        from async_kernel.event_loop.asyncio_guest import check_guest_options  # noqa: PLC0415 -- most kernels have none

        check_guest_options(options)
    return options


def checked_backend_options(backend: Backend, options: dict[str, Any] | None) -> dict[str, Any]:
    """The options, for :func:`anyio.run`.

    Raises:
        ImportError: if the async library, or the uvloop that they ask for, is not installed.
        TypeError: if one does not exist; the message says which ones do.
    """
    known = _options_of(backend)
    for name in options or {}:
        if name not in known:
            msg = f"backend_options: {backend} has no option {name!r}; it has {', '.join(known)}"
            raise TypeError(msg)
    if backend is Backend.asyncio and (options or {}).get("use_uvloop") and not _has_uvloop():
        msg = "backend_options: use_uvloop needs uvloop, which is not installed: pip install async-trio[uvloop]"
        raise ImportError(msg)
    return dict(options or {})


def _options_of(backend: Backend) -> list[str]:
    if backend is Backend.asyncio:
        return ["debug", "loop_factory", "use_uvloop"]
    try:
        import trio  # noqa: PLC0415 -- a browser has none
    except ImportError:
        msg = "the backend trio is not installed: pip install trio, or choose --backend=asyncio"
        raise ImportError(msg) from None
    return [
        name
        for name, parameter in inspect.signature(trio.run).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]


def _has_uvloop() -> bool:
    return any(find_spec(name) is not None for name in ("uvloop", "winloop"))

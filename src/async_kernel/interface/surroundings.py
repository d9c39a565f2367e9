"""What an interface looks up in its process, and what it lends from it: the async library, variables, the path."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from async_kernel.typing import Backend, RunSettings

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from contextlib import ExitStack

    from async_kernel.typing import Hosts

__all__ = ["default_backend", "make_run_settings", "path_restored", "set_default_env"]


def default_backend() -> Backend:
    """The async library that runs in this thread; else trio, or asyncio where there is no trio (a browser)."""
    import sniffio  # noqa: PLC0415 -- anyio and trio bring it

    try:
        return Backend(sniffio.current_async_library())
    except sniffio.AsyncLibraryNotFoundError:
        pass
    try:
        import_module("trio")
    except ImportError:
        return Backend.asyncio
    return Backend.trio


def make_run_settings(
    backend: Backend,
    backend_options: Mapping[str, Any] | None,
    host: Hosts | None,
    host_options: Mapping[str, Any] | None,
) -> RunSettings:
    """How a loop is to be run. With asyncio, an installed uvloop or winloop is used unless options were given."""
    options = dict(backend_options or {})
    if backend is Backend.asyncio and not options and host is None and _uvloop_installed():
        options["use_uvloop"] = True
    return RunSettings(backend=backend, backend_options=options, host=host, host_options=dict(host_options or {}))


def _uvloop_installed() -> bool:
    return any(find_spec(name) is not None for name in ("uvloop", "winloop"))


def set_default_env(name: str, value: str, stack: ExitStack) -> None:
    """Set an environment variable that is unset or empty; ``stack`` puts back what was there."""
    if not os.environ.get(name):
        stack.callback(_restore_env, name, os.environ.get(name))
        os.environ[name] = value


def _restore_env(name: str, before: str | None) -> None:
    if before is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = before


@contextmanager
def path_restored() -> Generator[None]:
    """Put ``sys.path`` back as it was."""
    path = sys.path[:]
    try:
        yield
    finally:
        sys.path[:] = path

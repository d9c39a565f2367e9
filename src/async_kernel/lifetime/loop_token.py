"""A handle to a running loop that works from every thread and from signal handlers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

import sniffio

from async_kernel.typing import Backend

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LoopToken", "current_loop_token"]


class LoopToken(Protocol):
    """A handle to a running loop."""

    @property
    def backend(self) -> Backend: ...
    @property
    def thread_id(self) -> int: ...

    def call_soon(self, fn: Callable[..., object], /, *args: Any) -> bool:
        """Run ``fn(*args)`` in the loop's thread soon; False if the loop has ended."""
        ...


class _TrioToken:
    backend = Backend.trio

    def __init__(self) -> None:
        import trio

        self._token = trio.lowlevel.current_trio_token()
        self._finished = trio.RunFinishedError
        self.thread_id = threading.get_ident()

    def call_soon(self, fn: Callable[..., object], /, *args: Any) -> bool:
        try:
            self._token.run_sync_soon(fn, *args)
        except self._finished:
            return False
        return True


class _AsyncioToken:
    backend = Backend.asyncio

    def __init__(self) -> None:
        import asyncio

        self._loop = asyncio.get_running_loop()
        self.thread_id = threading.get_ident()

    def call_soon(self, fn: Callable[..., object], /, *args: Any) -> bool:
        try:
            self._loop.call_soon_threadsafe(fn, *args)
        except RuntimeError:
            return False
        return True


def current_loop_token() -> LoopToken:
    """The handle to the loop that runs here; RuntimeError if there is none."""
    if sniffio.current_async_library() == "trio":
        return _TrioToken()
    return _AsyncioToken()

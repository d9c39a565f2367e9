"""A result that comes once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio
import outcome

from async_kernel.lifetime.loop_token import current_loop_token

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")


class PendingCancelled(anyio.ClosedResourceError):
    pass


class Pending(Generic[T]):
    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._outcome: outcome.Outcome[T] | None = None
        self._callbacks: list[Callable[[Any], object]] = []

    def _finish(self, result: outcome.Outcome[T]) -> bool:
        with self._lock:
            if self._outcome is not None:
                return False
            self._outcome = result
            callbacks, self._callbacks = self._callbacks, []
        for fn in callbacks:
            fn(self)
        return True

    def set_result(self, value: T, /) -> bool:
        return self._finish(outcome.Value(value))

    def set_exception(self, exc: BaseException, /) -> bool:
        return self._finish(outcome.Error(exc))

    def cancel(self, msg: str | None = None) -> bool:
        return self._finish(outcome.Error(PendingCancelled(msg or "")))

    def done(self) -> bool:
        return self._outcome is not None

    def add_done_callback(self, fn: Callable[[Any], object], /) -> None:
        with self._lock:
            if self._outcome is None:
                self._callbacks.append(fn)
                return
        fn(self)

    def result(self) -> T:
        assert self._outcome is not None
        o = self._outcome
        if isinstance(o, outcome.Error):
            raise o.error
        return o.value

    def wait_sync(self) -> T:
        ready = threading.Lock()
        ready.acquire()
        self.add_done_callback(lambda _: ready.release())
        ready.acquire()
        return self.result()

    async def _wait(self) -> T:
        if not self.done():
            token = current_loop_token()
            event = anyio.Event()
            self.add_done_callback(lambda _: token.call_soon(event.set))
            await event.wait()
        return self.result()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._wait().__await__()

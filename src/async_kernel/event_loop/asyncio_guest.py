"""asyncio as a guest: its own selector loop, run one iteration at a time.

:func:`asyncio.loop.run_forever` returns after one iteration when the loop is told to stop in it, and may be called
again: that is a step. The loop's selector tells it to stop, and never blocks; it notes instead how long it would have.
Then a thread waits for that long, or until a socket is ready, and has the next step called in the host's main loop.
Everything of asyncio works as always (sockets, subprocesses, executors, signals): it is the loop of the standard
library.

Between two steps the loop counts as running in this thread, so that callbacks of windows may use it: create tasks, call
soon. What they schedule wakes the waiting thread.

When the main task has ended, the selector blocks again as others do, and the loop is closed as :func:`asyncio.run`
does.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import outcome

from async_kernel.lifetime.loop_token import context_for
from async_kernel.typing import Backend

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextvars import Context

    from async_kernel.event_loop.host import Host

__all__ = ["AsyncioGuest"]


class _Selector(selectors.DefaultSelector):
    """A selector that does not block its loop while ``stop`` is set, but ends the loop's iteration."""

    stop: Callable[[], None] | None = None
    would_wait: float | None = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.stop is None:
            return super().select(timeout)
        self.stop()
        events = super().select(0)
        self.would_wait = 0.0 if events else timeout
        return events

    def wait(self, timeout: float | None) -> None:
        """Block until something is ready, which the next :meth:`select` sees, too."""
        super().select(timeout)


class _Loop(asyncio.SelectorEventLoop):
    """A selector loop that counts what is scheduled, and is woken by what is scheduled between its steps."""

    scheduled = 0

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        if not self.is_running():
            return self.call_soon_threadsafe(callback, *args, context=context)
        self.scheduled += 1
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self.scheduled += 1
        handle = super().call_at(when, callback, *args, context=context)
        if not self.is_running():
            self.call_soon_threadsafe(_nothing)
        return handle


def _nothing() -> None:
    """Only wakes the loop."""


class AsyncioGuest:
    """An asyncio loop in steps. See :class:`~async_kernel.event_loop.host.Guest`.

    Args:
        host: in whose main loop the steps run.
        func: the main task.
        args: its arguments.
        options: ``debug`` only: the loop is the guest's own.

    Raises:
        TypeError: if there are other options.
    """

    def __init__(
        self, host: Host, func: Callable[..., Awaitable[Any]], args: tuple[Any, ...], options: dict[str, Any]
    ) -> None:
        check_guest_options(options)
        debug = options.pop("debug", None)
        self._host = host
        self._func = func
        self._args = args
        self._selector = _Selector()
        self._loop = _Loop(self._selector)
        self._runner = asyncio.Runner(debug=debug, loop_factory=lambda: self._loop)
        self._waiting = ThreadPoolExecutor(1, thread_name_prefix="asyncio guest", initializer=_mark_thread)
        self._task: asyncio.Task[Any] | None = None
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Make the main task and have the first step called."""
        self._runner.get_loop()
        self._selector.stop = self._loop.stop
        self._task = self._loop.create_task(self._main(), name="main", context=context_for(Backend.asyncio))
        asyncio._set_running_loop(self._loop)  # noqa: SLF001 -- made for loops
        self._host.run_sync_soon_not_threadsafe(self._step)

    async def _main(self) -> Any:
        return await self._func(*self._args)

    def cancel(self) -> None:
        """Cancel the main task."""
        if self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)

    def _step(self) -> None:
        """One iteration of the loop, and the arrangement of the next."""
        assert self._task is not None, "it was started"
        scheduled = self._loop.scheduled
        asyncio._set_running_loop(None)  # noqa: SLF001 -- run_forever refuses otherwise
        try:
            self._loop.run_forever()
        except BaseException as exc:  # noqa: BLE001 -- an interrupt in a callback: it ends the run, in order
            self._failure = self._failure or exc
            self.cancel()
        finally:
            asyncio._set_running_loop(self._loop)  # noqa: SLF001 -- made for loops
        if self._task.done():
            self._end(self._task)
        elif self._selector.would_wait == 0.0 or self._loop.scheduled != scheduled:
            self._host.run_sync_soon_not_threadsafe(self._step)
        else:
            self._waiting.submit(self._wait, self._selector.would_wait)

    def _wait(self, timeout: float | None) -> None:
        self._selector.wait(timeout)
        self._host.run_sync_soon_threadsafe(self._step)

    def _end(self, task: asyncio.Task[Any]) -> None:
        result = outcome.capture(task.result) if self._failure is None else outcome.Error(self._failure)
        self._failure = None
        self._host.done_callback(result)

    def close(self) -> None:
        """Cancel the tasks that are left, close the loop, end the thread."""
        self._selector.stop = None
        asyncio._set_running_loop(None)  # noqa: SLF001 -- made for loops
        self._loop.call_soon_threadsafe(_nothing)  # the thread waits still, if an error has left the main loop
        self._waiting.shutdown()
        self._runner.close()
        self._loop.close()


def _mark_thread() -> None:
    threading.current_thread().pydev_do_not_trace = True  # pyright: ignore[reportAttributeAccessIssue] -- pydevd's


def check_guest_options(options: Mapping[str, Any]) -> None:
    """Refuse options that choose another loop than the guest's own.

    Raises:
        TypeError: if there are some.
    """
    others = [name for name, value in options.items() if value and name != "debug"]  # use_uvloop=False asks for nothing
    if others:
        msg = f"backend_options: asyncio has no option {', '.join(others)} with a host, whose guest its loop is"
        raise TypeError(msg)

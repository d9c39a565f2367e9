"""Threads that belong to a task: the only place that makes one."""

from __future__ import annotations

import threading
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import outcome

from async_kernel.lifetime.loop_token import current_loop_token

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from async_kernel.typing import Backend

__all__ = ["run_in_owned_thread", "run_loop_in_owned_thread"]
T = TypeVar("T")


async def run_in_owned_thread(fn: Callable[[], T], *, name: str, cancel: Callable[[], object]) -> T:
    """Run ``fn()`` in a new thread and wait for its end; ``cancel()`` is called when this is cancelled."""
    token = current_loop_token()
    ended = anyio.Event()
    result: outcome.Outcome[T] | None = None
    context = copy_context()

    def work() -> None:
        nonlocal result
        result = outcome.capture(context.run, fn)
        token.call_soon(ended.set)

    thread = threading.Thread(target=work, name=name)
    thread.start()
    try:
        await ended.wait()
    except BaseException:
        cancel()
        with anyio.CancelScope(shield=True):
            await ended.wait()
        thread.join()
        if isinstance(result, outcome.Error):
            result.unwrap()
        raise
    thread.join()
    assert result is not None
    return result.unwrap()


async def run_loop_in_owned_thread(
    main: Callable[[], Awaitable[T]],
    *,
    name: str,
    backend: Backend,
    backend_options: Mapping[str, Any] | None = None,
) -> T | None:
    """Run ``main()`` in a loop of its own in a new thread; our cancellation cancels its root scope."""
    cancelled = False
    stop: Callable[[], object] = bool

    def cancel() -> None:
        nonlocal cancelled
        cancelled = True
        stop()

    async def root() -> T | None:
        nonlocal stop
        token = current_loop_token()
        with anyio.CancelScope() as scope:
            stop = lambda: token.call_soon(scope.cancel)  # noqa: E731
            if cancelled:
                scope.cancel()
            return await main()

    def work() -> T | None:
        # A fresh context: the caller's says that its own async library runs here.
        return Context().run(anyio.run, root, backend=str(backend), backend_options=dict(backend_options or {}))

    return await run_in_owned_thread(work, name=name, cancel=cancel)

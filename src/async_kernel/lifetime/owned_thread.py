"""Threads that belong to a task: the only place that makes one."""

from __future__ import annotations

import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar

import anyio
import outcome

from async_kernel.lifetime.loop_token import current_loop_token

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["run_in_owned_thread"]
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

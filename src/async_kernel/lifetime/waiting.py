"""Waiting for what tells when it is done: in a loop, or blocking a thread.

The waiter leaves a callback and takes it back however it leaves; nothing else knows of it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from async_kernel.lifetime.loop_token import current_loop_token

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TellsWhenDone", "until_done", "until_done_sync"]


class TellsWhenDone(Protocol):
    """What can be waited for."""

    def add_done_callback(self, fn: Callable[[Any], object], /) -> None:
        """Have ``fn`` called when it is done: at once if it is, otherwise in the thread that completes it."""

    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int:
        """Take a callback back."""
        ...


async def until_done(what: TellsWhenDone) -> None:
    """Wait in this task, in whatever loop."""
    done = anyio.Event()
    token = current_loop_token()

    def tell(_: object) -> None:
        token.call_soon(done.set)

    try:
        what.add_done_callback(tell)
        await done.wait()
    finally:
        what.remove_done_callback(tell)


def until_done_sync(what: TellsWhenDone, timeout_s: float | None) -> None:
    """Block this thread until it is done, for ``timeout_s`` seconds at most."""
    done = threading.Lock()
    done.acquire()  # taken once more below, when it has been released

    def tell(_: object) -> None:
        done.release()

    try:
        what.add_done_callback(tell)
        done.acquire(timeout=-1 if timeout_s is None else min(max(timeout_s, 0.0), threading.TIMEOUT_MAX))
    finally:
        what.remove_done_callback(tell)

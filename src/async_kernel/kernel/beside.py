"""Tasks beside the shell's loop: in the loop that reads requests, so that a blocking cell does not hold them up.

One nursery owns them: subshells and threads of cells, deadlines, requests whose answer takes a while. The kernel
closes it, and waits for all of them, before it has ended.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import anyio

from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.lifetime.pending import Pending

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from async_kernel.lifetime.loop_token import LoopToken

__all__ = ["TasksBeside"]


class TasksBeside:
    """A nursery of its own in another loop.

    :meth:`run` is a task of that loop; :meth:`start_soon` and :meth:`close` are for every other one.
    """

    def __init__(self) -> None:
        self._ended: Pending[None] = Pending()
        self._closing = False
        self._waiting: deque[tuple[Callable[..., Coroutine[Any, Any, object]], tuple[Any, ...]]] = deque()
        self._token: LoopToken | None = None

    async def run(self) -> None:
        """Own the tasks until :meth:`close`; a failing one ends all, and this."""
        try:
            async with anyio.create_task_group() as self._group:
                self._close = anyio.Event()
                self._token = current_loop_token()
                self._start_waiting()
                try:
                    if not self._closing:
                        await self._close.wait()
                finally:
                    self._closing = True  # whoever ends it: a nursery that is closing takes no more tasks
                self._group.cancel_scope.cancel()
        finally:
            self._ended.set_result(None)

    def start_soon(self, fn: Callable[..., Coroutine[Any, Any, object]], *args: Any) -> None:
        """Start ``fn(*args)``; from any thread. Once it closes, nothing is started."""
        self._waiting.append((fn, args))
        if self._token is not None:
            self._token.call_soon(self._start_waiting)

    def _start_waiting(self) -> None:
        while self._waiting:
            fn, args = self._waiting.popleft()
            if not self._closing:
                self._group.start_soon(fn, *args)

    def _begin_to_close(self) -> None:
        self._closing = True  # only now: what was to be started before has begun, such as interrupts
        self._close.set()

    async def close(self) -> None:
        """Cancel the tasks and return when all have ended; to be called in the shell's loop."""
        if self._token is None:
            self._closing = True  # it has not begun, and need not
        if self._token is None or not self._token.call_soon(self._begin_to_close):
            return  # it never began, or its loop has ended
        with anyio.CancelScope(shield=True):
            await self._ended

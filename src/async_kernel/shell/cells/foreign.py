"""A task that a cell has started with asyncio itself, seen as one that can be stopped.

There is no gate around its code. Whether it blocks its loop is seen by its coroutine; when it does, it is found on the
stack of its thread and struck there, as the children of cells are (:mod:`async_kernel.shell.cells.children`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from async_kernel.shell.cells.gate import Gate
from async_kernel.shell.cells.native import is_running

if TYPE_CHECKING:
    from collections.abc import Callable

    from async_kernel.lifetime.loop_token import LoopToken
    from async_kernel.protocol.request import Request
    from async_kernel.shell.cells.cell import Cause

__all__ = ["ForeignTask"]


class ForeignTask:
    """A task of asyncio's.

    Attributes:
        ref: gives the task as long as there is one.
        token: the loop that it runs in.
        request: of the cell that started it.
        cause: why it was cut short, None if it was not.
        reason: words that came with the cause.
        gate: never entered.
        is_showing: always false; what shows its error is not it.
    """

    __slots__ = ("cause", "gate", "is_showing", "reason", "ref", "request", "token")

    def __init__(self, ref: Callable[[], Any], token: LoopToken, request: Request | None) -> None:
        self.ref: Callable[[], Any] = ref
        self.token: LoopToken = token
        self.request: Request | None = request
        self.cause: Cause | None = None
        self.reason: str | None = None
        self.is_showing: bool = False
        self.gate: Gate = Gate(token.thread_id)

    @property
    def native(self) -> Any:
        """The task; None if it has ended and nobody holds it any more, so neither does this."""
        return self.ref()

    @property
    def id(self) -> str:
        """What it is called in the tree, and by ``%cancel``."""
        native = self.native
        return "" if native is None else native.get_name()

    @property
    def state(self) -> Literal["awaiting", "blocking", "ended"]:
        """What it does at this moment, seen from any thread."""
        native = self.native
        if native is None or native.done():
            return "ended"
        return "blocking" if is_running(native) else "awaiting"

    def cut(self, cause: Cause, reason: str | None = None) -> None:
        """Cancel it; from any thread. For one that blocks, see the interrupter. The first cause stands."""
        if self.cause is None:
            self.cause, self.reason = cause, reason
        if (native := self.native) is not None:
            self.token.call_soon(native.cancel)

"""Async context managers that stay open across cells.

Each lives in a host task of its own, so that the scopes in it are left in the task that entered them. The host is
shielded: it ends when it is told to leave, in order, and not because something around it is cancelled. Two ends are
not waited for: of a manager whose entering was given up, and of one that does not close in time when the session ends;
they are cancelled.

Managers are entered and left from whatever loop; the hosts run in the session's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from async_kernel.lifetime.loop_token import context_for, current_loop_token
from async_kernel.lifetime.pending import Pending
from async_kernel.protocol.request import current_request
from async_kernel.shell.cells.cell import current_cell

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from async_kernel.protocol.request import Request

T = TypeVar("T")

__all__ = ["OpenManagers"]

LEAVE_S = 2.0
"""Seconds that a context manager gets at the end of its session to close by itself: less than a kernel's grace."""


class _Hosted:
    """One context manager and the task that keeps it open."""

    def __init__(self, manager: AbstractAsyncContextManager[Any]) -> None:
        self.manager = manager
        request = current_request.get()
        self.request = None if request is None else request.lasting
        self.entered: Pending[Any] = Pending()
        self.left: Pending[None] = Pending()
        self.leave: Pending[None] = Pending()
        self.failed_alone = False
        self._scope: anyio.CancelScope | None = None
        self._given_up = False

    async def run(self, failed: Callable[[BaseException, Request | None], object]) -> None:
        """Be the host."""
        current_cell.set(None)  # an interrupt of the cell that entered it is none of its business
        try:
            with anyio.CancelScope(shield=True) as self._scope:
                self._cancel_if_given_up()
                async with self.manager as value:
                    self.entered.set_result(value)
                    await self.leave
        except BaseException as exc:
            if isinstance(exc, anyio.get_cancelled_exc_class()):
                self.entered.set_exception(exc)
                self.left.set_exception(exc)
                raise
            if self.entered.done() and not self.leave.done():
                self.failed_alone = True
                failed(exc, self.request)  # nobody waits for it: it is shown now
            self.entered.set_exception(exc)
            self.left.set_exception(exc)
        else:
            self.entered.cancel("entering was given up")  # nothing, unless it was
            self.left.set_result(None)

    def give_up(self) -> None:
        """Cancel it; in its loop."""
        self._given_up = True
        self._cancel_if_given_up()

    def _cancel_if_given_up(self) -> None:
        if self._given_up and self._scope is not None:
            self._scope.cancel()


class OpenManagers:
    """The context managers of a session, in the order in which they were entered.

    Args:
        start_host: starts a task in the session's loop that answers for its own errors.
        failed: told of the error of one that nobody waits for, with the request of the cell that entered it.
    """

    def __init__(
        self,
        start_host: Callable[[Callable[[], Awaitable[object]]], object],
        failed: Callable[[BaseException, Request | None], object],
    ) -> None:
        self._start_host = start_host
        self._failed = failed
        self._token = current_loop_token()
        self._hosted: list[_Hosted] = []

    async def enter(self, manager: AbstractAsyncContextManager[T]) -> T:
        """Enter one; see :meth:`~async_kernel.shell.background.session.Session.enter`."""
        hosted = _Hosted(manager)
        self._hosted.append(hosted)
        context = context_for(self._token.backend)
        if not self._token.call_soon(context.run, self._start, hosted):
            self._hosted.remove(hosted)
            msg = "the session has ended: nothing can be entered any more"
            raise RuntimeError(msg)
        try:
            return await hosted.entered
        except BaseException:
            self._token.call_soon(hosted.give_up)
            if hosted in self._hosted:
                self._hosted.remove(hosted)
            raise

    def _start(self, hosted: _Hosted) -> None:
        async def host() -> None:
            await hosted.run(self._failed)

        try:
            self._start_host(host)
        except RuntimeError as exc:  # its nursery is closed
            hosted.entered.set_exception(exc)
            hosted.left.set_exception(exc)

    async def exit(self, manager: AbstractAsyncContextManager[Any]) -> None:
        """Leave one; see :meth:`~async_kernel.shell.background.session.Session.exit`."""
        for hosted in reversed(self._hosted):
            if hosted.manager is manager:
                hosted.leave.set_result(None)
                try:
                    await hosted.left.wait()
                finally:
                    if hosted.left.done():  # otherwise nobody waits for it any more, and the session's end must
                        self._hosted.remove(hosted)
                return
        msg = f"{manager!r} is not open in this session: it was never entered, or it was left"
        raise ValueError(msg)

    async def close(self) -> None:
        """Leave all of them, last in first out, and show what that raises; in the session's loop."""
        while self._hosted:
            hosted = self._hosted.pop()
            hosted.leave.set_result(None)
            with anyio.move_on_after(LEAVE_S):
                await hosted.left.wait(result=False)
            if not hosted.left.done():
                hosted.give_up()
                await hosted.left.wait(result=False)
            error = None if hosted.failed_alone or hosted.left.cancelled() else hosted.left.exception()
            if error is not None:
                self._failed(error, hosted.request)

"""Serving a request: one ``busy``, at most one reply and one ``idle``, in this order, whatever its handler does.

A handler of the request table is called at once, in the thread that read the request (:meth:`Serving.now`), or awaited
in a loop (:meth:`Serving.waiting`). What it returns is the reply's content; what it raises is an error reply, also a
``SystemExit`` of user code that it calls: the kernel lives. Only cancellations go on to the scope that they come from.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio

from async_kernel.kernel.requests import REQUESTS
from async_kernel.protocol.errors import RequestError, error_content
from async_kernel.protocol.request import current_request
from async_kernel.shell.background.names import current_session
from async_kernel.typing import MsgType

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from async_kernel.kernel.helper import HelperLane
    from async_kernel.kernel.kernel import Kernel
    from async_kernel.kernel.shell_lane import ShellLane
    from async_kernel.protocol.request import Request
    from async_kernel.shell.cells.lane import Lane
    from async_kernel.typing import Content

__all__ = ["Serving"]


class Serving:
    """How a kernel serves requests.

    Attributes:
        refused: requests that were refused because too many waited.
    """

    def __init__(self, kernel: Kernel[Any]) -> None:
        self._kernel = kernel
        self.refused: int = 0

    # -- by a handler of the table ---------------------------------------------------------------------------

    def now(self, request: Request) -> None:
        """Serve in this thread; a handler that waits goes on as a task beside the shell's loop."""
        kernel, handler = self._kernel, REQUESTS[request.msg_type].handler
        if inspect.iscoroutinefunction(handler):
            kernel.beside.start_soon(self.waiting, request, handler)
            return
        token = current_request.set(request)
        self.status("busy", request)
        try:
            self._answer(request, handler(kernel, request))  # pyright: ignore[reportArgumentType] -- it does not wait
        except BaseException as exc:  # noqa: BLE001 -- see the module; nothing here is cancelled
            self._answer(request, self._error(request, exc))
        finally:
            if not kernel.answers_at_the_end(request):
                self.status("idle", request)
            current_request.reset(token)

    async def in_loop(self, request: Request) -> None:
        """Serve in the main shell's loop with a handler of the table that may wait."""
        await self.message(self._kernel.main, request)

    async def message(self, lane: ShellLane, request: Request) -> None:
        """Serve in the loop of a shell with a handler of the table that may wait."""
        current_session.set(lane.session)
        kernel = self._kernel
        if lane is not kernel.main:
            await self.waiting(request, REQUESTS[request.msg_type].handler)
            return
        kernel.watchdog.handled = request
        try:
            await self.waiting(request, REQUESTS[request.msg_type].handler)
        finally:
            kernel.watchdog.handled = None

    async def waiting(self, request: Request, handler: Callable[[Kernel[Any], Request], Any]) -> None:
        """Serve in this loop with a handler that may wait."""
        token = current_request.set(request)
        self.status("busy", request)
        try:
            content = handler(self._kernel, request)
            if inspect.isawaitable(content):
                content = await content
            self._answer(request, content)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as exc:  # noqa: BLE001 -- see the module
            self._answer(request, self._error(request, exc))
        finally:
            self.status("idle", request)
            current_request.reset(token)

    # -- without one -----------------------------------------------------------------------------------------

    def queue(self, request: Request, lane: Lane | HelperLane) -> None:
        """Let a request wait for its lane, unless too many do: memory has an end, and a client can be told."""
        if len(lane) < self._kernel.max_waiting:
            lane.submit(request)
            return
        self.refused += 1
        msg = f"{len(lane)} requests wait already, and this one was not taken; send it again when some are answered"
        if self.refused == 1:  # who floods the kernel shall not flood the log
            self._kernel.log.warning("Requests are refused: %s", msg)
        with self.busy(request):
            self._answer(request, self._error_reply(request, RequestError(msg)))

    def refuse(self, request: Request, exc: RequestError) -> None:
        """Answer a request that cannot be served with an error."""
        with self.busy(request):
            self._answer(request, self._error(request, exc))

    def unknown(self, request: Request) -> None:
        """Let a message of a type that does not exist pass."""
        self._kernel.log.warning("A client sent a message of unknown type %r; it was not served.", request.msg_type)
        with self.busy(request):
            return

    @contextmanager
    def busy(self, request: Request) -> Generator[None]:
        """``busy`` before and ``idle`` after, for ``request``."""
        self.status("busy", request)
        try:
            yield
        finally:
            self.status("idle", request)

    def status(self, state: str, request: Request) -> None:
        """Publish ``busy`` or ``idle``."""
        self._kernel.wire.publish("status", {"execution_state": state}, parent=request.header)

    # -- what is answered ------------------------------------------------------------------------------------

    def _answer(self, request: Request, content: Content | None) -> None:
        if content is not None:
            buffers = content.pop("buffers", None) or ()
            self._kernel.wire.reply(request, content, buffers=buffers)

    def _error(self, request: Request, exc: BaseException) -> Content | None:
        if isinstance(exc, RequestError):
            self._kernel.log.warning("%s", exc)
        else:
            with suppress(Exception):  # user code may have broken what logging needs; the client is told all the same
                self._kernel.log.error("The handler of %s failed", request.msg_type, exc_info=exc)
        return self._error_reply(request, exc)

    def _error_reply(self, request: Request, exc: BaseException) -> Content | None:
        if not request.msg_type.endswith("_request"):
            return None
        content = error_content(exc)
        if request.msg_type == MsgType.execute_request:
            self._kernel.wire.publish("error", content, parent=request.header)  # what a notebook shows
        return {"status": "error", **content}

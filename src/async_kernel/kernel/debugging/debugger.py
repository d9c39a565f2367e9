"""The kernel's debugger: takes debug_requests in the thread that reads them, serves them in the order of their arrival.

A task beside the shell's loop, started by the first request, owns everything: the connection to debugpy, which is made
by the first ``initialize``, and one task for each request. A request is begun when the one before it is on its way to
debugpy, or answered if it is answered here; so they act in order, and one that takes long (an ``evaluate``) holds none
up.

What may be asked when: ``initialize``, ``debugInfo``, ``dumpCell``, ``source``, ``inspectVariables``, ``modules`` and
``richInspectVariables`` without a frame at any time; everything else between ``attach`` and ``disconnect``. Whatever
goes wrong is a response with ``success: false`` and a sentence.

A cell that is stopped goes on when a client says so. When it is interrupted, cancelled or runs out of its time, and
when the kernel stops, it ends where it stands: :meth:`Debugger.condemn` and :meth:`Debugger.let_go` come first then. A
client that has vanished leaves it stopped, for the next client, or the same one reloaded, to find in ``debugInfo``.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import anyio

from async_kernel.kernel.debugging.available import why_no_debugger
from async_kernel.kernel.debugging.commands import COMMANDS, FORWARDED, answer, needs_attach
from async_kernel.kernel.debugging.connection import ConnectionLostError, connected, part_from_debugpy
from async_kernel.kernel.debugging.inside import end_step
from async_kernel.kernel.debugging.stops import Stops
from async_kernel.kernel.debugging.variables import Variables
from async_kernel.lifetime.late_import import late_import
from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.lifetime.pending import Pending
from async_kernel.protocol.errors import RequestError
from async_kernel.protocol.request import current_request
from async_kernel.typing import Channel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from anyio.abc import TaskGroup, TaskStatus

    from async_kernel.kernel.debugging.connection import Connection
    from async_kernel.kernel.kernel import Kernel
    from async_kernel.lifetime.loop_token import LoopToken
    from async_kernel.protocol.request import Request
    from async_kernel.typing import Content

__all__ = ["Debugger"]

Message = dict[str, Any]


class Debugger:
    """Debugs the cells of a kernel.

    Args:
        kernel: the kernel.

    Attributes:
        connection: to debugpy, once it was made.
        attached: whether a session is open.
        stopped: the ids of the threads that are stopped.
        breakpoints: those that are set, by file.
        other_breakpoints: of exceptions and functions: the arguments of the command that has set them.
        files: the cells that were written for debugpy.
        variables: of the user's namespace, as they were shown while nothing was stopped.
    """

    def __init__(self, kernel: Kernel[Any]) -> None:
        self.kernel = kernel
        self.connection: Connection | None = None
        self.attached: bool = False
        self.stopped: set[int] = set()
        self.breakpoints: dict[str, list[Message]] = {}
        self.other_breakpoints: dict[str, Message] = {}
        self.files: set[Path] = set()
        self._muted = False
        self._breakpoint_hook: Callable[..., object] | None = None
        self._resumed: anyio.Event | None = None
        self.variables: Variables = Variables()
        self._stops = Stops(lambda then: kernel.beside.start_soon(self._let_go, then, False))
        self._requests: deque[Request] = deque()
        self._serving = False
        self._arrived: anyio.Event | None = None
        self._token: LoopToken | None = None
        self._parent: Any = None
        # Made by the task that serves: they belong to its loop, and requests may come from another one.
        self._connecting: anyio.Lock
        self._letting_go: anyio.Lock
        self._tasks: TaskGroup

    # -- requests --------------------------------------------------------------------------------------------

    def submit(self, request: Request) -> None:
        """Take a debug_request; in the thread that read it."""
        self._requests.append(request)
        if not self._serving:
            self._serving = True
            self.kernel.beside.start_soon(self._serve)
        elif self._token is not None:
            self._token.call_soon(self._wake)

    def _wake(self) -> None:
        if self._arrived is not None:
            self._arrived.set()

    async def _serve(self) -> None:
        self._connecting, self._letting_go = anyio.Lock(), anyio.Lock()
        self._token = current_loop_token()
        async with anyio.create_task_group() as self._tasks:
            while True:
                self._arrived = anyio.Event()
                while self._requests:
                    under_way = anyio.Event()
                    self._tasks.start_soon(self._serve_one, self._requests.popleft(), under_way)
                    await under_way.wait()
                await self._arrived.wait()

    async def _serve_one(self, request: Request, under_way: anyio.Event) -> None:
        try:
            await self.kernel.serving.waiting(request, lambda _, request: self._answer(request, under_way.set))
        finally:
            under_way.set()

    async def _answer(self, request: Request, under_way: Callable[[], object]) -> Content:
        message = request.content
        response: Message = {
            "type": "response",
            "seq": message.get("seq", 0),
            "request_seq": message.get("seq", 0),
            "command": message.get("command"),
        }
        try:
            body = await self._body(request, under_way)
        except (RequestError, ConnectionLostError) as exc:
            return {**response, "success": False, "message": str(exc), "body": {}}
        return {**response, "success": True, "body": body}

    async def _body(self, request: Request, under_way: Callable[[], object]) -> Message:
        """The body of a response.

        Raises:
            RequestError: if there is none; says why.
        """
        command: object = request.content.get("command")
        arguments: Any = request.content.get("arguments") or {}
        if request.channel != Channel.control:
            msg = "debug_requests are served on the control channel"
            raise RequestError(msg)
        if not isinstance(command, str) or not isinstance(arguments, dict):
            msg = "a debug_request has a command (a str) and arguments (an object)"
            raise RequestError(msg)
        if why_not := why_no_debugger(self.kernel):
            raise RequestError(why_not)
        if command not in COMMANDS and command not in FORWARDED:
            msg = f"the debugger has no command {command!r}"
            raise RequestError(msg)
        if not self.attached and needs_attach(command, cast("Message", arguments)):
            msg = f"{command} needs a debugging session; send initialize and attach first"
            raise RequestError(msg)
        self._parent = request.header
        return await answer(self, command, cast("Message", arguments), under_way)

    # -- debugpy ---------------------------------------------------------------------------------------------

    async def connect(self) -> Connection:
        """The connection; made when there is none.

        Raises:
            RequestError: if it cannot be made.
        """
        async with self._connecting:
            if self.connection is None:
                try:
                    self.connection = cast("Connection", await self._tasks.start(self._hold_connection))
                except Exception as exc:
                    self.kernel.log.debug("debugpy cannot be started", exc_info=exc)
                    msg = f"debugpy cannot be started: {'; '.join(map(str, _leaves(exc)))}"
                    raise RequestError(msg) from exc
            return self.connection

    async def _hold_connection(self, *, task_status: TaskStatus[Connection]) -> None:
        current_request.set(None)  # debugpy's threads are nobody's
        try:
            async with connected(self._on_event) as connection:
                self._stops.watch()
                task_status.started(connection)
                await anyio.sleep_forever()
        finally:
            self._return_breakpoint_calls()
            if self.connection is not None and not self.kernel.embedded:
                part_from_debugpy()

    async def ask(self, command: str, arguments: Message, *, sent: Callable[[], object] = bool) -> Message:
        """The body of debugpy's response to a request.

        Raises:
            RequestError: if it refuses; says why.
            ConnectionLostError: if it has gone.
        """
        try:
            response = await (await self.connect()).ask(command, arguments, sent=sent)
        except ConnectionLostError:
            self.attached = False
            self.stopped.clear()
            raise
        if not response.get("success"):
            msg = response.get("message") or f"debugpy refuses {command}"
            raise RequestError(msg)
        return response.get("body") or {}

    def _on_event(self, event: Message) -> None:
        body: Message = event.get("body") or {}
        thread_id: int = body.get("threadId", 0)
        kind = event.get("event")
        if kind == "stopped":
            self.stopped.add(thread_id)
            self.variables.forget()
        elif kind == "continued" and body.get("allThreadsContinued"):
            self.stopped.clear()
        elif kind == "continued" or (kind == "thread" and body.get("reason") == "exited"):
            self.stopped.discard(thread_id)
        if not self.stopped and self._resumed is not None:
            self._resumed.set()
            self._resumed = None
        shown = {name: value for name, value in event.items() if not name.startswith("pydevd")}
        self.kernel.wire.publish("debug_event", shown, parent=self._parent)

    async def detach(self) -> None:
        """End the session: what is stopped goes on, and no breakpoint is left. Idempotent."""
        if not self.attached:
            return
        self.attached = False
        self._return_breakpoint_calls()
        self.breakpoints.clear()
        self.other_breakpoints.clear()
        self._muted = False
        self.stopped.clear()
        with suppress(RequestError, ConnectionLostError):
            await self.ask("disconnect", {"restart": False, "terminateDebuggee": False})

    async def resume(self, arguments: Message, *, sent: Callable[[], object] = bool) -> Message:
        """Have debugpy continue; the body of its response.

        It responds when something goes on, so never if somebody else was faster; then its event says so.
        """
        body: Message = {"allThreadsContinued": True}

        async def ask() -> None:
            body.update(await self.ask("continue", arguments, sent=sent))
            tasks.cancel_scope.cancel()

        self._resumed = resumed = anyio.Event() if self._resumed is None else self._resumed
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await resumed.wait()
                tasks.cancel_scope.cancel()
        except* (RequestError, ConnectionLostError) as group:
            raise _leaves(group)[0] from None
        return body

    def take_breakpoint_calls(self) -> None:
        """Have ``breakpoint()`` stop in this session, unless the user's ``PYTHONBREAKPOINT`` says where it is to."""
        if self._breakpoint_hook is None and "PYTHONBREAKPOINT" not in os.environ:
            self._breakpoint_hook = sys.breakpointhook
            sys.breakpointhook = late_import("debugpy").breakpoint

    def _return_breakpoint_calls(self) -> None:
        if self._breakpoint_hook is not None:
            if sys.breakpointhook is late_import("debugpy").breakpoint:
                sys.breakpointhook = self._breakpoint_hook
            self._breakpoint_hook = None

    def condemn(self, cell: object, otherwise: Callable[[], object]) -> bool:
        """Have a stopped cell end at the line where it stands when it is let go; from any thread.

        Args:
            cell: the cell; it is told why it is cut short.
            otherwise: what to do if it has gone on without being struck, as where a library must not be interrupted.

        Returns:
            False if it is not stopped: then nothing was done.
        """
        return self._stops.condemn(cell, otherwise)

    def let_go(self, then: Callable[[], object], *, for_good: bool = False) -> bool:
        """Let what is stopped go on, and call ``then``, beside the shell's loop; from any thread.

        Args:
            then: what the stop would have been in the way of.
            for_good: end the session, so that it does not stop again.

        Returns:
            False if nothing is stopped: then nothing was done, and ``then`` is not called.
        """
        if not self.stopped:
            return False
        self.kernel.beside.start_soon(self._let_go, then, for_good)
        return True

    async def _let_go(self, then: Callable[[], object], for_good: bool) -> None:
        try:
            async with self._letting_go:
                if for_good:
                    await self.detach()
                elif self.stopped:
                    with suppress(RequestError, ConnectionLostError):
                        await self._mute()
                        await self.resume({"threadId": next(iter(self.stopped), 0)})
                    self.stopped.clear()
        finally:
            then()

    async def _mute(self) -> None:
        """Take the breakpoints away until the next cell: what is to end must not stop at the next line again."""
        self._muted = True
        for path in list(self.breakpoints):
            await self.ask("setBreakpoints", {"source": {"path": path}, "breakpoints": []})
        for command in list(self.other_breakpoints):
            await self.ask(command, {"filters": [], "breakpoints": []})

    async def _unmute(self, done: Pending[None]) -> None:
        try:
            if self._muted and self.attached:
                self._muted = False
                for path, breakpoints in list(self.breakpoints.items()):
                    await self.ask("setBreakpoints", {"source": {"path": path}, "breakpoints": breakpoints})
                for command, arguments in list(self.other_breakpoints.items()):
                    await self.ask(command, arguments)
        except (RequestError, ConnectionLostError) as exc:
            self.kernel.log.warning("Breakpoints could not be set again: %s", exc)
        finally:
            done.set_result(None)

    async def before_cell(self) -> None:
        """Make ready for a cell, in the thread that will run it."""
        if self._muted:
            done: Pending[None] = Pending()
            self.kernel.beside.start_soon(self._unmute, done)
            await done
        # An exception that is raised in a tracer takes it out of use, and an interrupt may hit there.
        if self.attached and sys.gettrace() is None and sys.version_info < (3, 12):  # later Pythons are not traced so
            late_import("debugpy").trace_this_thread(True)

        self.after_cell()

    def after_cell(self) -> None:
        """Leave nothing of a cell behind, in the thread that ran it."""
        if self.attached:
            end_step()

    def remove_files(self) -> None:
        """Remove the cells that were written, and their folder."""
        for file in self.files:
            file.unlink(missing_ok=True)
        for folder in {file.parent for file in self.files}:
            with suppress(OSError):  # something else lies there
                folder.rmdir()
        self.files.clear()


def _leaves(exc: BaseException) -> list[BaseException]:
    if isinstance(exc, BaseExceptionGroup):
        members = cast("BaseExceptionGroup[BaseException]", exc).exceptions
        return [leaf for each in members for leaf in _leaves(each)]
    return [exc]

"""Routing: each request goes to the lane that the request table names for it.

Called in the thread that read the request; never waits for user code. While the kernel is being opened, only what needs
no shell is answered; everything else waits, and goes its way in the order of its arrival when there is one.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from async_kernel.kernel import execution
from async_kernel.kernel.requests import REQUESTS
from async_kernel.kernel.run_mode import run_mode_of
from async_kernel.protocol.errors import RequestError
from async_kernel.typing import Channel, MsgType

if TYPE_CHECKING:
    from async_kernel.kernel.kernel import Kernel
    from async_kernel.protocol.request import Request

__all__ = ["Router"]

_NEED_NO_SHELL = frozenset(
    {MsgType.kernel_info_request, MsgType.connect_request, MsgType.drop_counts_request, MsgType.shutdown_request}
)
"""What is answered while the kernel is still being opened."""


class Router:
    """Where the requests of a kernel go.

    Attributes:
        started: whether there is a shell, and lanes serve.
    """

    def __init__(self, kernel: Kernel[Any]) -> None:
        self._kernel = kernel
        self.started: bool = False
        self._early: deque[Request] = deque()
        self._early_lock = threading.Lock()

    def submit(self, request: Request) -> None:
        """Take a request."""
        if not self.started and request.msg_type not in _NEED_NO_SHELL:
            with self._early_lock:
                if not self.started:
                    self._early.append(request)
                    return
        self._route(request)

    def start(self) -> None:
        """There is a shell: let go what has waited for it, before anything that comes from now on."""
        with self._early_lock:
            while self._early:
                self._route(self._early.popleft())
            self.started = True

    def abort_early_cells(self) -> None:
        """Answer the cells that waited for a shell which there will not be."""
        for request in self._early:
            if request.msg_type == MsgType.execute_request:
                execution.abort(self._kernel, request)
        self._early.clear()

    def _route(self, request: Request) -> None:
        kernel = self._kernel
        route = REQUESTS.get(request.msg_type)
        if route is None:
            kernel.serving.unknown(request)
            return
        kernel.questions.note(request)
        if route.lane in ("here", "helper", "completer") and self._names_no_shell(request):
            return
        match route.lane:
            case "here":
                kernel.serving.now(request)
            case "shell":
                self._route_cell(request)
            case "comm":
                self._route_message(request)
            case "debugger":
                kernel.debugger.submit(request)
            case "helper" | "completer":
                in_loop = request.msg_type in kernel.handle_in_shell_thread
                kernel.serving.queue(request, kernel.main.messages if in_loop else kernel.questions.lanes[route.lane])

    def _route_message(self, request: Request) -> None:
        kernel = self._kernel
        try:
            lane = kernel.comm_manager.shell_of(request)
        except RequestError as exc:
            kernel.serving.refuse(request, exc)
            return
        kernel.serving.queue(request, lane.messages)
        if lane is kernel.main:
            kernel.watchdog.arm()

    def _names_no_shell(self, request: Request) -> bool:
        """Refuse a question to a subshell that is not there."""
        if request.channel != Channel.shell or request.subshell_id is None:
            return False
        try:
            self._kernel.subshells.get(request.subshell_id)
        except RequestError as exc:
            self._kernel.serving.refuse(request, exc)
            return True
        return False

    def _route_cell(self, request: Request) -> None:
        kernel = self._kernel
        try:
            lane = kernel.main if request.subshell_id is None else kernel.subshells.get(request.subshell_id)
            mode = run_mode_of(request, while_one_awaits=lane.foreground_awaits)
        except RequestError as exc:
            kernel.serving.refuse(request, exc)
            return
        if mode.kind == "thread":
            kernel.threads.submit(request, mode)
        elif mode.kind == "task":
            lane.start_beside(request)
            kernel.watchdog.arm()
        else:
            kernel.serving.queue(request, lane.queue)
            if kernel.watchdog.watches_all_cells:
                kernel.watchdog.arm()

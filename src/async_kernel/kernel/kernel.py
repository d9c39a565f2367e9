"""The kernel: takes requests from a wire, serves each on its lane, and owns what user code started.

:meth:`Kernel.running` is its life. :meth:`Kernel.submit` is called by whoever reads requests, in any thread; the
request table says where a request is served. Every request gets one ``busy``, at most one reply and one ``idle``, in
this order, whatever its handler does.
"""

from __future__ import annotations

import os
import time
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Generic, Self

import anyio
from traitlets import Bool, Dict, Enum, Int, List, Unicode
from traitlets.config import LoggingConfigurable

from async_kernel.kernel import execution
from async_kernel.kernel.beside import TasksBeside
from async_kernel.kernel.cancel import cancel_any
from async_kernel.kernel.comms import comms_installed
from async_kernel.kernel.debugging.available import why_no_debugger
from async_kernel.kernel.documented import DocumentedNames
from async_kernel.kernel.interrupts import Interrupts
from async_kernel.kernel.questions import Questions
from async_kernel.kernel.requests import COMMS, QUESTIONS
from async_kernel.kernel.routing import Router
from async_kernel.kernel.serving import Serving
from async_kernel.kernel.shell_lane import ShellLane
from async_kernel.kernel.subshells import Subshells
from async_kernel.kernel.task_tree import tree_of
from async_kernel.kernel.thread_cells import ThreadCells
from async_kernel.kernel.watchdog import Watchdog
from async_kernel.lifetime.caller import Caller
from async_kernel.lifetime.late_import import late_import
from async_kernel.protocol.errors import error_content
from async_kernel.protocol.kernel_info import HELP_LINKS, SUPPORTED_FEATURES, kernel_info_content
from async_kernel.shell.background import names
from async_kernel.shell.user_io import ainput
from async_kernel.slot import HasInterface, T_interface_co
from async_kernel.typing import Backend

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    import psutil

    from async_kernel.kernel.comms import KernelCommManager
    from async_kernel.kernel.debugging.debugger import Debugger
    from async_kernel.lifetime.loop_token import LoopToken
    from async_kernel.protocol.request import Request
    from async_kernel.protocol.wire import Wire
    from async_kernel.shell.base import BaseShell
    from async_kernel.shell.cells.cell import Cell
    from async_kernel.typing import Content, Header

__all__ = ["Kernel"]


class Kernel(HasInterface[T_interface_co], DocumentedNames, LoggingConfigurable, Generic[T_interface_co]):
    """Serves the requests of Jupyter clients.

    Args:
        shell_class: runs the code.
        stop: asks the interface to stop; called for a shutdown_request, in the thread that read it.
        barrier: calls a function after all requests that have arrived were submitted.
        spawn: starts a task beside the shell's loop, where requests are read; None: in the shell's loop.
        backend: the async library of the shell's loop; subshells get one of the same.

    Attributes:
        wire: where replies and outputs go.
        shell: the main shell.
        main: the lane of the main shell.
        interrupts: cuts short what runs.
        interrupts_by_signal: whether the SIGINT handler is ours and cells run in the main thread.
        embedded: it is part of a program, whose loop the cells share.
        accepts_shutdown: False in a program that does not let its clients stop it.
        carrier_drop_counts: what the wire has lost or refused, by kind; a dict of ints.
        serving: how requests are served.
        router: where they go.
        flush_output: called after each cell: lets out what C code still buffers, where the kernel reads it.
        pid: of the process that the kernel belongs to; a fork has another.
    """

    help_links: List[dict[str, Any]] = List(Dict(), default_value=HELP_LINKS).tag(config=True)
    "Links for the help menu of a front end: a list of {'text': …, 'url': …}."
    supported_features: List[str] = List(Unicode(), default_value=SUPPORTED_FEATURES).tag(config=True)
    "Optional features of the messaging protocol that this kernel declares in kernel_info_reply."
    handle_in_shell_thread: List[str] = List(Enum([*COMMS, *QUESTIONS]), default_value=[*COMMS]).tag(config=True)
    "Types of messages that are served in the thread that cells run in, between awaits of the cells. Comms always are."
    max_waiting: Int[int, int] = Int(20_000, min=1).tag(config=True)
    "Requests that may wait in one queue (of a shell, or of questions about code); more are answered with an error."

    debug_just_my_code: Bool[bool, bool | int] = Bool(True).tag(config=True)
    "Whether the debugger steps over code of libraries."

    max_subshells: Int[int, int] = Int(100, min=0).tag(config=True)
    "Subshells that may be there at a time; each has a thread and a loop."

    wire: Wire
    shell: BaseShell[Any]
    comm_manager: KernelCommManager

    def __init__(
        self,
        *,
        shell_class: Callable[..., BaseShell[Any]],
        stop: Callable[[], object],
        barrier: Callable[[Callable[[], object]], object] | None = None,
        spawn: Callable[..., object] | None = None,
        backend: Backend = Backend.trio,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.ident: str = str(uuid.uuid4())
        self.pid: int = os.getpid()
        self.began: float = time.monotonic()
        self.backend: Backend = backend
        self.ports: Mapping[str, Any] = {}
        self.embedded = False
        self.accepts_shutdown = True
        self.carrier_drop_counts: Callable[[], dict[str, int]] = dict
        self.flush_output: Callable[[], object] = bool
        self.interrupts_by_signal = False
        self._shell_class = shell_class
        self._stop = stop
        self._barrier = barrier
        self._spawn = spawn
        self.serving: Serving = Serving(self)
        self.router: Router = Router(self)
        self.subshells: Subshells = Subshells(self)
        self.threads: ThreadCells = ThreadCells(self)
        self.beside: TasksBeside = TasksBeside()
        self.interrupts: Interrupts = Interrupts(self)
        self._process: psutil.Process | None = None
        self._debugger: Debugger | None = None
        self._shutdowns: list[tuple[Request, bool]] = []
        self.main: ShellLane = ShellLane(self._execute, self.serving.message, self.show_error)
        self.watchdog: Watchdog = Watchdog(self)
        self.questions: Questions = Questions(self, self.serving.now, self.serving.in_loop)

    # -- life ------------------------------------------------------------------------------------------------

    def connect(
        self,
        wire: Wire,
        *,
        backend: Backend,
        barrier: Callable[[Callable[[], object]], object] | None = None,
        spawn: Callable[..., object] | None = None,
    ) -> None:
        """Say what carries messages, before :meth:`running`; the arguments are those of the class."""
        self.wire, self.backend, self._barrier, self._spawn = wire, backend, barrier, spawn

    @asynccontextmanager
    async def running(self, wire: Wire, **shell_options: Any) -> AsyncGenerator[Self]:
        """Open the shell, its lane and the comms in this loop; :meth:`serve` then begins to serve.

        Leaving cuts short what runs, waits for it, and gives everything back.
        """
        self.wire = wire
        async with AsyncExitStack() as stack:
            self.comm_manager = stack.enter_context(comms_installed(self))
            self.shell = self._shell_class(wire=wire, **shell_options)
            self.shell.start()
            stack.callback(self.shell.close)
            await stack.enter_async_context(self.main.open(by_signal=self.interrupts_by_signal))
            self.shell.offer(
                nursery=names.nursery, session=names.session, cell=names.cell, ainput=ainput, Caller=Caller
            )
            self._lanes = await stack.enter_async_context(anyio.create_task_group())
            (self._spawn or self._lanes.start_soon)(self.beside.run)
            try:
                yield self
            finally:
                self.interrupts.cut_all()
                await self.beside.close()
                self._lanes.cancel_scope.cancel()
                if self._debugger is not None:
                    self._debugger.remove_files()

    async def serve(self) -> None:
        """Begin to serve requests, those included that came before."""
        history = getattr(self.shell, "run_history", None)
        if history is not None:
            await self._lanes.start(history)
        for lane in (*self.questions.runners(), self.main.messages.run):
            await self._lanes.start(lane)
        self.router.start()  # before the first cell, which may come at once and block
        self._lanes.start_soon(self.main.serve)  # begins at the caller's next checkpoint

    def closing_replies(self) -> None:
        """Answer what is left: cells that would not end, queued requests, the shutdown_requests themselves."""
        for lane in self.lanes():
            for cell in list(lane.cells):
                self.reply_cut_short(cell)
                self.serving.status("idle", cell.request)
            for request in lane.take_waiting():
                execution.abort(self, request)
        self.router.abort_early_cells()
        for request, restart in self._shutdowns:
            content: Content = {"status": "ok", "restart": restart}
            self.wire.reply(request, content)
            self.wire.publish("shutdown_reply", content, parent=request.header)
            self.serving.status("idle", request)
        self._shutdowns.clear()

    # -- requests --------------------------------------------------------------------------------------------

    def submit(self, request: Request) -> None:
        """Take a request; called in the thread that read it, never waits for user code."""
        self.router.submit(request)

    @property
    def started(self) -> bool:
        """Whether cells and questions are served."""
        return self.router.started

    async def _execute(self, lane: ShellLane, request: Request, foreground: bool) -> None:
        """Serve a cell on its shell lane, or beside it."""
        await self.serving.waiting(
            request, lambda kernel, request: execution.execute(kernel, lane, request, foreground=foreground)
        )

    def barrier(self, then: Callable[[], object]) -> None:
        """Call ``then`` once every request that has arrived is submitted."""
        if self._barrier is None:
            then()
        else:
            self._barrier(then)

    def make_lane(self, name: str, *, beside: bool = False) -> ShellLane:
        """A lane for a loop beside the main shell's.

        Args:
            name: of a subshell or thread.
            beside: cells of its queue run beside each other.
        """
        return ShellLane(self._execute, self.serving.message, self.show_error, name, beside=beside)

    def lanes(self) -> list[ShellLane]:
        """Everywhere that cells run: the main shell, subshells, threads of cells."""
        return [self.main, *self.subshells.lanes(), *self.threads.lanes()]

    # -- what handlers ask for -------------------------------------------------------------------------------

    @property
    def token(self) -> LoopToken:
        """The shell's loop."""
        return self.main.token

    @property
    def debugger(self) -> Debugger:
        """The debugger; imported when somebody wants to debug."""
        if self._debugger is None:
            from async_kernel.kernel.debugging.debugger import Debugger  # noqa: PLC0415 -- few sessions debug

            self._debugger = Debugger(self)
        return self._debugger

    @property
    def debugger_in_use(self) -> Debugger | None:
        """The debugger, if anybody has asked for it."""
        return self._debugger

    @property
    def reads_beside(self) -> bool:
        """Whether requests are read beside the shell's loop, also while a cell blocks it."""
        return self._spawn is not None

    @property
    def cells_have_files(self) -> bool:
        """Whether the shell names a file for each cell, in which breakpoints can be set."""
        return hasattr(self._shell_class, "compiler_class")

    @property
    def process(self) -> psutil.Process:
        """This process, for usage figures."""
        if self._process is None:
            process: psutil.Process = late_import("psutil").Process()
            self._process = process
        return self._process

    def drop_counts(self) -> dict[str, int]:
        """What was lost or refused since the start, by kind: see :class:`~async_kernel.channels.io_loop.DropCounts`."""
        return {**self.carrier_drop_counts(), "refused_requests": self.serving.refused}

    @property
    def kernel_info(self) -> Content:
        """The content of a kernel_info_reply."""
        return kernel_info_content(
            self.shell.banner if hasattr(self, "shell") else "",
            debugger=not why_no_debugger(self),
            language_info=getattr(self._shell_class, "language_info", None),
            help_links=self.help_links,
            supported_features=self.supported_features,
        )

    def cancel_by_id(self, ids: list[str], reason: str | None = None) -> Content:
        """Cancel whatever these ids name: cells, background tasks, subshells; from any thread.

        Returns:
            ``cancelled`` and ``unknown``, as in a cancel_reply.
        """
        return cancel_any(self, ids, reason)

    def task_tree(self, *, stacks: bool = False) -> Content:
        """What runs now, as in a task_tree_reply; from any thread."""
        return tree_of(self, stacks=stacks)

    def shut_down(self, request: Request, *, restart: bool) -> None:
        """Stop because a client asked for it; it is answered when the cells have ended."""
        self._shutdowns.append((request, restart))
        self._stop()

    def stop(self) -> None:
        """Stop the interface; from any thread."""
        self._stop()

    def answers_at_the_end(self, request: Request) -> bool:
        """Whether it is a shutdown_request that waits for the end."""
        return any(request is waiting for waiting, _ in self._shutdowns)

    def last_parent(self) -> Header | None:
        """Whom output belongs to that is written outside every context: the cell that runs, or ran last."""
        return self.main.last_parent

    def reply_cut_short(self, cell: Cell) -> None:
        """Answer a cell whose lane is being cancelled under it."""
        cell.cause = cell.cause or "shutdown"
        content = self.error_content(KeyboardInterrupt("the kernel is shutting down"))
        metadata = {"status": "error", "engine": self.ident, "dependencies_met": True}
        metadata |= {"cause": cell.cause, "reason": cell.reason, "elapsed_s": cell.elapsed}
        content |= {"status": "error", "execution_count": self.shell.last_count}
        self.wire.reply(cell.request, content, metadata=metadata)

    def error_content(self, exc: BaseException) -> Content:
        """The error fields of a message, as the shell formats them; plainly, if the exception makes it fail."""
        try:
            return self.shell.format_error(exc)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException:  # noqa: BLE001 -- formatting calls the user's __str__ and __repr__
            return error_content(exc)

    def show_error(self, exc: BaseException, request: Request | None) -> None:
        """Publish the error of a background task or a callback, where a person looks for it."""
        self.wire.publish("error", self.error_content(exc), parent=request.error_header if request else None)

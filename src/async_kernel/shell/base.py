"""What a shell is: something that runs a cell's code and answers questions about code.

A shell for another language subclasses :class:`BaseShell` and says how to :meth:`~BaseShell.run` code; nothing here
needs IPython. What a cell is to its client (its number, its result, its error, ``user_expressions``) is
:meth:`BaseShell.execute`, which another kind of shell replaces as a whole. Code runs in the shell's loop, inside the
cell; the questions (``do_complete``, ``do_inspect``…) are asked from a helper thread, also while a cell blocks.
"""

from __future__ import annotations

import inspect
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, Generic

from traitlets import Bool, CFloat
from traitlets.config import LoggingConfigurable

from async_kernel.protocol.errors import error_content
from async_kernel.protocol.request import current_request
from async_kernel.protocol.tags import tags_in
from async_kernel.shell.cells.cancellation import is_cancellation
from async_kernel.shell.cells.machinery import is_machinery
from async_kernel.slot import HasInterface, T_interface_co

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from async_kernel.protocol.wire import Wire
    from async_kernel.shell.cells.cell import Cell
    from async_kernel.typing import Content

__all__ = ["BaseShell"]

_served: ContextVar[Cell | None] = ContextVar("_served", default=None)
"""The cell that a shell's own ``do_execute`` was called for."""


class BaseShell(HasInterface[T_interface_co], LoggingConfigurable, Generic[T_interface_co]):
    """The part of a kernel that knows the language.

    Attributes:
        wire: where output goes; set before :meth:`start`.
        execution_count: the number of the next cell that is stored.
        language_info: what a kernel_info_reply says of the language (name, mimetype, file_extension…); empty: Python.
    """

    language_info: ClassVar[Mapping[str, Any]] = {}

    timeout: CFloat[float, Any] = CFloat(0.0).tag(config=True)
    "Seconds that a cell may take before it is stopped with a TimeoutError; 0 is for ever."
    stop_on_error_time_offset: CFloat[float, Any] = CFloat(0.0).tag(config=True)
    "Seconds after a failed cell in which requests that arrive are aborted too."

    watchdog: CFloat[float, Any] = CFloat(1.0).tag(config=True)
    "Seconds that a concurrent cell or a comm's callback may keep the loop from others before it is said; 0: never."
    watch_main_cells: Bool[bool, bool | int] = Bool(False).tag(config=True)
    "Have the watchdog also name cells that run alone in the main shell; in a program with a kernel it always does."
    report_leftovers: Bool[bool, bool | int] = Bool(True).tag(config=True)
    "Say at the end of a cell which background tasks and threads that it started still run."

    exit_now: Bool[bool, bool | int] = Bool(False)
    "Set by a cell: the kernel stops when the cell has ended and its reply is out."

    wire: Wire
    execution_count: int = 1

    def __init__(self, *, wire: Wire, **kwargs: Any) -> None:
        self.wire = wire
        super().__init__(**kwargs)

    # -- life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Called once in the shell's loop, before the first cell."""

    def close(self) -> None:
        """Called once, after the last cell; must give back all that :meth:`start` took."""

    def offer(self, **names: Any) -> None:
        """Put ``names`` where user code finds them, unless it has such a name already; it may shadow them."""

    @property
    def is_mainshell(self) -> bool:
        """Whether this is asked in the main shell, and not in a subshell: one object serves them all."""
        return self.subshell_id is None

    @property
    def subshell_id(self) -> str | None:
        """The subshell that this is asked in; None: the main shell."""
        request = current_request.get()
        return None if request is None else request.subshell_id

    # -- about -----------------------------------------------------------------------------------------------

    @property
    def banner(self) -> str:
        """What a console prints first."""
        return ""

    @property
    def last_count(self) -> int:
        """The number of the last cell that was counted: clients show the one after it in their next prompt."""
        return self.execution_count - 1

    # -- cells -----------------------------------------------------------------------------------------------

    def run(self, code: str) -> Any:
        """Run the code of a cell; may be a coroutine function.

        ``print``, ``input`` and ``getpass`` go to the client whose cell it is. An exception is the cell's error.

        Returns:
            what the cell is to show as its result; None: nothing.
        """
        raise NotImplementedError

    def represent(self, value: Any) -> Content:
        """What a client shows for a result: texts (or JSON) by MIME type."""
        return {"text/plain": repr(value)}

    def format_error(self, exc: BaseException) -> Content:
        """``ename``, ``evalue`` and ``traceback`` (a list of lines, may be coloured) of an exception.

        Here the traceback begins at the first line that is not the kernel's.
        """
        tb = exc.__traceback__
        while tb is not None and is_machinery(tb.tb_frame.f_code.co_filename):
            tb = tb.tb_next
        return error_content(exc.with_traceback(tb))

    async def execute(self, cell: Cell) -> Content:
        """Run the code of ``cell.request`` and return the content of its execute_reply, with its status.

        Code of the user belongs inside ``cell.boundary()``.
        """
        if not self._replaces_do_execute:
            return await self._execute(cell, cell.request.content)
        reply: Content = {"status": "ok", "user_expressions": {}, "payload": []}
        error: BaseException | None = None
        with cell.boundary():
            try:
                reply |= await self._do_execute(cell)
            except BaseException as exc:
                error = cell.translate(exc)
                if error is None or is_cancellation(exc):
                    raise
        if error is not None:
            problem = self.format_error(error)
            self.wire.publish("error", problem, parent=cell.request.header)
            reply |= {"status": "error", **problem}
        return {"execution_count": self.last_count, **reply}

    async def do_execute(
        self,
        code: str,
        *,
        silent: bool = False,
        store_history: bool = True,
        user_expressions: Mapping[str, str] | None = None,
        allow_stdin: bool = False,
        stop_on_error: bool = True,
        cell_id: str | None = None,
        received_time: float = 0.0,
        tags: Sequence[str] = (),
        **_: Any,
    ) -> Content:
        """Run ``code`` for the cell that is served; the content of its execute_reply.

        Only called where a shell replaces it: to change something and go on with ``super().do_execute``, or to do
        all of a cell itself, its ``execute_input`` included.

        Args:
            code: what is run.
            silent: nothing is counted or shown.
            store_history: the cell is counted.
            user_expressions: evaluated afterwards, by name.
            allow_stdin: whether the client takes questions.
            stop_on_error: whether cells that wait are aborted if this one fails.
            cell_id: of the notebook's cell.
            received_time: when the request came, by ``time.monotonic``.
            tags: of the notebook's cell.

        Raises:
            RuntimeError: if no cell is served here.
        """
        cell = _served.get()
        if cell is None:
            msg = "do_execute runs the code of the cell that is served, and none is"
            raise RuntimeError(msg)
        expressions = dict(user_expressions or {})
        changed = {"silent": silent, "store_history": store_history, "user_expressions": expressions}
        return await self._execute(cell, {**cell.request.content, "code": code, **changed})

    @property
    def _replaces_do_execute(self) -> bool:
        cls: Any = type(self)
        return cls.do_execute is not vars(BaseShell)["do_execute"]

    async def _do_execute(self, cell: Cell) -> Content:
        """Have the subclass run the cell of a request."""
        request, content = cell.request, cell.request.content
        silent = bool(content.get("silent"))
        token = _served.set(cell)
        try:
            return await self.do_execute(
                content["code"],
                silent=silent,
                store_history=bool(content.get("store_history", not silent)),
                user_expressions=content.get("user_expressions"),
                allow_stdin=bool(content.get("allow_stdin")),
                stop_on_error=bool(content.get("stop_on_error", True)),
                cell_id=request.metadata.get("cellId"),
                received_time=request.received,
                tags=tags_in(request.metadata),
            )
        finally:
            _served.reset(token)

    async def _execute(self, cell: Cell, content: Content) -> Content:
        """Run a cell as the fields of its request say."""
        header = cell.request.header
        code, silent, number = content["code"], bool(content.get("silent")), self.execution_count
        if not silent:
            self.execution_count += bool(content.get("store_history", True))
            self.wire.publish("execute_input", {"code": code, "execution_count": number}, parent=header)
        counted = self.last_count
        values: dict[str, Content] = {}
        reply: Content = {"status": "ok", "execution_count": counted, "user_expressions": values, "payload": []}
        error: BaseException | None = None
        with cell.boundary():
            try:
                value = await self._run(code)
                if value is not None and not silent:
                    shown: Content = {"data": self.represent(value), "metadata": {}, "execution_count": number}
                    self.wire.publish("execute_result", shown, parent=header)
                for name, expression in dict(content.get("user_expressions") or {}).items():
                    values[name] = await self._value_of(expression)
            except BaseException as exc:
                error = cell.translate(exc)
                if error is None or is_cancellation(exc):
                    raise
        if error is not None:
            problem = self.format_error(error)
            self.wire.publish("error", problem, parent=header)
            reply |= {"status": "error", **problem}
        return reply

    async def _run(self, code: str) -> Any:
        value = self.run(code) if code.strip() else None
        return await value if inspect.isawaitable(value) else value

    async def _value_of(self, expression: str) -> Content:
        """The value of one of the ``user_expressions``, or its error."""
        try:
            return {"status": "ok", "data": self.represent(await self._run(expression)), "metadata": {}}
        except Exception as exc:  # noqa: BLE001 -- the user's code; the protocol wants it in the reply
            return {"status": "error", **self.format_error(exc)}

    # -- questions about code ----------------------------------------------------------------------------------

    def warm_up(self) -> Sequence[Callable[[], object]]:
        """What would make the first completion slow, in short steps: called ahead of time in the thread that completes.

        The kernel may end between two of them.
        """
        return ()

    def do_complete(self, code: str, cursor_pos: int) -> Content:
        """The content of a complete_reply; ``cursor_pos`` counts unicode characters."""
        return {"status": "ok", "matches": [], "cursor_start": cursor_pos, "cursor_end": cursor_pos, "metadata": {}}

    def do_inspect(
        self, code: str, cursor_pos: int, detail_level: int = 0, omit_sections: tuple[str, ...] = ()
    ) -> Content:
        """The content of an inspect_reply."""
        return {"status": "ok", "found": False, "data": {}, "metadata": {}}

    def is_complete(self, code: str) -> Content:
        """The content of an is_complete_reply."""
        return {"status": "unknown"}

    def do_history(self, **content: Any) -> Content:
        """The content of a history_reply for the fields of a history_request."""
        return {"status": "ok", "history": []}

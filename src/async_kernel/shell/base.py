"""What a shell is: something that runs a cell's code and answers questions about code.

A shell for another language subclasses :class:`BaseShell` and implements :meth:`~BaseShell.execute` at least; nothing
here needs IPython. ``execute`` runs in the shell's loop, inside the cell; the questions (complete, inspect…) are
asked from a helper thread, also while a cell blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from traitlets import Bool, CFloat
from traitlets.config import LoggingConfigurable

from async_kernel.protocol.errors import error_content
from async_kernel.slot import HasInterface, T_interface_co

if TYPE_CHECKING:
    from async_kernel.protocol.wire import Wire
    from async_kernel.shell.cells.cell import Cell
    from async_kernel.typing import Content

__all__ = ["BaseShell"]


class BaseShell(HasInterface[T_interface_co], LoggingConfigurable, Generic[T_interface_co]):
    """The part of a kernel that knows the language.

    Attributes:
        wire: where output goes; set before :meth:`start`.
    """

    timeout = CFloat(0.0).tag(config=True)
    "Seconds that a cell may take before it is stopped with a TimeoutError; 0 is for ever."
    stop_on_error_time_offset = CFloat(0.0).tag(config=True)
    "Seconds after a failed cell in which requests that arrive are aborted too."

    exit_now = Bool(False)
    "Set by a cell: the kernel stops when the cell has ended and its reply is out."

    wire: Wire

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

    # -- about -----------------------------------------------------------------------------------------------

    @property
    def banner(self) -> str:
        """What a console prints first."""
        return ""

    @property
    def execution_count(self) -> int:
        """The number of the next cell."""
        return 0

    # -- cells -----------------------------------------------------------------------------------------------

    async def execute(self, cell: Cell) -> Content:
        """Run the code of ``cell.request`` and return the content of its execute_reply, with its status.

        User code belongs inside ``cell.boundary()``.
        """
        raise NotImplementedError

    def format_error(self, exc: BaseException) -> Content:
        """``ename``, ``evalue`` and ``traceback`` (a list of lines, may be coloured) of an exception."""
        return error_content(exc)

    # -- questions about code ----------------------------------------------------------------------------------

    def complete(self, code: str, cursor_pos: int) -> Content:
        """The content of a complete_reply; ``cursor_pos`` counts unicode characters."""
        return {"status": "ok", "matches": [], "cursor_start": cursor_pos, "cursor_end": cursor_pos, "metadata": {}}

    def inspect(
        self, code: str, cursor_pos: int, detail_level: int = 0, omit_sections: tuple[str, ...] = ()
    ) -> Content:
        """The content of an inspect_reply."""
        return {"status": "ok", "found": False, "data": {}, "metadata": {}}

    def is_complete(self, code: str) -> Content:
        """The content of an is_complete_reply."""
        return {"status": "unknown"}

    def history(self, **content: Any) -> Content:
        """The content of a history_reply for the fields of a history_request."""
        return {"status": "ok", "history": []}

"""KeyboardInterrupt for code that was asleep when it was struck: raised when that goes on, at a line where it may be.

What has woken the code must be seen to its end, and so must what it leaves on the way: the first line after an
``await`` is often the end of a ``with`` block, or a ``finally``. An exception before the ``__exit__`` of a scope would
leave that open for ever, and the async library's state with it.
"""

from __future__ import annotations

import dis
import sys
from typing import TYPE_CHECKING, Any

from async_kernel.shell.cells.cancellation import is_cancellation
from async_kernel.shell.cells.machinery import is_library

if TYPE_CHECKING:
    import types

    from async_kernel.shell.cells.gate import Gate

__all__ = ["LateInterrupt"]

_RESUME = dis.opmap["RESUME"]
_AFTER_YIELD = 1
"""The argument of RESUME; it is 0 where a function begins, 2 after ``yield from`` and 3 after ``await``."""


class LateInterrupt:
    """Raises KeyboardInterrupt in the user's code when that goes on after what it awaited.

    A trace function, set for one step. It looks only at functions that go on: what they call may be an ``__exit__``.
    Libraries are left alone: they may be in the middle of entering or leaving a scope. When what was awaited raises a
    cancellation, that says the same.

    Attributes:
        done: it was raised, or need not be any more.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._before: Any = None
        self._traced: list[tuple[types.FrameType, Any]] = []
        self._handlers: dict[types.FrameType, int | None] = {}
        self.done: bool = False

    def install(self) -> None:
        """Watch the step that is to be made."""
        self._before = sys.gettrace()
        sys.settrace(self._entered)

    def remove(self) -> None:
        """The step was made."""
        sys.settrace(self._before)
        for frame, before in self._traced:
            frame.f_trace = before
        self._traced.clear()
        self._handlers.clear()

    def _entered(self, frame: types.FrameType, event: str, arg: Any) -> Any:
        if self.done or not _goes_on(frame) or is_library(frame.f_code.co_filename):
            return None
        self._traced.append((frame, frame.f_trace))
        self._handlers[frame] = _handler(frame)
        return self._look

    def _look(self, frame: types.FrameType, event: str, arg: Any) -> Any:
        if event == "exception" and is_cancellation(arg[1]):
            self.done = True
        if event == "line" and not self.done and not self._gate.sealed:
            handler = _handler(frame)
            before, self._handlers[frame] = self._handlers[frame], handler
            if handler == before:  # otherwise it leaves a block, and this line may be what that has to do at its end
                self.done = True
                raise KeyboardInterrupt
        return self._look


def _goes_on(frame: types.FrameType) -> bool:
    """Whether the function that is entered has awaited, which its RESUME instruction says.

    One that begins, or has yielded, may be what a context manager has to do at its end.
    """
    code, at = frame.f_code.co_code, frame.f_lasti
    return at >= 0 and code[at] == _RESUME and code[at + 1] & 3 > _AFTER_YIELD


def _handler(frame: types.FrameType) -> int | None:
    """Where an exception that is raised in this line would be handled: the block that the line is in."""
    entries: Any = getattr(dis.Bytecode(frame.f_code), "exception_entries", ())
    return next((each.target for each in entries if each.start <= frame.f_lasti < each.end), None)

"""Where a cell's code is entered and left, so that it is known at every moment whether an exception would strike it."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
import time
import types
from typing import TYPE_CHECKING, Any

from async_kernel.shell.cells.cancellation import is_cancellation
from async_kernel.shell.cells.late_interrupt import LateInterrupt
from async_kernel.shell.cells.machinery import is_library, keeps_scopes

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

__all__ = ["BLOCKS_S", "Gate", "is_gate", "may_raise_at", "set_async_exc"]


BLOCKS_S = 0.1
"""Seconds after which a step counts as one that blocks and is struck from another thread, which cannot aim: a shorter
one comes to its next await by itself, and may be entering or leaving a scope at any moment."""

SETTLED_S = 0.3
"""Seconds after which a step is struck wherever it is: an async library, too, can be what blocks (``asyncio.run``)."""


class Gate:
    """Where a cell's code is entered and left, step by step.

    Only the thread that runs the cell drives it; ``inside`` may be read and :meth:`strike` called from any thread.

    Attributes:
        thread_id: of the thread that runs the code.
        inside: whether the code is on the stack.
        pending: whether it is to be struck when it goes on.
        delivered: whether what was pending has reached it as a cancellation.
        sealed: whether the code that may be struck has ended.
    """

    __slots__ = ("_armed", "_entered", "_lock", "delivered", "inside", "pending", "sealed", "thread_id")

    def __init__(self, thread_id: int) -> None:
        self.thread_id: int = thread_id
        self._lock = threading.Lock()
        self._armed = False
        self._entered = 0.0
        self.inside: bool = False
        self.pending: bool = False
        self.delivered: bool = False
        self.sealed: bool = False

    @types.coroutine
    def drive(self, coro: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
        """Await ``coro`` step by step. It must catch everything itself and return None.

        A strike that finds the cell asleep is not thrown in when it wakes: what has woken it must be seen to its end,
        since a nursery of trio's would be left in the middle of its closing. It is raised at the first line of the
        user's code that comes after that.

        A step is made inside ``list.extend(map(...))`` so that what it yields is stored before the interpreter
        can raise an asynchronous exception in this frame: a lost trap would leave the task asleep for ever.
        """
        step: Callable[[Any], Any] = coro.send
        value: Any = None
        begun = False
        while True:
            late: LateInterrupt | None = None
            if self.pending:
                self.pending = False
                if not begun:
                    step, value = coro.throw, KeyboardInterrupt()
                elif _is_cancelling(value):
                    self.delivered = True  # its scope's cancellation says the same: once is enough
                else:
                    late = LateInterrupt(self)
            begun = True
            trap: list[Any] = []
            try:
                self._enter()
                if late is not None:
                    late.install()
                trap.extend(map(step, (value,)))
            except KeyboardInterrupt:
                # coro raises nothing, so this struck in a frame of ours.
                self.pending = True
            finally:
                if late is not None:
                    late.remove()
                    self.pending = self.pending or not (late.done or self.sealed)
                self._leave()
            if not trap:
                if getattr(coro, "cr_frame", None) is None:
                    return
                step, value = coro.send, None  # struck before the step: make it, with the interrupt
                continue
            try:
                value = yield trap[0]
                step = coro.send
            except BaseException as exc:  # noqa: BLE001 -- whatever the loop throws in goes to the cell
                value, step = exc, coro.throw

    def _enter(self) -> None:
        self._entered = time.monotonic()
        self.inside = True

    @property
    def inside_for(self) -> float:
        """Seconds that the step at hand has taken so far; 0 outside."""
        return time.monotonic() - self._entered if self.inside else 0.0

    def _leave(self) -> None:
        while True:
            try:
                with self._lock:
                    self.inside = False
                    if self._armed:
                        self._take_back()
            except KeyboardInterrupt:
                self.pending = True
            else:
                return

    def owns_frame(self, frame: types.FrameType | None) -> bool:
        """Whether the frame is the gate's own code, where nothing may be raised."""
        return frame is not None and frame.f_code in _GATE_CODES

    def strike(self, exc: type[KeyboardInterrupt] = KeyboardInterrupt, *, unless: Callable[[], bool] = bool) -> bool:
        """Raise KeyboardInterrupt in the cell at its thread's next bytecode; from any thread.

        Not while it may be entering or leaving a scope: in a step that does not block, or in an async library's code.

        Args:
            exc: what is raised.
            unless: whether the cell has been interrupted already; what it says holds while the strike is made.

        Returns:
            False if it was not done. Then it is raised when the cell goes on after its next await, if it comes to one;
            who has called this calls it again.
        """
        with self._lock:
            if self.sealed or unless():
                return False
            if not self.inside or not self._may_be_struck():
                self.pending = True
                return False
            self.pending = False
            if not self._armed:
                self._armed = True
                set_async_exc(self.thread_id, exc)
            return True

    def _may_be_struck(self) -> bool:
        """Whether it blocks, and in code of the user's; its thread stands still meanwhile, as this one has the GIL."""
        if self.inside_for < BLOCKS_S:
            return False
        stacks = sys._current_frames()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] -- the documented way
        return self.may_raise_at(stacks.get(self.thread_id))

    def may_raise_at(self, frame: types.FrameType | None) -> bool:
        """Whether an exception raised in this frame leaves no scope in the middle."""
        return may_raise_at(frame, self.inside_for)

    def strike_asleep(self) -> bool:
        """Strike if the code is not on the stack, and say whether it was so; from any thread."""
        with self._lock:
            self.delivered = False
            if not self.inside and not self.sealed:
                self.pending = True
            return not self.inside

    def seal(self) -> None:
        """The user's code has ended: let nothing strike the code around it, such as the exit of the cell's scope."""
        with self._lock:
            self.sealed = True
            self.pending = False
        self.withdraw()

    def withdraw(self) -> None:
        """Take back a strike that has not been raised yet; in the gate's thread."""
        with contextlib.suppress(KeyboardInterrupt), self._lock:
            if self._armed:
                self._take_back()

    def _take_back(self) -> None:
        """Replace the strike by an exception that is caught here.

        Merely unset, it would leave the interpreter's note that there is something to raise, which CPython 3.11 and
        3.12 clear only by raising: each call and loop would look for it from then on, and in 3.11 code that is profiled
        or debugged would look for ever.

        Raises:
            KeyboardInterrupt: if it has struck already.
        """
        try:
            set_async_exc(self.thread_id, _TakenBack)
            while True:
                pass  # it is raised at the first jump
        except _TakenBack:
            self._armed = False


def may_raise_at(frame: types.FrameType | None, blocked_s: float) -> bool:
    """Whether an exception in this frame, whose step has taken that many seconds, leaves no scope in the middle."""
    while frame is not None and is_library(filename := frame.f_code.co_filename):
        if keeps_scopes(filename):
            return blocked_s > SETTLED_S
        frame = frame.f_back
    return True


def _is_cancelling(value: Any) -> bool:
    """Whether that is thrown into a coroutine, or sent into it by trio, to cancel what it awaits."""
    error = value if isinstance(value, BaseException) else getattr(value, "error", None)
    return isinstance(error, BaseException) and is_cancellation(error)


def is_gate(frame: types.FrameType) -> bool:
    """Whether the frames above this one are of code behind a gate."""
    return frame.f_code is Gate.drive.__code__


class _TakenBack(BaseException):
    """Stands for a strike that came too late."""


_GATE_CODES = frozenset(
    vars(owner)[name].__code__
    for owner, names in (
        (Gate, ("drive", "_enter", "_leave", "withdraw", "_take_back")),
        (LateInterrupt, ("__init__", "install", "remove")),
    )
    for name in names
)


def set_async_exc(thread_id: int, exc: type[BaseException] | None) -> None:
    """Have ``exc`` raised in a thread, at its next bytecode."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(exc) if exc else None)

"""Children of a cell in nurseries of the user's own, where no gate is: what blocks the loop is found on its stack.

A cell that waits in ``async with trio.open_nursery()`` (or a task group of anyio's or asyncio's) is asleep itself, and
its scope cancels its children when the loop turns. When one of them blocks the loop, it does not turn. In the main
thread the SIGINT handler sees to that, at the very frame; for other threads :func:`strike_child_on_stack` is called
from outside, while the interpreter lets only its caller run: the thread stands still, and goes on at its next bytecode
with the exception.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from async_kernel.shell.cells.gate import may_raise_at, set_async_exc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from async_kernel.shell.background.session import Session
    from async_kernel.shell.cells.cell import Cell
    from async_kernel.shell.cells.task import Task

__all__ = ["child_on_stack", "strike_child_on_stack"]


def child_on_stack(cell: Cell | Task, session: Session | None) -> FrameType | None:
    """The innermost frame of the cell's thread, if a child of the cell runs there; from any thread."""
    if cell.native is None or cell.gate.inside:
        return None
    frame = sys._current_frames().get(cell.token.thread_id)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    found = _trio_child(cell, frame) if cell.token.backend == "trio" else _asyncio_child(cell, session)
    return frame if found else None


def strike_child_on_stack(cell: Cell | Task, session: Session | None, blocked_s: float) -> bool:
    """Raise in the child of the cell that blocks its loop; from another thread.

    On trio KeyboardInterrupt, on asyncio CancelledError: a KeyboardInterrupt would end that loop.

    Args:
        cell: the one that is cut short.
        session: of its loop.
        blocked_s: seconds for which the loop has not turned.

    Returns:
        False if there is none, or if it may be in the middle of entering or leaving a scope.
    """
    frame = child_on_stack(cell, session)
    if frame is None or not may_raise_at(frame, blocked_s):
        return False
    is_trio = cell.token.backend == "trio"
    set_async_exc(cell.token.thread_id, KeyboardInterrupt if is_trio else sys.modules["asyncio"].CancelledError)
    return True


def _trio_child(cell: Cell | Task, frame: FrameType | None) -> bool:
    stack: set[int] = set()
    while frame is not None:
        stack.add(id(frame))
        frame = frame.f_back
    return any(
        id(task.coro.cr_frame) in stack and task.context.get(_current_cell()) is cell
        for task in _descendants(cell.native)
        if getattr(task.coro, "cr_frame", None) is not None
    )


def _descendants(task: Any) -> Iterator[Any]:
    tasks = [task]
    while tasks:
        for nursery in tasks.pop().child_nurseries:
            for child in nursery.child_tasks:
                yield child
                tasks.append(child)


def _asyncio_child(cell: Cell | Task, session: Session | None) -> bool:
    task = sys.modules["asyncio"].current_task(cell.native.get_loop())
    if task is None or task is cell.native:
        return False
    context_of = getattr(task, "get_context", None)
    if context_of is not None:
        return context_of().get(_current_cell()) is cell
    # Python 3.11 does not tell the context: whose the task is follows from who has made it.
    if session is None:
        return False
    others = {each.native for each in list(session.tasks.values())}
    while task is not None and task not in others:
        task = session.made_by.get(task)
        if task is cell.native:
            return True
    return False


def _current_cell() -> Any:
    from async_kernel.shell.cells.cell import current_cell  # noqa: PLC0415 -- it imports what this imports

    return current_cell

"""Children of cells and tasks in nurseries of the user's own, where no gate is: what blocks is found on the stack.

A cell that waits in ``async with trio.open_nursery()`` (or a task group of anyio's or asyncio's) is asleep itself, and
its scope cancels its children when the loop turns. When one of them blocks the loop, it does not turn. In the main
thread the SIGINT handler sees to that, at the very frame; for other threads :func:`strike_child_on_stack` is called
from outside, while the interpreter lets only its caller run: the thread stands still, and goes on at its next bytecode
with the exception. The same holds for background tasks, and for those that were started with asyncio itself.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from async_kernel.shell.cells.foreign import ForeignTask
from async_kernel.shell.cells.gate import may_raise_at, set_async_exc
from async_kernel.shell.cells.native import is_running, native_task
from async_kernel.shell.cells.task import Task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from async_kernel.shell.background.session import Session
    from async_kernel.shell.cells.cell import Cell

    Stoppable = Cell | Task | ForeignTask

__all__ = ["child_on_stack", "runs_in_child", "strike_child_on_stack"]


def child_on_stack(cell: Stoppable, session: Session | None) -> FrameType | None:
    """The innermost frame of the cell's thread, if a child of the cell runs there; from any thread."""
    if (native := cell.native) is None or cell.gate.inside:
        return None
    frame = sys._current_frames().get(cell.token.thread_id)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    if cell.token.backend == "trio":
        found = any(is_running(task) and _is_cells(cell, task) for task in _descendants(native))
    else:
        running = sys.modules["asyncio"].current_task(native.get_loop())
        found = running is not None and _is_asyncio_child(cell, running, session)
    return frame if found else None


def runs_in_child(cell: Stoppable, session: Session | None) -> bool:
    """Whether what runs now is a child of the cell; in its thread, also in a signal handler."""
    try:
        running = native_task()
    except RuntimeError:  # no task runs here
        return False
    if running is None or cell.native is None:
        return False
    if not isinstance(cell, Task | ForeignTask):
        return running is not cell.native and _current_cell().get() is cell
    return _is_below(cell, running) if cell.token.backend == "trio" else _is_asyncio_child(cell, running, session)


def strike_child_on_stack(cell: Stoppable, session: Session | None, blocked_s: float) -> bool:
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


def _is_below(cell: Stoppable, running: Any) -> bool:
    nursery = running.parent_nursery
    while nursery is not None and nursery.parent_task is not cell.native:
        nursery = nursery.parent_task.parent_nursery
    return nursery is not None


def _descendants(task: Any) -> Iterator[Any]:
    tasks = [task]
    while tasks:
        for nursery in tasks.pop().child_nurseries:
            for child in nursery.child_tasks:
                yield child
                tasks.append(child)


def _is_cells(cell: Stoppable, task: Any) -> bool:
    """Whether a task below the one that runs the cell is the cell's own: a lane runs all its cells in one task."""
    return isinstance(cell, Task) or task.context.get(_current_cell()) is cell


def _is_asyncio_child(cell: Stoppable, running: Any, session: Session | None) -> bool:
    if running is cell.native:
        return isinstance(cell, ForeignTask)  # what the steps of others are is known by their gates
    context_of = getattr(running, "get_context", None)
    if context_of is not None and not isinstance(cell, Task | ForeignTask):
        return context_of().get(_current_cell()) is cell
    # Python 3.11 does not tell the context, and no context tells of tasks: whose it is follows from who has made it.
    if session is None:
        return False
    others = {each.native for each in list(session.tasks.values())}
    task = running
    while task is not None and task not in others:
        task = session.made_by.get(task)
        if task is cell.native:
            return True
    return False


def _current_cell() -> Any:
    from async_kernel.shell.cells.cell import current_cell  # noqa: PLC0415 -- it imports what this imports

    return current_cell

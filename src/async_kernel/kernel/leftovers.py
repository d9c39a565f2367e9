"""What a cell leaves behind: background tasks and threads that it started and that still run when it ends."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from async_kernel.shell.user_io.threads import started_by

if TYPE_CHECKING:
    from async_kernel.kernel.shell_lane import ShellLane
    from async_kernel.protocol.request import Request

__all__ = ["leftovers", "leftovers_line"]

_MOST = 5
"""How many are named: the line shall stay one."""


def leftovers(lane: ShellLane, request: Request) -> list[str]:
    """The names of what the cell of ``request`` started and what still runs; daemon threads are nobody's."""
    session = lane.session
    tasks = [f"{task.id} ({task.name})" for task in session.tasks.values() if task.request is request]
    tasks += [
        f"{task.get_name()} ({task.get_coro().__qualname__})"
        for task, starter in list(session.foreign_tasks.items())
        if starter is request and not task.done()
    ]
    threads = [
        f"thread {thread.name}"
        for thread in (threading.enumerate() if started_by else ())
        if not thread.daemon and started_by.get(thread) is request
    ]
    return tasks + threads


def leftovers_line(lane: ShellLane, request: Request) -> str:
    """The line that says so; empty if there is nothing."""
    names = leftovers(lane, request)
    if not names:
        return ""
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"Still running: {', '.join(names[:_MOST])}{more}. %tasks shows what runs, %cancel ends tasks.\n"

"""What is left: of a cell that ends, what it started and what still runs; of a kernel, what will not end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from async_kernel.kernel.task_tree import Node, tree_of, walk, walk_below
from async_kernel.shell.running.cell_files import place
from async_kernel.shell.user_io.threads import started_by

if TYPE_CHECKING:
    from async_kernel.kernel.kernel import Kernel
    from async_kernel.kernel.shell_lane import ShellLane
    from async_kernel.protocol.request import Request

__all__ = ["leftovers", "leftovers_line", "what_will_not_end"]

_POOLS_OF_PROCESSES = ("concurrent.futures.process", "loky.process_executor")

_MOST = 5
"""How many are named: the line shall stay one."""


def leftovers(lane: ShellLane, request: Request) -> list[str]:
    """The names of what the cell of ``request`` started and what still runs.

    Daemon threads are nobody's, callbacks of widgets come and go, and a pool that waits for work does not run.
    """
    if not request.has_started:
        return []  # most cells; looking through 10,000 tasks of others would cost each of them 3 ms
    session = lane.session
    tasks = [
        f"{task.id} ({task.name})"
        for task in session.tasks.values()
        if task.request is request and not task.is_callback
    ]
    tasks += [
        f"{task.get_name()} ({task.get_coro().__qualname__})"
        for task, starter in list(session.foreign_tasks.items())
        if starter is request and not task.done()
    ]
    threads = [
        f"thread {thread.name}"
        for thread in (threading.enumerate() if started_by else ())
        if not thread.daemon and started_by.get(thread) is request and not _manages_an_idle_pool(thread)
    ]
    return tasks + threads


def _manages_an_idle_pool(thread: object) -> bool:
    """Whether it only looks after a pool of processes (concurrent.futures', loky's, so joblib's) without work."""
    return type(thread).__module__.endswith(_POOLS_OF_PROCESSES) and not getattr(thread, "pending_work_items", True)


def leftovers_line(lane: ShellLane, request: Request) -> str:
    """The line that says so; empty if there is nothing."""
    names = leftovers(lane, request)
    if not names:
        return ""
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"Still running: {', '.join(names[:_MOST])}{more}. %tasks shows what runs, %cancel ends tasks.\n"


def what_will_not_end(kernel: Kernel[Any]) -> str:
    """The cells, tasks and threads that run although all were cancelled, and where each one is; from any thread."""
    found: list[str] = []
    for node in walk(tree_of(kernel, stacks=True)):
        if node["kind"] not in ("cell", "task", "thread", "subshell") or any(map(_runs, walk_below(node))):
            continue  # what is in it is named
        name = f"`{node['name']}`" if node["kind"] == "cell" else f"{node['id']} ({node['name']})"
        last = node["where"][-1] if node["where"] else None
        at = f" at {place(last)}" if last is not None else ""
        found.append(f"{node['kind']} {name}{at}")
    more = f" and {len(found) - _MOST} more" if len(found) > _MOST else ""
    return ", ".join(found[:_MOST]) + more or "threads of user code"


def _runs(node: Node) -> bool:
    return node["kind"] in ("cell", "task")

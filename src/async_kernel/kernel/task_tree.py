"""The tree of what runs: cells, nurseries, tasks, threads and subshells, and where each of them waits.

``task_tree_request``, an extension of the messaging protocol on the control channel, and ``%tasks`` show it. It is
made in whatever thread asks, also while the shell's loop is blocked: stacks are read from outside. That is a look,
not a lock: something may end while it is looked at.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from async_kernel.common import PACKAGE_FOLDER
from async_kernel.kernel.blocked import blocked
from async_kernel.kernel.stacks import function_of, thread_stack, where_it_waits
from async_kernel.protocol.errors import RequestError
from async_kernel.protocol.fields import field
from async_kernel.shell.cells.native import is_running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from async_kernel.kernel.kernel import Kernel
    from async_kernel.kernel.shell_lane import ShellLane
    from async_kernel.protocol.request import Request
    from async_kernel.shell.cells.cell import Cell
    from async_kernel.shell.cells.task import Task
    from async_kernel.typing import Content

__all__ = ["Node", "first_line", "task_tree", "tree_of", "walk", "walk_below"]

Node = dict[str, Any]


async def task_tree(kernel: Kernel[Any], request: Request) -> Content:
    """task_tree_request: ``stacks`` (bool) asks for where things wait, ``subtree`` (str) for one node only."""
    stacks = field(request, "stacks", bool, default=False)
    wanted = field(request, "subtree", str, default=None)
    tree = tree_of(kernel, stacks=stacks)
    if wanted is not None:
        found = next((node for node in walk(tree) if node["id"] == wanted), None)
        if found is None:
            msg = f"there is no {wanted!r} in the tree: it never was, or it has ended"
            raise RequestError(msg)
        tree = found
    return {"status": "ok", "blocked": await blocked(kernel), "tree": tree}


def tree_of(kernel: Kernel[Any], *, stacks: bool) -> Node:
    """The tree as nodes ``{"id", "kind", "name", "state", "age_s", "deadline_s", "cell", "where", "children"}``."""
    lanes = kernel.lanes()
    children = [_lane(kernel, lane, stacks=stacks) for lane in lanes]
    return _node("kernel", "kernel", "kernel", "running", age=time.monotonic() - kernel.began, children=children)


def _node(
    node_id: str,
    kind: str,
    name: str,
    state: str,
    *,
    age: float = 0.0,
    deadline: float | None = None,
    cell: str | None = None,
    where: list[Node] | None = None,
    children: list[Node] | None = None,
) -> Node:
    node: Node = {"id": node_id, "kind": kind, "name": name, "state": state, "age_s": round(age, 3)}
    node["deadline_s"] = deadline
    if cell is not None:
        node["cell"] = cell
    return node | {"where": where or [], "children": children or []}


def _lane(kernel: Kernel[Any], lane: ShellLane, *, stacks: bool) -> Node:
    kind = "lane" if lane is kernel.main else "subshell" if lane in kernel.subshells.lanes() else "thread"
    name = lane.queue.name
    if not lane.is_open:
        return _node(name, kind, name, "queued")
    below = _Below(lane, stacks=stacks)
    cells = [_cell(cell, lane, below, stacks=stacks) for cell in list(lane.cells)]
    queued = [_queued(request) for request in lane.waiting()]
    tasks = [_task(task, below, stacks=stacks) for task in list(lane.session.tasks.values())]
    tasks += below.strays()
    nursery = _node(f"{name} nursery", "nursery", "session nursery", "running", children=tasks)
    blocks = any(each["state"] == "blocking" for cell in (*cells, *tasks) for each in walk(cell))
    state = "blocking" if blocks else "running" if cells else "awaiting"
    return _node(name if kind != "lane" else "main", kind, name, state, children=[*cells, *queued, nursery])


def _cell(cell: Cell, lane: ShellLane, below: _Below, *, stacks: bool) -> Node:
    state: str = cell.state
    on_its_thread = thread_stack(lane) if stacks and state == "blocking" else None
    if state == "blocking" and threading.get_ident() == lane.token.thread_id:
        state = "running"  # it is the one that looks
    own = list(cell.children.tasks.values()) if cell.children is not None else []
    children = [_task(task, below, stacks=stacks) for task in own]
    if children:
        children = [_node(f"{cell.request.msg_id} nursery", "nursery", "cell nursery", "running", children=children)]
    return _node(
        cell.request.msg_id,
        "cell",
        first_line(cell.request),
        state,
        age=cell.elapsed,
        deadline=max(0.0, cell.timeout - cell.elapsed) if cell.timeout else None,
        cell=cell.request.msg_id,
        where=on_its_thread or (where_it_waits(cell.native) if stacks else []),
        children=[*children, *below.tasks_of(cell.native)],
    )


def _queued(request: Request) -> Node:
    age = time.monotonic() - request.received
    return _node(request.msg_id, "cell", first_line(request), "queued", age=age, cell=request.msg_id)


def first_line(request: Request) -> str:
    """What a cell is called: the first line of its code that does not say how it runs."""
    code = request.content.get("code")
    lines = [line for line in code.splitlines() if line.strip()] if isinstance(code, str) else []
    if len(lines) > 1 and lines[0].startswith(("# task", "# thread", "%%")):
        lines = lines[1:]  # how it is run is no name: many cells have the same
    return lines[0].strip()[:80] if lines else ""


def _task(task: Task, below: _Below, *, stacks: bool) -> Node:
    state = task.state
    return _node(
        task.id,
        "task",
        task.name,
        state,
        age=time.monotonic() - task.began,
        cell=task.request.msg_id if task.request else None,
        where=[] if not stacks else thread_stack(below.lane) if state == "blocking" else where_it_waits(task.native),
        children=below.tasks_of(task.native),
    )


class _Below:
    """The tasks that cells and tasks have started past the nurseries of this kernel, with the async library itself.

    trio says which nurseries a task has open. asyncio says nothing: there the session has noted who made a task.
    """

    def __init__(self, lane: ShellLane, *, stacks: bool) -> None:
        self.lane = lane
        self._stacks = stacks
        self._session = lane.session
        self._made: dict[Any, list[Any]] = {}
        for task, maker in list(lane.session.made_by.items()):
            self._made.setdefault(maker, []).append(task)
        self._seen: set[Any] = {task.native for task in list(lane.session.tasks.values())}
        for cell in list(lane.cells):
            self._seen.add(cell.native)
            if cell.children is not None:
                self._seen.update(task.native for task in list(cell.children.tasks.values()))

    def tasks_of(self, native: Any) -> list[Node]:
        """The nodes below a task."""
        nurseries = getattr(native, "child_nurseries", None)
        if nurseries is None:
            return [self._node(task) for task in self._made.get(native, ()) if self._is_new(task)]
        return [
            _node(
                f"nursery-{id(nursery):x}",
                "nursery",
                "nursery",
                "running",
                children=[self._node(task) for task in list(nursery.child_tasks) if self._is_new(task)],
            )
            for nursery in list(nurseries)
        ]

    def strays(self) -> list[Node]:
        """Those of asyncio whose maker has ended."""
        return [self._node(task) for task in list(self._session.made_by) if self._is_new(task)]

    def _is_new(self, task: Any) -> bool:
        if task in self._seen or function_of(task).co_filename.startswith(PACKAGE_FOLDER):
            return False
        self._seen.add(task)
        return True

    def _node(self, task: Any) -> Node:
        name = task.get_name() if hasattr(task, "get_name") else f"task-{id(task):x}"
        request = self._session.foreign_tasks.get(task)
        runs = is_running(task)
        here = runs and threading.get_ident() == self.lane.token.thread_id  # it is the one that looks
        where = [] if not self._stacks else thread_stack(self.lane) if runs else where_it_waits(task)
        return _node(
            name,
            "task",
            function_of(task).co_qualname,
            "running" if here else "blocking" if runs else "awaiting",
            cell=request.msg_id if request is not None else None,
            where=where,
            children=self.tasks_of(task),
        )


def walk(node: Node) -> Iterator[Node]:
    """A node and all below it."""
    yield node
    yield from walk_below(node)


def walk_below(node: Node) -> Iterator[Node]:
    """All nodes below one."""
    for child in node["children"]:
        yield from walk(child)

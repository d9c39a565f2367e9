"""How a cell asks to be run: in its place in the queue, as a task beside it, or in a thread.

The first of these that says something counts: ``run_mode`` in the request's metadata, a tag of the cell (``task``,
``thread``), the first line of the code (``# task``, ``# thread``, ``# thread name=worker backend=asyncio``). A silent
request is a task if it comes while a cell awaits and none is queued: who asks that way shall not wait for hours.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from async_kernel.protocol.errors import RequestError
from async_kernel.protocol.tags import MODE_LINE, tags_in
from async_kernel.protocol.times import seconds
from async_kernel.typing import Backend

if TYPE_CHECKING:
    from async_kernel.protocol.request import Request

__all__ = ["RunMode", "run_mode_of", "tags_of", "timeout_of"]

_MODES = ("task", "thread")
_OPTIONS = ("name", "backend")
_DEADLINE_MAGICS = ("%%deadline ", "%%timeout ")


class RunMode(NamedTuple):
    """How to run a cell.

    Attributes:
        kind: ``queue`` is the serial lane.
        name: of the thread; cells that name the same one share its loop. None: a thread for this cell alone.
        backend: of the thread's loop; None: the kernel's.
    """

    kind: Literal["queue", "task", "thread"] = "queue"
    name: str | None = None
    backend: Backend | None = None


QUEUE = RunMode()


def tags_of(request: Request) -> list[str]:
    """The tags of the cell, wherever its client put them."""
    return tags_in(request.metadata)


def run_mode_of(request: Request, *, while_one_awaits: bool = False) -> RunMode:
    """How the cell of an execute_request asks to be run.

    Args:
        request: the execute_request.
        while_one_awaits: whether a cell awaits, and this would be the next.

    Raises:
        RequestError: if it asks for something that does not exist; the message names it.
    """
    wish: Any = request.metadata.get("run_mode")
    if wish is not None:
        if wish not in ("queue", *_MODES):
            msg = f"run_mode is {wish!r}; it must be 'queue', 'task' or 'thread'"
            raise RequestError(msg)
        return RunMode(wish)
    for tag in tags_of(request):
        if tag in _MODES:
            return RunMode(tag)
    code: Any = request.content.get("code")
    mode = QUEUE
    if isinstance(code, str) and code.startswith("#"):
        mode = _of_first_line(code.split("\n", 1)[0])
    if mode is QUEUE and while_one_awaits and request.content.get("silent") is True:
        return RunMode("task")
    return mode


def _of_first_line(line: str) -> RunMode:
    try:
        words = shlex.split(line.lstrip("# "))
    except ValueError:
        return QUEUE
    if not words or words[0] not in _MODES or not line.startswith(("# ", "#task", "#thread")):
        return QUEUE
    kind, options = words[0], words[1:]
    if not options:
        return RunMode(kind)
    if any("=" not in option for option in options):
        return QUEUE  # a comment that happens to begin with the word
    values = dict(option.split("=", 1) for option in options)
    if unknown := [name for name in values if name not in _OPTIONS]:
        msg = f"{line!r}: there is no option {unknown[0]!r}; it can have name= and backend="
        raise RequestError(msg)
    if kind == "task":
        msg = f"{line!r}: a task takes no options; a thread does"
        raise RequestError(msg)
    if not values.get("name", "a name"):
        msg = f"{line!r}: name is empty"
        raise RequestError(msg)
    backend = values.get("backend")
    if backend is not None and backend not in set(Backend):
        msg = f"{line!r}: backend must be 'trio' or 'asyncio'"
        raise RequestError(msg)
    return RunMode("thread", values.get("name"), None if backend is None else Backend(backend))


def timeout_of(request: Request, default: float) -> float:
    """The seconds that the cell may take; 0 is for ever.

    Raises:
        RequestError: if the metadata or the tag is no time.
    """
    wish: Any = request.metadata.get("timeout")
    if wish is not None:
        return seconds(wish, what="timeout")
    for tag in tags_of(request):
        name, equals, value = tag.partition("=")
        if equals and name.strip() == "timeout":
            return seconds(value, what=f"the tag {tag!r}")
    code: Any = request.content.get("code")
    if isinstance(code, str):
        mode_line = MODE_LINE.match(code)
        line = code[mode_line.end() if mode_line else 0 :].split("\n", 1)[0]
        if line.startswith(_DEADLINE_MAGICS):
            return seconds(line.partition(" ")[2], what="the deadline")
    return default

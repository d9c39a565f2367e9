"""``asyncio.create_task`` in cells: such tasks are supervised like those of the session nursery.

They outlive their cell and end with the kernel, which cancels them and waits for them while their output can still be
sent. One that fails while nobody waits for it is shown in the cell that started it: at once, also if a variable holds
it. asyncio itself would speak of it only when that is gone.

Asked of asyncio by a task factory and an exception handler of the loop, which are there as long as the session and
hand on everything that was not started by a cell. Tasks of task groups have an owner already.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio

from async_kernel.platforms.threads import HAVE_THREADS
from async_kernel.protocol.request import current_request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, MutableMapping

    from async_kernel.protocol.request import Request

__all__ = ["supervised"]

TURNS = 4
"""Turns of the loop in which whoever waits for a task, be it through ``asyncio.wait``, takes its result."""

_ANYIO = str(Path(anyio.__file__).parent)


@asynccontextmanager
async def supervised(
    failed: Callable[[BaseException, Request | None], object],
    started_by: MutableMapping[Any, Request],
    made_by: dict[Any, Any],
) -> AsyncGenerator[None]:
    """While open, the tasks that cells start with asyncio belong to the session.

    Args:
        failed: told of an exception that nobody retrieved, with the request of the cell that started the task.
        started_by: is given each task with that request; holds its keys weakly.
        made_by: is given every task that runs in a cell's name, also those of task groups, with the task that made it.
    """
    loop = asyncio.get_running_loop()
    factory_before, handler_before = loop.get_task_factory(), loop.get_exception_handler()

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any) -> Any:
        if factory_before is None:
            made: Any = asyncio.Task(coro, loop=loop, **kwargs)
        else:
            made = factory_before(loop, coro, **kwargs)
        note(made, coro)
        return made

    def note(made: Any, coro: Any) -> None:
        request = current_request.get()
        if request is not None and _is_task(made):
            task = cast("asyncio.Task[Any]", made)
            made_by[task] = asyncio.current_task()
            task.add_done_callback(made_by.pop)
            if not _has_owner(coro):
                started_by[task] = request
                request.has_started = True
                task.add_done_callback(partial(_look_soon, TURNS, partial(_tell, failed, request)))

    def handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        task: Any = context.get("task") or context.get("future")
        exc = context.get("exception")
        request = started_by.get(task) if _is_task(task) else None
        if request is not None and exc is not None:
            failed(exc, request)
        elif handler_before is not None:
            handler_before(loop, context)
        else:
            loop.default_exception_handler(context)

    unwatch = _use_factory(loop, factory) if HAVE_THREADS else _watch(loop, note)
    loop.set_exception_handler(handler)
    try:
        yield
    finally:
        unwatch()
        left = [task for task in made_by if task in started_by and task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        loop.set_exception_handler(handler_before)


def _use_factory(loop: asyncio.AbstractEventLoop, factory: Any) -> Callable[[], object]:
    """Make the loop's tasks; returns what gives that back."""
    before = loop.get_task_factory()
    loop.set_task_factory(factory)
    return lambda: loop.set_task_factory(before)


def _watch(loop: Any, note: Callable[[Any, Any], object]) -> Callable[[], object]:  # pragma: no cover -- a browser
    """See the tasks that the loop makes: Pyodide's fails when another makes them. Returns what gives that back."""
    create_task = loop.create_task

    def noted(coro: Any, **kwargs: Any) -> Any:
        made = create_task(coro, **kwargs)
        note(made, coro)
        return made

    loop.create_task = noted
    return lambda: delattr(loop, "create_task")


def _look_soon(turns: int, look: Callable[[asyncio.Task[Any]], object], task: asyncio.Task[Any]) -> None:
    """Call ``look(task)`` some turns of the loop later."""
    if turns:
        task.get_loop().call_soon(_look_soon, turns - 1, look, task)
    else:
        look(task)


def _tell(failed: Callable[[BaseException, Request | None], object], request: Request, task: asyncio.Task[Any]) -> None:
    """Tell of the failure of a task for whose result nobody has asked."""
    if not task.cancelled() and _is_unseen(task) and (exc := task.exception()) is not None:
        failed(exc, request)


def _is_unseen(task: asyncio.Task[Any]) -> bool:
    """Whether it has failed, and nobody has asked for its exception, as asyncio sees it."""
    return task._log_traceback  # noqa: SLF001 -- what is public counts as asking


def _is_task(made: Any) -> bool:
    return isinstance(made, asyncio.Task)


def _has_owner(coro: Any) -> bool:
    """Whether anyio makes the task: it belongs to a task group then, which waits for it.

    anyio's public functions are anybody's: ``asyncio.create_task(anyio.sleep(1))``.
    """
    code = getattr(coro, "cr_code", None)
    return code is not None and code.co_filename.startswith(_ANYIO) and code.co_name.startswith("_")

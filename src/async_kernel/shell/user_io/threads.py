"""Work that user code gives to threads belongs to the cell that gave it, so that its output arrives there.

While a kernel lives, ``threading.Thread.start`` notes the request of the context that calls it, if there is one; the
thread begins with it. ``ThreadPoolExecutor.submit`` does the same for each piece of work, whoever's cell the worker
thread was started in. ``nursery`` and ``session`` are those of the cell, too: their tasks run in its loop. Threads and
work of the surrounding program are not touched.
"""

from __future__ import annotations

import threading
from concurrent.futures import thread as pools
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from async_kernel.protocol.request import current_request
from async_kernel.shell.background.names import current_session

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from async_kernel.protocol.request import Request
    from async_kernel.shell.background.session import Session

__all__ = ["started_by", "threads_inherit_cells"]

started_by: WeakKeyDictionary[threading.Thread, Request] = WeakKeyDictionary()
"""Threads that cells have started, and the request of each one's cell."""


@contextmanager
def threads_inherit_cells() -> Generator[None]:
    """While open, a thread started in a cell and work that it submits to a pool of threads run as part of that cell."""
    original_start = threading.Thread.start
    original_submit = pools.ThreadPoolExecutor.submit

    @wraps(original_start)
    def start(self: threading.Thread) -> None:
        request = current_request.get()
        if request is not None and not _is_worker(self):
            _adopt(self, request.lasting)
        original_start(self)

    @wraps(original_submit)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        request = current_request.get()
        if request is None:
            return original_submit(self, fn, *args, **kwargs)
        return original_submit(self, _work_for, request.lasting, current_session.get(), fn, args, kwargs)

    threading.Thread.start = start
    pools.ThreadPoolExecutor.submit = submit
    try:
        yield
    finally:
        if threading.Thread.start is start:
            threading.Thread.start = original_start
        if pools.ThreadPoolExecutor.submit is submit:
            pools.ThreadPoolExecutor.submit = original_submit


def _is_worker(thread: threading.Thread) -> bool:
    """Whether it is a pool's: it will do the work of other cells, too, and of nobody's."""
    target = getattr(thread, "_target", None)
    makers = type(thread).__module__, type(getattr(target, "__self__", None)).__module__
    return makers[0].startswith("anyio.") or makers[1].startswith("trio.") or target is getattr(pools, "_worker", 0)


def _work_for(
    request: Request, session: Session | None, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    tokens = current_request.set(request), current_session.set(session)
    try:
        return fn(*args, **kwargs)
    finally:
        current_request.reset(tokens[0])
        current_session.reset(tokens[1])


def _adopt(thread: threading.Thread, request: Request) -> None:
    run, session = thread.run, current_session.get()

    def run_for_cell() -> None:
        del thread.run  # the method is back, and no reference cycle is left
        current_request.set(request)
        current_session.set(session)
        run()

    thread.run = run_for_cell
    started_by[thread] = request
    request.has_started = True

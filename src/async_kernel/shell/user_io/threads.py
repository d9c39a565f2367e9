"""Threads that user code starts belong to the cell that started them, so that their output arrives there.

While a kernel lives, ``threading.Thread.start`` notes the request of the context that calls it, if there is one; the
thread begins with it. Threads of the surrounding program are not touched.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from async_kernel.protocol.request import current_request

if TYPE_CHECKING:
    from collections.abc import Generator

    from async_kernel.protocol.request import Request

__all__ = ["threads_inherit_cells"]


@contextmanager
def threads_inherit_cells() -> Generator[None]:
    """While open, a thread started in a cell runs as part of that cell."""
    original = threading.Thread.start

    def start(self: threading.Thread) -> None:
        request = current_request.get()
        if request is not None:
            _adopt(self, request)
        original(self)

    threading.Thread.start = start
    try:
        yield
    finally:
        if threading.Thread.start is start:
            threading.Thread.start = original


def _adopt(thread: threading.Thread, request: Request) -> None:
    run = thread.run

    def run_for_cell() -> None:
        del thread.run  # the method is back, and no reference cycle is left
        current_request.set(request)
        run()

    thread.run = run_for_cell

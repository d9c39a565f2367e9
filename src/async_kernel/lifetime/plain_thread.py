"""A thread that belongs to a ``with`` block, where there is no loop yet that could own it.

While a kernel starts, a thread answers clients before anyio and trio are imported. All other threads belong to a task:
see :mod:`~async_kernel.lifetime.owned_thread`. This imports nothing but ``threading``.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["plain_thread"]


@contextmanager
def plain_thread(fn: Callable[[], object], *, name: str, end: Callable[[], object]) -> Generator[Callable[[], None]]:
    """Run ``fn()`` in a new thread; leaving the block asks it to end and joins it.

    Args:
        fn: what the thread does.
        name: of the thread.
        end: asks ``fn`` to return soon; called in the block's thread, once.

    Yields:
        a function that ends and joins the thread before the block does; idempotent.

    Raises:
        BaseException: what ``fn`` raised, where the thread is joined.
    """
    failures: list[BaseException] = []

    def work() -> None:
        try:
            fn()
        except BaseException as exc:  # noqa: BLE001 -- raised where the thread is joined
            failures.append(exc)

    thread = threading.Thread(target=work, name=name, daemon=False)  # noqa: TID251 -- see the module
    thread.pydev_do_not_trace = True  # pyright: ignore[reportAttributeAccessIssue] -- pydevd looks for it
    thread.start()
    ended = False

    def join() -> None:
        nonlocal ended
        if not ended:
            ended = True
            end()
            thread.join()
            if failures:
                raise failures.pop()

    try:
        yield join
    finally:
        join()

"""Running something for as long as the loop lives, when there is no nursery at hand to own it.

The owner is the loop itself: trio's system nursery, or the asyncio loop (which holds tasks only weakly, so a reference
is kept here until the task ends). Both cancel it when the loop ends. An exception goes to the given callback, which is
the task's only way to tell anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sniffio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["run_in_background"]

_asyncio_tasks: set[Any] = set()


def run_in_background(
    fn: Callable[[], Awaitable[object]], failed: Callable[[BaseException], object], *, name: str
) -> None:
    """Start ``fn()`` as a task of the running loop.

    Args:
        fn: called and awaited.
        failed: called in the loop with the exception that ended it, a cancellation included.
        name: of the task.
    """

    async def supervised() -> None:
        try:
            await fn()
        except Exception as exc:  # noqa: BLE001 -- handed on
            failed(exc)
        except BaseException as exc:
            failed(exc)
            raise

    if sniffio.current_async_library() == "trio":
        import trio  # noqa: PLC0415 -- a browser has none

        trio.lowlevel.spawn_system_task(supervised, name=name)
    else:
        import asyncio  # noqa: PLC0415 -- only where it runs

        task = asyncio.get_running_loop().create_task(supervised(), name=name)
        _asyncio_tasks.add(task)
        task.add_done_callback(_asyncio_tasks.discard)

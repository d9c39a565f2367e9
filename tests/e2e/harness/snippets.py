"""Code for cells that does the same on either backend."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Snippets:
    """Code of one backend.

    Attributes:
        wait_forever: an awaitable that never ends.
        sleep: an awaitable of 10 ms.
        busy_child: statements of a cell whose nursery has a child that prints ``ready`` and blocks for ever.
        start_background: a statement that starts ``work``, a function without arguments, in the background.
    """

    wait_forever: str
    sleep: str
    busy_child: str
    start_background: str


_BUSY = """
async def busy():
    print("ready", flush=True)
    while True:
        pass
"""

SNIPPETS = {
    "trio": Snippets(
        wait_forever="__import__('trio').sleep_forever()",
        sleep="__import__('trio').sleep(0.01)",
        busy_child=f"import trio\n{_BUSY}\nasync with trio.open_nursery() as children:\n    children.start_soon(busy)",
        start_background="nursery.start_soon(work)",
    ),
    "asyncio": Snippets(
        wait_forever="__import__('asyncio').sleep(3600)",
        sleep="__import__('asyncio').sleep(0.01)",
        busy_child=f"import asyncio\n{_BUSY}\n"
        "async with asyncio.TaskGroup() as children:\n    children.create_task(busy())",
        start_background="background = __import__('asyncio').create_task(work())",
    ),
}

"""Hosts without a toolkit."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import sniffio

from async_kernel.event_loop.host import Host

if TYPE_CHECKING:
    from collections.abc import Callable


class QueueHost(Host):
    """Its main loop works through a queue."""

    def __init__(self, note: str = "") -> None:
        self.note = note
        self.calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()

    def run_sync_soon_threadsafe(self, fn: Callable[[], object]) -> None:
        self.calls.put(fn)

    def mainloop(self) -> None:
        while not self.ended:
            self.calls.get()()


class BrokenHost(QueueHost):
    """Its main loop always fails."""

    fails = 0

    def mainloop(self) -> None:
        self.fails += 1
        msg = f"{self.fails}"
        raise ZeroDivisionError(msg)


async def everything(value: int) -> tuple[Any, ...]:
    """Wait for time and for a thread, and say where."""
    await anyio.sleep(0.001)
    value = await anyio.to_thread.run_sync(lambda: value)
    host = Host.current()
    assert isinstance(host, QueueHost)
    return value, sniffio.current_async_library(), host.note


async def wait() -> None:
    await anyio.sleep_forever()

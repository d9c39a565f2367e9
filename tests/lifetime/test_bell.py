"""Waking a task from other threads: with both bells, in both loops."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import pytest

from async_kernel.lifetime.bell import TokenBell, make_bell
from async_kernel.lifetime.loop_token import current_loop_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from async_kernel.lifetime.bell import Bell

pytestmark = pytest.mark.anyio


def best() -> Bell:
    return make_bell(current_loop_token())


def portable() -> Bell:
    return TokenBell(current_loop_token())


BELLS = pytest.mark.parametrize("make", [best, portable])


def descriptors() -> int:
    """How many are open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def waits(bell: Bell) -> bool:
    """Whether a wait for it does not return by itself."""
    returned: list[bool] = []
    async with anyio.create_task_group() as tasks:

        async def wait() -> None:
            await bell.wait()
            returned.append(True)

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await anyio.to_thread.run_sync(threading.get_ident)  # a turn of the loop in which it looks at its descriptors
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    return not returned


@BELLS
async def test_a_ring_from_another_thread_ends_the_wait(make: Callable[[], Bell]) -> None:
    with closing(make()) as bell, anyio.fail_after(30):
        for _ in range(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.to_thread.run_sync, bell.ring)
                await bell.wait()


@BELLS
async def test_a_ring_before_the_wait_ends_it(make: Callable[[], Bell]) -> None:
    with closing(make()) as bell, anyio.fail_after(30):
        await anyio.to_thread.run_sync(bell.ring)
        await bell.wait()


@BELLS
async def test_many_rings_are_one(make: Callable[[], Bell]) -> None:
    with closing(make()) as bell, anyio.fail_after(30):
        for _ in range(3):
            bell.ring()
        await bell.wait()
        assert await waits(bell)


@BELLS
async def test_a_cancelled_wait_loses_no_ring(make: Callable[[], Bell]) -> None:
    with closing(make()) as bell, anyio.fail_after(30):
        assert await waits(bell)
        bell.ring()
        await bell.wait()


@BELLS
async def test_after_its_end_a_ring_does_nothing(make: Callable[[], Bell]) -> None:
    bell = make()
    bell.close()
    bell.close()
    bell.ring()


@pytest.mark.skipif(sys.platform != "linux", reason="eventfd is Linux's")
async def test_a_ring_in_the_moment_of_waking_does_not_silence_the_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    read = os.eventfd_read
    with closing(best()) as bell, anyio.fail_after(30):

        def read_interrupted(descriptor: int) -> int:
            value = read(descriptor)
            bell.ring()  # as a signal handler's would
            return value

        with monkeypatch.context() as patched:
            patched.setattr(os, "eventfd_read", read_interrupted)
            bell.ring()
            await bell.wait()
        bell.ring()
        await bell.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="eventfd is Linux's")
@BELLS
async def test_a_closed_bell_leaves_no_descriptor(make: Callable[[], Bell]) -> None:
    before = descriptors()
    make().close()
    assert descriptors() == before


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_loop_that_watches_no_descriptors_has_a_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    def add_reader(*_: object) -> None:
        raise NotImplementedError

    before = descriptors()
    monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", add_reader)
    with closing(best()) as bell, anyio.fail_after(30):
        bell.ring()
        await bell.wait()
        assert (type(bell), descriptors()) == (TokenBell, before)


@BELLS
async def test_a_ring_that_comes_together_with_a_cancellation_does_not_silence_the_bell(
    make: Callable[[], Bell],
) -> None:
    with closing(make()) as bell, anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bell.wait)
            await anyio.wait_all_tasks_blocked()
            bell.ring()
            tasks.cancel_scope.cancel()
        bell.ring()
        await bell.wait()

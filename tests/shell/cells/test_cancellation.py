"""Cancellations and errors are told apart."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from async_kernel.shell.cells.cancellation import being_cancelled, first_cancellation, is_cancellation

pytestmark = pytest.mark.anyio


async def cancelled() -> BaseException:
    """The cancellation of a scope that has ended."""
    caught: list[BaseException] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep(1)
        except BaseException as exc:
            caught.append(exc)
            raise
    return caught[0]


async def test_a_cancellation_is_found_in_groups(anyio_backend: str) -> None:
    exc = await cancelled()
    assert is_cancellation(exc)
    assert first_cancellation(exc) is exc
    group = BaseExceptionGroup("outer", [ValueError(), BaseExceptionGroup("inner", [exc])])
    assert first_cancellation(group) is exc
    assert first_cancellation(ExceptionGroup("errors", [ValueError()])) is None
    assert not is_cancellation(KeyboardInterrupt())


async def test_a_task_in_a_cancelled_scope_is_being_cancelled(anyio_backend: str) -> None:
    assert not being_cancelled()
    with anyio.CancelScope() as scope:  # noqa: ASYNC100 -- nothing waits here
        assert not being_cancelled()
        scope.cancel()
        assert being_cancelled()
        with anyio.CancelScope(shield=True):  # noqa: ASYNC100 -- as above
            assert not being_cancelled()
    assert not being_cancelled()


async def test_an_asyncio_task_that_somebody_cancels_is_being_cancelled() -> None:
    seen: list[Any] = []

    async def task() -> None:
        try:
            await asyncio.sleep(9)
        except asyncio.CancelledError:
            seen.append(being_cancelled())

    async def main() -> None:
        running = asyncio.create_task(task())
        await asyncio.sleep(0)
        running.cancel()
        await running
        seen.append(being_cancelled())

    await anyio.to_thread.run_sync(asyncio.run, main())
    assert seen == [True, False]


def test_without_a_loop_nothing_is_being_cancelled() -> None:
    assert not being_cancelled()

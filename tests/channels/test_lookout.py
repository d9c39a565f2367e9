from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from async_kernel.channels.lookout import LOOK_S, Lookout

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.trio


@asynccontextmanager
async def a_lookout() -> AsyncIterator[tuple[Lookout, list[float]]]:
    """One that serves, and the times at which it has woken its sleeper."""
    lookout, wakes = Lookout(), list[float]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lookout.serve)
        await trio.testing.wait_all_tasks_blocked()
        lookout.sleep(lambda: wakes.append(trio.current_time()))
        yield lookout, wakes
        nursery.cancel_scope.cancel()


async def test_it_looks_once_when_something_is_expected(autojump_clock: object) -> None:
    async with a_lookout() as (lookout, wakes):
        began = trio.current_time()
        lookout.expect()
        coming = lookout.coming
        await trio.sleep(3600)
    assert (coming, wakes) == (True, [pytest.approx(began + LOOK_S)])


async def test_it_does_not_look_again_for_what_was_seen(autojump_clock: object) -> None:
    async with a_lookout() as (lookout, wakes):
        lookout.expect()
        lookout.look()
        coming = lookout.coming
        await trio.sleep(3600)
    assert (coming, wakes) == (False, [])


async def test_it_looks_anew_for_each_request(autojump_clock: object) -> None:
    async with a_lookout() as (lookout, wakes):
        for _ in range(3):
            lookout.expect()
            await trio.sleep(3600)
            lookout.look()
            lookout.sleep(lambda: wakes.append(trio.current_time()))
    assert len(wakes) == 3


async def test_more_requests_do_not_put_it_off(autojump_clock: object) -> None:
    async with a_lookout() as (lookout, wakes):
        began = trio.current_time()
        for _ in range(10):
            lookout.expect()
            await trio.sleep(LOOK_S / 4)
    assert wakes[0] == pytest.approx(began + LOOK_S)


async def test_nothing_is_promised_while_the_owner_is_awake(autojump_clock: object) -> None:
    async with a_lookout() as (lookout, wakes):
        lookout.look()
        lookout.expect()
        coming = lookout.coming
        await trio.sleep(3600)
    assert (coming, wakes) == (False, [])


async def test_nothing_is_promised_before_it_serves(autojump_clock: object) -> None:
    lookout = Lookout()
    lookout.sleep(lambda: None)
    lookout.expect()
    assert not lookout.coming

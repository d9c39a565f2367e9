"""Whose cell the work of threads belongs to."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from async_kernel.protocol.request import Request, current_request
from async_kernel.shell.user_io.threads import started_by, threads_inherit_cells
from tests.fakes import request

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture(autouse=True)
def inheriting() -> Generator[None]:
    with threads_inherit_cells():
        yield


@contextmanager
def cell(of: Request) -> Generator[Request]:
    token = current_request.set(of)
    try:
        yield of
    finally:
        current_request.reset(token)


def in_a_thread() -> list[Request | None]:
    seen: list[Request | None] = []
    thread = threading.Thread(target=lambda: seen.append(current_request.get()))
    thread.start()
    thread.join()
    return seen


def test_a_thread_belongs_to_the_cell_that_starts_it() -> None:
    with cell(request("execute_request")) as mine:
        assert in_a_thread() == [mine]


def test_a_thread_of_the_program_belongs_to_nobody() -> None:
    assert in_a_thread() == [None]


def test_a_thread_of_a_thread_belongs_to_the_same_cell() -> None:
    seen: list[Request | None] = []
    with cell(request("execute_request")) as mine:
        thread = threading.Thread(target=lambda: seen.extend(in_a_thread()))
        thread.start()
        thread.join()
    assert seen == [mine]


def test_the_work_of_a_pool_belongs_to_the_cell_that_submits_it() -> None:
    with ThreadPoolExecutor(1) as pool:
        with cell(request("execute_request")) as first:
            futures = [pool.submit(current_request.get)]
        with cell(request("execute_request")) as second:
            futures += [pool.submit(current_request.get)]
            mapped = pool.map(lambda _: current_request.get(), range(2))
        futures += [pool.submit(current_request.get)]
        assert [future.result() for future in futures] == [first, second, None]
        assert list(mapped) == [second, second]


@pytest.mark.anyio
async def test_an_idle_worker_of_anyio_is_nobodys() -> None:
    with cell(request("execute_request")) as mine:
        assert await anyio.to_thread.run_sync(current_request.get) is mine
    assert mine not in started_by.values()


def test_errors_of_the_work_are_its_futures() -> None:
    with cell(request("execute_request")), ThreadPoolExecutor(1) as pool:
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 / 0).result()
        with pytest.raises(TypeError):
            pool.submit()  # type: ignore[call-arg]


def test_all_is_given_back() -> None:
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit
    with threads_inherit_cells():
        assert threading.Thread.start is not start
        assert ThreadPoolExecutor.submit is not submit
    assert threading.Thread.start is start
    assert ThreadPoolExecutor.submit is submit

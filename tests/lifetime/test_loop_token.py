from __future__ import annotations

import asyncio
import gc
import logging
import signal
import subprocess
import sys
import threading
import weakref
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.to_thread
import pytest
import sniffio

from async_kernel.lifetime.loop_token import LoopToken, Wake, context_for, current_loop_token, runs_here
from async_kernel.typing import Backend

pytestmark = pytest.mark.anyio
variable: ContextVar[str] = ContextVar("variable", default="the loop's own")


async def turn(token: LoopToken) -> None:
    """Return when all that was handed to the loop before has run."""
    turned = anyio.Event()
    token.call_soon(turned.set)
    await turned.wait()


async def test_it_says_which_loop_it_is() -> None:
    token = current_loop_token()
    assert (token.backend, token.thread_id) == (Backend(sniffio.current_async_library()), threading.get_ident())


async def test_there_is_one_for_each_loop() -> None:
    assert current_loop_token() is current_loop_token()


async def test_another_loop_has_another(anyio_backend: Any) -> None:
    here = current_loop_token()

    async def there() -> LoopToken:
        return current_loop_token()

    backend, options = anyio_backend
    other = await anyio.to_thread.run_sync(lambda: anyio.run(there, backend=backend, backend_options=options))
    assert other is not here


async def test_calls_from_another_thread_run_in_the_loop_in_order() -> None:
    token = current_loop_token()
    seen: list[tuple[int, int]] = []

    def hand_over() -> None:
        for number in range(100):
            assert token.call_soon(lambda n: seen.append((n, threading.get_ident())), number)

    await anyio.to_thread.run_sync(hand_over)
    await turn(token)
    assert seen == [(number, token.thread_id) for number in range(100)]


async def test_a_call_from_the_loop_itself_waits_its_turn() -> None:
    token = current_loop_token()
    seen: list[str] = []
    token.call_soon(seen.append, "called")
    seen.append("after call_soon")
    await turn(token)
    assert seen == ["after call_soon", "called"]


async def test_the_callers_context_is_left_behind() -> None:
    token = current_loop_token()
    seen: list[str] = []

    def hand_over() -> None:
        variable.set("the caller's")
        token.call_soon(lambda: seen.append(variable.get()))

    await anyio.to_thread.run_sync(hand_over)
    await turn(token)
    assert seen == ["the loop's own"]


async def test_what_is_called_finds_its_loop() -> None:
    token = current_loop_token()
    seen: list[object] = []
    token.call_soon(lambda: seen.extend([current_loop_token(), sniffio.current_async_library()]))
    await turn(token)
    assert seen == [token, token.backend]


async def test_the_callers_context_can_be_handed_over() -> None:
    token = current_loop_token()
    seen: list[tuple[str, str]] = []

    def hand_over() -> None:
        variable.set("the caller's")
        run = context_for(token.backend).run
        token.call_soon(run, lambda: seen.append((variable.get(), sniffio.current_async_library())))

    await anyio.to_thread.run_sync(hand_over)
    await turn(token)
    assert seen == [("the caller's", token.backend)]


async def test_a_failing_function_is_the_sinks() -> None:
    errors: list[BaseException] = []
    token = current_loop_token(errors.append)
    error = SystemExit("from a function")

    def fail() -> None:
        raise error

    token.call_soon(fail)
    await turn(token)
    assert errors == [error]


async def test_a_token_with_a_sink_is_not_shared() -> None:
    assert current_loop_token(lambda _: None) is not current_loop_token()


def test_without_a_sink_a_failure_is_logged(anyio_backend: Any, caplog: pytest.LogCaptureFixture) -> None:
    backend, options = anyio_backend
    error = ValueError("from a function")

    def fail() -> None:
        raise error

    async def main() -> str:
        token = current_loop_token()
        token.call_soon(fail)
        await turn(token)
        return "the loop went on"

    with caplog.at_level(logging.ERROR):
        result = anyio.run(main, backend=backend, backend_options=options)
    logger = {"trio": "async_kernel.lifetime", "asyncio": "asyncio"}[backend]
    logged = [(r.name, r.levelno, r.exc_info and r.exc_info[1]) for r in caplog.records]
    assert (result, logged) == ("the loop went on", [(logger, logging.ERROR, error)])


def test_an_ended_loop_says_no(anyio_backend: Any) -> None:
    backend, options = anyio_backend
    kept: list[Any] = []

    async def main() -> None:
        if backend == "asyncio":
            kept.append(asyncio.get_running_loop())
        kept.append(current_loop_token())

    anyio.run(main, backend=backend, backend_options=options)
    assert kept[-1].call_soon(pytest.fail, "ran in an ended loop") is False


def test_a_token_does_not_keep_its_loop(anyio_backend: Any) -> None:
    backend, options = anyio_backend
    if backend == "trio":
        pytest.skip("trio's own token holds only its entry queue")

    async def main() -> tuple[LoopToken, weakref.ref[Any]]:
        return current_loop_token(), weakref.ref(asyncio.get_running_loop())

    token, loop = anyio.run(main, backend=backend, backend_options=options)
    gc.collect()
    assert (loop(), token.call_soon(pytest.fail, "ran in an ended loop")) == (None, False)


def test_without_a_loop_there_is_none() -> None:
    with pytest.raises(RuntimeError):
        current_loop_token()


async def test_tasks_and_what_the_loop_calls_run_here() -> None:
    token = current_loop_token()
    seen: list[bool] = [runs_here(token)]
    token.call_soon(lambda: seen.append(runs_here(token)))
    await turn(token)
    seen.append(await anyio.to_thread.run_sync(runs_here, token))
    assert seen == [True, True, False]


def test_nothing_runs_here_between_loops(anyio_backend: Any) -> None:
    backend, options = anyio_backend

    async def main() -> LoopToken:
        return current_loop_token()

    assert runs_here(anyio.run(main, backend=backend, backend_options=options)) is False


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
async def test_it_works_in_a_signal_handler() -> None:
    token = current_loop_token()
    called = anyio.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: token.call_soon(called.set))
    try:
        signal.raise_signal(signal.SIGUSR1)
        await called.wait()
    finally:
        signal.signal(signal.SIGUSR1, before)


async def test_many_wakes_are_one() -> None:
    calls: list[int] = []
    token = current_loop_token()
    wake = Wake(token, lambda: calls.append(threading.get_ident()))

    def wake_often() -> None:
        # Bounded by the loop: it is held while this runs.
        for _ in range(1000):
            wake.set()

    token.call_soon(wake_often)
    await turn(token)
    await turn(token)
    assert calls == [token.thread_id]


async def test_a_wake_inside_the_woken_is_another() -> None:
    calls: list[int] = []
    token = current_loop_token()

    def woken() -> None:
        calls.append(len(calls))
        if len(calls) < 3:
            wake.set()

    wake = Wake(token, woken)
    wake.set()
    for _ in range(3):
        await turn(token)
    assert calls == [0, 1, 2]


async def test_no_wake_is_lost_between_threads() -> None:
    """What was put before a wake is seen by the woken, whatever the threads' order."""
    token = current_loop_token()
    put: list[int] = []
    seen = 0
    all_seen = anyio.Event()
    total = 4 * 500

    def look() -> None:
        nonlocal seen
        seen = len(put)
        if seen == total:
            all_seen.set()

    wake = Wake(token, look)

    def produce() -> None:
        for number in range(500):
            put.append(number)
            wake.set()

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(anyio.to_thread.run_sync, produce)
        await all_seen.wait()
    assert seen == total


class Interrupting:
    """A token whose first call is interrupted before it is made."""

    backend = Backend.trio
    thread_id = 0

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.interrupted = False

    def call_soon(self, fn: Any, /, *args: Any) -> bool:
        if not self.interrupted:
            self.interrupted = True
            raise KeyboardInterrupt
        self.calls.append((fn, args))
        return True


def test_an_interrupt_of_the_waker_loses_no_wake() -> None:
    token = Interrupting()
    woken: list[str] = []
    wake = Wake(token, lambda: woken.append("woken"))
    with pytest.raises(KeyboardInterrupt):
        wake.set()
    wake.set()
    for fn, args in token.calls:
        fn(*args)
    assert woken == ["woken"]


def test_all_of_lifetime_imports_without_trio_and_zmq() -> None:
    code = """
import sys
sys.modules["trio"] = sys.modules["zmq"] = None
import async_kernel.lifetime.caller, async_kernel.lifetime.loop_token
import async_kernel.lifetime.owned_thread, async_kernel.lifetime.pending
"""
    subprocess.run([sys.executable, "-c", code], check=True)

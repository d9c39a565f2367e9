from __future__ import annotations

import gc
import logging
import signal
import sys
import threading
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest

from async_kernel.lifetime.outcomes import Value
from async_kernel.lifetime.pending import Pending, PendingCancelled, PendingNotDone

pytestmark = pytest.mark.anyio


def completed(pending: Pending[Any]) -> tuple[bool, bool, int]:
    """Whether it is done and cancelled, and how many callbacks it still holds."""
    return pending.done(), pending.cancelled(), len(pending._callbacks)


class TestCompleting:
    def test_nothing_has_happened_at_first(self) -> None:
        assert completed(Pending()) == (False, False, 0)

    def test_a_result(self) -> None:
        pending: Pending[int] = Pending()
        first = pending.set_result(42)
        assert (first, completed(pending), pending.result(), pending.exception()) == (True, (True, False, 0), 42, None)

    def test_an_exception(self) -> None:
        pending: Pending[int] = Pending()
        error = ValueError("no result")
        first = pending.set_exception(error)
        assert (first, completed(pending), pending.exception()) == (True, (True, False, 0), error)
        with pytest.raises(ValueError, match="no result"):
            pending.result()

    def test_a_cancellation(self) -> None:
        pending: Pending[int] = Pending()
        first = pending.cancel("nobody wants it")
        assert (first, completed(pending)) == (True, (True, True, 0))
        with pytest.raises(PendingCancelled, match="nobody wants it"):
            pending.result()
        with pytest.raises(PendingCancelled, match="nobody wants it"):
            pending.exception()

    def test_cancelled_means_closed_for_anyio(self) -> None:
        assert issubclass(PendingCancelled, anyio.ClosedResourceError)

    def test_it_can_be_completed_as_cancelled(self) -> None:
        pending: Pending[int] = Pending()
        pending.set_exception(PendingCancelled("its nursery was cancelled"))
        assert completed(pending) == (True, True, 0)

    def test_without_an_outcome_there_is_none_to_get(self) -> None:
        pending: Pending[int] = Pending()
        with pytest.raises(PendingNotDone):
            pending.result()
        with pytest.raises(PendingNotDone):
            pending.exception()

    def test_the_first_completion_counts(self) -> None:
        pending: Pending[int] = Pending()
        pending.set_result(1)
        later = pending.set_result(2), pending.set_exception(ValueError()), pending.cancel()
        assert (later, pending.result(), pending.cancelled()) == ((False, False, False), 1, False)

    def test_cancelling_twice_says_that_it_is_cancelled(self) -> None:
        pending: Pending[int] = Pending()
        assert (pending.cancel("first"), pending.cancel("second")) == (True, True)
        with pytest.raises(PendingCancelled, match="first"):
            pending.result()

    def test_metadata_and_context_are_kept(self) -> None:
        context = Context()
        pending: Pending[int] = Pending(context, name="a name", number=1)
        assert (pending.context, pending.metadata) == (context, {"name": "a name", "number": 1})

    def test_every_state_can_be_read(self) -> None:
        states: list[Pending[Any]] = [Pending(name="x"), Pending(), Pending(), Pending(), Pending()]
        states[1].set_result([1])
        states[2].set_exception(ValueError("v"))
        states[3].cancel("c")
        states[4].set_canceller(lambda _: None)
        states[4].cancel("c")
        assert [repr(pending) for pending in states] == [
            "<Pending name='x' pending>",
            "<Pending result=[1]>",
            "<Pending exception=ValueError('v')>",
            "<Pending cancelled 'c'>",
            "<Pending being cancelled 'c'>",
        ]


class TestCanceller:
    def test_with_one_it_is_cancelled_but_not_done(self) -> None:
        pending: Pending[int] = Pending()
        told: list[str | None] = []
        pending.set_canceller(told.append)
        assert (pending.cancel("stop"), pending.cancelled(), pending.done(), told) == (True, True, False, ["stop"])

    def test_it_is_told_once(self) -> None:
        pending: Pending[int] = Pending()
        told: list[str | None] = []
        pending.set_canceller(told.append)
        pending.cancel("stop")
        pending.cancel("stop again")
        assert told == ["stop"]

    def test_the_end_of_the_work_makes_it_done(self) -> None:
        pending: Pending[int] = Pending()
        pending.set_canceller(lambda _: None)
        pending.cancel("stop")
        pending.set_result(1)
        assert completed(pending) == (True, True, 0)
        with pytest.raises(PendingCancelled, match="stop"):
            pending.result()

    def test_an_error_of_cancelled_work_is_the_cause(self) -> None:
        pending: Pending[int] = Pending()
        pending.set_canceller(lambda _: None)
        pending.cancel("stop")
        error = ValueError("could not stop properly")
        pending.set_exception(error)
        with pytest.raises(PendingCancelled) as caught:
            pending.result()
        assert caught.value.__cause__ is error

    def test_one_that_comes_late_is_told_at_once(self) -> None:
        pending: Pending[int] = Pending()
        pending.cancel("stop")
        told: list[str | None] = []
        pending.set_canceller(told.append)
        assert told == ["stop"]

    def test_one_is_not_told_of_results(self) -> None:
        pending: Pending[int] = Pending()
        told: list[str | None] = []
        pending.set_canceller(told.append)
        pending.set_result(1)
        pending.set_canceller(told.append)
        assert (pending.cancel(), told) == (False, [])

    def test_it_can_be_taken_back(self) -> None:
        pending: Pending[int] = Pending()
        pending.set_canceller(pytest.fail)
        pending.set_canceller(None)
        pending.cancel()
        assert completed(pending) == (True, True, 0)

    async def test_cancel_wait_waits_for_the_end(self) -> None:
        pending: Pending[int] = Pending()
        order: list[str] = []

        async def end() -> None:
            order.append("ends")
            pending.set_result(1)

        async with anyio.create_task_group() as group:
            pending.set_canceller(lambda _: group.start_soon(end))
            await pending.cancel_wait(msg="stop")
            order.append("waited")
        assert (order, pending.cancelled()) == (["ends", "waited"], True)

    async def test_cancel_wait_can_give_up(self) -> None:
        pending: Pending[int] = Pending()
        pending.set_canceller(lambda _: None)
        with pytest.raises(TimeoutError):
            await pending.cancel_wait(timeout=0)
        assert (pending.cancelled(), pending.done()) == (True, False)


class TestCallbacks:
    def test_they_are_called_in_order_with_the_pending(self) -> None:
        pending: Pending[int] = Pending()
        calls: list[tuple[int, Any]] = []
        for number in range(3):
            pending.add_done_callback(lambda p, n=number: calls.append((n, p)))
        pending.set_result(1)
        assert calls == [(0, pending), (1, pending), (2, pending)]

    def test_one_that_is_added_in_the_moment_of_completion_is_called(self) -> None:
        class CompletedMeanwhile(deque[Any]):
            def append(self, fn: Any, /) -> None:
                pending.set_result(1)
                super().append(fn)

        pending: Pending[int] = Pending()
        pending._callbacks = CompletedMeanwhile()
        calls: list[Any] = []
        pending.add_done_callback(calls.append)
        assert calls == [pending]

    def test_of_two_that_complete_it_at_once_the_first_counts(self) -> None:
        class CompletedMeanwhile(list[Any]):
            def append(self, outcome: Any, /) -> None:
                super().append(Value("the other's"))
                super().append(outcome)

        pending: Pending[str] = Pending()
        pending._outcomes = CompletedMeanwhile()
        assert (pending.set_result("mine"), pending.result()) == (False, "the other's")

    def test_one_that_comes_late_is_called_at_once(self) -> None:
        pending: Pending[int] = Pending()
        pending.set_result(1)
        calls: list[Any] = []
        pending.add_done_callback(calls.append)
        assert calls == [pending]

    def test_they_are_called_in_the_completing_thread(self) -> None:
        pending: Pending[int] = Pending()
        calls: list[str] = []
        pending.add_done_callback(lambda _: calls.append(threading.current_thread().name))
        with ThreadPoolExecutor(1, thread_name_prefix="completing") as pool:
            pool.submit(pending.set_result, 1).result()
        assert calls == ["completing_0"]

    def test_one_can_be_taken_back_as_often_as_it_was_added(self) -> None:
        pending: Pending[int] = Pending()
        calls: list[Any] = []

        def other(_: Any) -> None:
            calls.append("other")

        for fn in (calls.append, other, calls.append):
            pending.add_done_callback(fn)
        removed = pending.remove_done_callback(calls.append), pending.remove_done_callback(calls.append)
        pending.set_result(1)
        assert (removed, calls) == ((2, 0), ["other"])

    def test_a_failing_one_is_logged_and_the_others_are_called(self, caplog: pytest.LogCaptureFixture) -> None:
        pending: Pending[int] = Pending()
        calls: list[Any] = []
        error = ValueError("from a callback")

        def fail(_: Any) -> None:
            raise error

        pending.add_done_callback(fail)
        pending.add_done_callback(calls.append)
        with caplog.at_level(logging.ERROR):
            pending.set_result(1)
        logged = [(r.name, r.levelno, r.exc_info and r.exc_info[1]) for r in caplog.records]
        assert (calls, logged) == ([pending], [("async_kernel.lifetime", logging.ERROR, error)])

    def test_an_interrupt_in_one_does_not_keep_the_others(self) -> None:
        pending: Pending[int] = Pending()
        calls: list[Any] = []

        def interrupted(_: Any) -> None:
            raise KeyboardInterrupt

        pending.add_done_callback(interrupted)
        pending.add_done_callback(calls.append)
        with pytest.raises(KeyboardInterrupt):
            pending.set_result(1)
        assert (calls, pending.result()) == ([pending], 1)

    def test_one_may_add_another(self) -> None:
        pending: Pending[int] = Pending()
        calls: list[str] = []

        def outer(p: Pending[int]) -> None:
            calls.append("outer")
            p.add_done_callback(lambda _: calls.append("inner"))

        pending.add_done_callback(outer)
        pending.set_result(1)
        assert calls == ["outer", "inner"]


class TestAwaiting:
    async def test_what_is_done_is_there(self) -> None:
        pending: Pending[int] = Pending()
        pending.set_result(42)
        assert await pending == 42

    async def test_what_is_done_is_a_checkpoint_nonetheless(self) -> None:
        pending: Pending[int] = Pending()
        pending.set_result(42)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await pending
        assert scope.cancelled_caught

    async def test_the_result_comes_from_another_task(self) -> None:
        pending: Pending[int] = Pending()
        async with anyio.create_task_group() as group:

            async def complete() -> None:
                pending.set_result(42)

            group.start_soon(complete)
            assert await pending == 42

    async def test_the_result_comes_from_another_thread(self) -> None:
        pending: Pending[int] = Pending()
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, pending.set_result, 42)
            assert await pending == 42

    @pytest.mark.parametrize("other", ["trio", "asyncio"])
    async def test_the_result_comes_from_another_loop(self, other: str) -> None:
        there: Pending[int] = Pending()
        here: Pending[int] = Pending()

        async def answer() -> None:
            here.set_result(await there + 1)

        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, partial(anyio.run, answer, backend=other))
            there.set_result(41)
            assert await here == 42

    async def test_an_exception_is_raised_in_every_waiter(self) -> None:
        pending: Pending[int] = Pending()
        caught: list[str] = []

        async def wait() -> None:
            try:
                await pending
            except ValueError as exc:
                caught.append(str(exc))

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            pending.set_exception(ValueError("no result"))
        assert caught == ["no result", "no result"]

    async def test_a_cancelled_waiter_changes_nothing(self) -> None:
        pending: Pending[int] = Pending()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await pending
        assert (scope.cancelled_caught, completed(pending)) == (True, (False, False, 0))

    async def test_one_whose_time_is_over_changes_nothing(self) -> None:
        pending: Pending[int] = Pending()
        with pytest.raises(TimeoutError, match="was not done in 0 s"):
            await pending.wait(timeout=0)
        assert completed(pending) == (False, False, 0)

    async def test_a_waiter_that_gives_up_leaves_the_others(self) -> None:
        pending: Pending[int] = Pending()
        results: list[int] = []

        async def wait() -> None:
            results.append(await pending)

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            with anyio.CancelScope() as scope:
                scope.cancel()
                await pending
            pending.set_result(42)
        assert results == [42]

    async def test_it_can_wait_without_the_result(self) -> None:
        pending: Pending[int] = Pending()
        pending.set_exception(ValueError("not raised"))
        assert await pending.wait(result=False) is None

    async def test_it_can_wait_shielded(self) -> None:
        pending: Pending[int] = Pending()
        results: list[int] = []

        async def wait() -> None:
            results.append(await pending.wait(shield=True))

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
            pending.set_result(42)
        assert results == [42]

    async def test_protect_is_accepted(self) -> None:
        pending: Pending[int] = Pending()
        pending.set_result(42)
        assert await pending.wait(protect=True) == 42

    def test_a_waiters_loop_may_have_ended(self, anyio_backend: Any) -> None:
        pending: Pending[int] = Pending()
        backend, options = anyio_backend
        calls: list[Any] = []

        async def wait() -> None:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await pending

        anyio.run(wait, backend=backend, backend_options=options)
        pending.add_done_callback(calls.append)
        pending.set_result(42)
        assert calls == [pending]


class TestWaitingSync:
    def test_what_is_done_is_there(self) -> None:
        pending: Pending[int] = Pending()
        pending.set_result(42)
        assert pending.wait_sync() == 42

    def test_the_result_comes_from_another_thread(self) -> None:
        question: Pending[int] = Pending()
        answer: Pending[int] = Pending()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: answer.set_result(question.wait_sync() + 1))
            question.set_result(41)
            assert answer.wait_sync() == 42

    def test_an_exception_is_raised(self) -> None:
        pending: Pending[int] = Pending()
        pending.set_exception(ValueError("no result"))
        with pytest.raises(ValueError, match="no result"):
            pending.wait_sync()

    def test_it_can_wait_without_the_result(self) -> None:
        pending: Pending[int] = Pending()
        pending.cancel()
        assert pending.wait_sync(result=False) is None

    @pytest.mark.parametrize("timeout", [0, -1, 1e-3])
    def test_one_whose_time_is_over_changes_nothing(self, timeout: float) -> None:
        pending: Pending[int] = Pending()
        with pytest.raises(TimeoutError):
            pending.wait_sync(timeout=timeout)
        assert completed(pending) == (False, False, 0)

    def test_a_long_time_is_no_error(self) -> None:
        pending: Pending[int] = Pending()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(pending.wait_sync, timeout=1e300)
            pending.set_result(42)
            assert waiting.result() == 42

    @pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
    def test_a_signal_handler_that_raises_ends_the_wait(self) -> None:
        waits = threading.Event()

        class Watched(Pending[int]):
            def add_done_callback(self, fn: Any, /) -> None:
                super().add_done_callback(fn)
                waits.set()

        class StruckError(Exception):
            pass

        def strike(*_: Any) -> None:
            if not struck.is_set():
                struck.set()
                raise StruckError

        struck = threading.Event()
        pending = Watched()
        main = threading.main_thread().ident
        assert main is not None

        def signal_when_it_waits() -> None:
            waits.wait()
            signal.pthread_kill(main, signal.SIGUSR1)
            while not struck.wait(0.1):  # it struck while the wait began
                signal.pthread_kill(main, signal.SIGUSR1)

        before = signal.signal(signal.SIGUSR1, strike)
        try:
            with ThreadPoolExecutor(1) as pool:
                striker = pool.submit(signal_when_it_waits)
                with pytest.raises(StruckError):
                    pending.wait_sync()
                striker.result()
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert completed(pending) == (False, False, 0)

    @pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
    def test_a_signal_handler_may_complete_what_its_thread_completes(self) -> None:
        """The handler runs in the middle of the main thread's own completion, wherever that is."""
        winners: list[int] = []
        before = signal.signal(signal.SIGUSR1, lambda *_: winners.append(pending.set_result(2)))
        try:
            for _ in range(50):
                pending: Pending[int] = Pending()
                calls: list[Any] = []
                pending.add_done_callback(calls.append)
                signal.raise_signal(signal.SIGUSR1)
                winners.append(pending.set_result(1))
                assert (sum(winners), len(calls)) == (1, 1)
                winners.clear()
        finally:
            signal.signal(signal.SIGUSR1, before)


class TestTracebacks:
    def test_they_do_not_grow_from_waiter_to_waiter(self) -> None:
        pending: Pending[int] = Pending()
        pending.set_exception(ValueError())
        lengths: list[int] = []
        for _ in range(3):
            try:
                pending.result()
            except ValueError as exc:
                tb, length = exc.__traceback__, 0
                while tb is not None:
                    tb, length = tb.tb_next, length + 1
                lengths.append(length)
        assert lengths == [2, 2, 2]

    async def test_no_cycle_is_left(self) -> None:
        """Nothing but reference counts is needed to free a Pending that waiters have raised from."""

        class LocalError(Exception):
            pass

        def sync_waiter(pendings: list[Pending[int]]) -> None:
            try:
                pendings.pop().wait_sync()
            except LocalError:
                return

        async def async_waiter(pendings: list[Pending[int]]) -> None:
            try:
                await pendings.pop()
            except LocalError:
                return

        def make() -> tuple[list[Pending[int]], weakref.ref[Any]]:
            pending: Pending[int] = Pending()
            pending.set_exception(LocalError())
            return [pending], weakref.ref(pending)

        gc.collect()
        gc.disable()
        try:
            pendings, first = make()
            sync_waiter(pendings)
            pendings, second = make()
            await async_waiter(pendings)
            assert (first(), second()) == (None, None)
        finally:
            gc.enable()


class TestManyThreads:
    def test_one_completes_and_every_waiter_sees_the_same(self) -> None:
        """Four complete, two wait and two add callbacks at once, 300 times; a barrier lets all begin together."""
        rounds = 300
        barrier = threading.Barrier(8)
        pendings: list[Pending[int]] = [Pending() for _ in range(rounds)]
        firsts: list[list[bool]] = [[] for _ in range(rounds)]
        results: list[list[int]] = [[] for _ in range(rounds)]
        called: list[list[int]] = [[] for _ in range(rounds)]

        def complete(number: int) -> None:
            for round_, pending in enumerate(pendings):
                barrier.wait()
                firsts[round_].append(pending.set_result(number))

        def wait() -> None:
            for round_, pending in enumerate(pendings):
                barrier.wait()
                results[round_].append(pending.wait_sync())

        def call_back(number: int) -> None:
            for round_, pending in enumerate(pendings):
                barrier.wait()
                for each in range(3):
                    pending.add_done_callback(lambda _, r=round_, n=10 * number + each: called[r].append(n))

        with ThreadPoolExecutor(8) as pool:
            jobs = [pool.submit(complete, number) for number in range(4)]
            jobs += [pool.submit(wait), pool.submit(wait), pool.submit(call_back, 1), pool.submit(call_back, 2)]
            for job in jobs:
                job.result()
        assert [sum(first) for first in firsts] == [1] * rounds
        assert results == [[pending.result()] * 2 for pending in pendings]
        assert [sorted(calls) for calls in called] == [[10, 11, 12, 20, 21, 22]] * rounds

    def test_cancelling_and_setting_a_canceller_at_once_misses_nothing(self) -> None:
        rounds = 500
        barrier = threading.Barrier(2)
        pendings: list[Pending[int]] = [Pending() for _ in range(rounds)]
        told: list[set[str]] = [set() for _ in range(rounds)]

        def cancel() -> None:
            for pending in pendings:
                barrier.wait()
                pending.cancel("stop")

        def set_canceller() -> None:
            for round_, pending in enumerate(pendings):
                barrier.wait()
                pending.set_canceller(told[round_].add)

        with ThreadPoolExecutor(2) as pool:
            for job in [pool.submit(cancel), pool.submit(set_canceller)]:
                job.result()
        assert (told, {pending.cancelled() for pending in pendings}) == ([{"stop"}] * rounds, {True})

    async def test_many_tasks_wait_for_what_threads_complete(self) -> None:
        pendings: list[Pending[int]] = [Pending() for _ in range(200)]
        results: list[int] = []

        async def wait(pending: Pending[int]) -> None:
            results.append(await pending)

        def complete(first: int) -> None:
            for number in range(first, len(pendings), 4):
                pendings[number].set_result(number)

        async with anyio.create_task_group() as group:
            for pending in pendings:
                group.start_soon(wait, pending)
            for first in range(4):
                group.start_soon(anyio.to_thread.run_sync, complete, first)
        assert sorted(results) == list(range(200))

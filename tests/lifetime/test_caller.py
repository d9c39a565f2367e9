from __future__ import annotations

import gc
import logging
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import sniffio

from async_kernel.lifetime.caller import Caller
from async_kernel.lifetime.home import open_homes
from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.lifetime.pending import Pending, PendingCancelled
from async_kernel.typing import Backend

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = pytest.mark.anyio
variable: ContextVar[str] = ContextVar("variable", default="nobody's")


@pytest.fixture(autouse=True)
def nothing_is_left() -> Generator[None]:
    before = set(threading.enumerate())
    yield
    left = {thread.name for thread in set(threading.enumerate()) - before if not thread.daemon}
    left.discard("AnyIO worker thread")  # the tests' own, of anyio.to_thread
    assert (left, open_homes) == (set(), {})


async def library_and_thread() -> tuple[str, int]:
    await anyio.lowlevel.checkpoint()
    return sniffio.current_async_library(), threading.get_ident()


class TestCalls:
    async def test_a_function_is_called_in_the_loop(self) -> None:
        async with Caller() as caller:
            pending = await anyio.to_thread.run_sync(caller.call_soon, threading.get_ident)
            assert await pending == threading.get_ident() == caller.id

    async def test_an_async_function_is_awaited_there(self) -> None:
        async with Caller() as caller:
            pending = await anyio.to_thread.run_sync(caller.call_soon, library_and_thread)
            assert await pending == (caller.backend, caller.id)

    async def test_arguments_are_handed_on(self) -> None:
        async with Caller() as caller:
            assert await caller.call_soon(dict, [("a", 1)], b=2) == {"a": 1, "b": 2}

    async def test_any_thread_may_wait_for_the_result(self) -> None:
        async with Caller() as caller:
            result = await anyio.to_thread.run_sync(lambda: caller.call_soon(threading.get_ident).wait_sync())
            assert result == caller.id

    async def test_the_context_of_the_call_comes_along(self) -> None:
        async with Caller() as caller:
            variable.set("the call's")
            pending = caller.call_soon(variable.get)
            variable.set("later")
            assert await pending == "the call's"

    async def test_what_a_call_sets_stays_in_it(self) -> None:
        async with Caller() as caller:
            variable.set("the caller's")
            await caller.call_soon(variable.set, "the call's")
            assert variable.get() == "the caller's"

    @pytest.mark.parametrize("error", [ValueError("from the call"), SystemExit(1), KeyboardInterrupt()])
    async def test_an_exception_is_the_pendings_and_nobody_elses(self, error: BaseException) -> None:
        async def fail() -> None:
            raise error

        async with Caller() as caller:
            pending = caller.call_soon(fail)
            await pending.wait(result=False)
            assert (pending.exception(), await caller.call_soon(int)) == (error, 0)

    async def test_groups_stay_whole(self) -> None:
        async def fail() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep_forever)
                msg = "from the body"
                raise ValueError(msg)

        async with Caller() as caller:
            pending = caller.call_soon(fail)
            await pending.wait(result=False)
            error = pending.exception()
            assert isinstance(error, ExceptionGroup)
            assert [str(each) for each in error.exceptions] == ["from the body"]

    async def test_cancelling_the_pending_cancels_the_task(self) -> None:
        began = anyio.Event()
        order: list[str] = []

        async def work() -> None:
            began.set()
            try:
                await anyio.sleep_forever()
            finally:
                order.append("task ended")

        async with Caller() as caller:
            pending = caller.call_soon(work)
            await began.wait()
            pending.cancel("not wanted")
            state = pending.cancelled(), pending.done()
            await pending.wait(result=False)
            order.append("waited")
            assert (state, order) == ((True, False), ["task ended", "waited"])
            with pytest.raises(PendingCancelled, match="not wanted"):
                pending.result()

    async def test_a_call_cancelled_before_it_begins_does_not_begin(self) -> None:
        async with Caller() as caller:
            pending = caller.call_soon(pytest.fail, "it ran")
            pending.cancel()
            await pending.wait(result=False)
            assert pending.cancelled()

    async def test_a_waiter_that_gives_up_leaves_the_call(self) -> None:
        go_on = anyio.Event()

        async def work() -> str:
            await go_on.wait()
            return "done"

        async with Caller() as caller:
            pending = caller.call_soon(work)
            with pytest.raises(TimeoutError):
                await pending.wait(timeout=0)
            go_on.set()
            assert await pending == "done"

    async def test_what_cannot_be_called_is_refused_at_once(self) -> None:
        async with Caller() as caller:
            with pytest.raises(TypeError, match="must be callable"):
                caller.call_soon(3)  # type: ignore[arg-type]

    async def test_a_call_knows_its_pending(self) -> None:
        async with Caller() as caller:
            pending = caller.call_soon(lambda: [Caller.current_pending()])  # in a list: a Pending would be awaited
            assert (await pending, Caller.current_pending()) == ([pending], None)

    async def test_the_pending_says_what_was_called(self) -> None:
        async with Caller() as caller:
            pending = caller.call_soon(int)
            await pending
            assert pending.metadata == {"func": int, "caller": caller}

    async def test_call_later_waits(self) -> None:
        order: list[str] = []
        async with Caller() as caller:
            later = caller.call_later(0.02, order.append, "later")
            await caller.call_soon(order.append, "soon")
            await later
        assert order == ["soon", "later"]

    async def test_call_later_can_be_cancelled_while_it_waits(self) -> None:
        async with Caller() as caller:
            pending = caller.call_later(3600, pytest.fail, "it ran")
            await caller.call_soon(anyio.lowlevel.checkpoint)
            await pending.cancel_wait()
            assert pending.cancelled()

    async def test_direct_calls_keep_their_order_and_have_the_callers_context(self) -> None:
        seen: list[tuple[int, int, str]] = []
        async with Caller() as caller:

            def call() -> None:
                variable.set("the call's")
                for number in range(10):
                    caller.call_direct(lambda n=number: seen.append((n, threading.get_ident(), variable.get())))

            await anyio.to_thread.run_sync(call)
            await caller.call_soon(int)
            assert seen == [(number, caller.id, "the call's") for number in range(10)]

    async def test_a_failing_direct_call_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        log = logging.getLogger("somebody's")
        error = ValueError("from a direct call")

        def fail() -> None:
            raise error

        with caplog.at_level(logging.ERROR):
            async with Caller("manual", log=log) as caller:
                caller.call_direct(fail)
                await caller.call_soon(int)
        assert [(r.name, r.exc_info and r.exc_info[1]) for r in caplog.records] == [("somebody's", error)]

    async def test_a_direct_call_that_is_not_made_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.ERROR):
            async with Caller() as caller:
                caller.call_direct(int)
        why = "the caller was stopped before the call began"
        assert [record.getMessage() for record in caplog.records] == [
            f"A direct call of functools.partial(<class 'int'>) was not made: {why}"
        ]

    async def test_many_threads_may_call_at_once(self) -> None:
        async with Caller() as caller:

            def call(first: int) -> list[int]:
                return [
                    pending.wait_sync() for pending in [caller.call_soon(abs, -n) for n in range(first, first + 100)]
                ]

            async with anyio.create_task_group() as group:
                results: dict[int, list[int]] = {}

                async def thread(first: int) -> None:
                    results[first] = await anyio.to_thread.run_sync(call, first)

                for first in (0, 100, 200, 300):
                    group.start_soon(thread, first)
        assert results == {first: list(range(first, first + 100)) for first in (0, 100, 200, 300)}


class TestThreads:
    async def test_a_function_runs_in_a_thread_that_ends_with_it(self) -> None:
        async with Caller("manual", name="mine") as caller:
            name = await caller.to_thread(lambda: threading.current_thread().name)
            assert (name.startswith("mine: "), name.endswith("<lambda>")) == (True, True)
            assert name not in {thread.name for thread in threading.enumerate()}

    async def test_an_async_function_has_a_loop_there(self) -> None:
        async with Caller() as caller:
            library, thread = await caller.to_thread(library_and_thread)
            assert (library, thread == caller.id) == (caller.backend, False)

    async def test_an_async_partial_is_async(self) -> None:
        async with Caller() as caller:
            library, _ = await caller.to_thread(partial(partial(library_and_thread)))
            assert library == caller.backend

    async def test_an_exception_comes_back(self) -> None:
        async with Caller() as caller:
            with pytest.raises(ZeroDivisionError):
                await caller.to_thread(lambda: 1 // 0)

    async def test_the_context_comes_along(self) -> None:
        async with Caller() as caller:
            variable.set("the call's")
            assert await caller.to_thread(variable.get) == "the call's"

    async def test_an_async_function_in_a_thread_can_be_cancelled(self) -> None:
        began = anyio.Event()
        here = current_loop_token()

        async def work() -> None:
            here.call_soon(began.set)
            await anyio.sleep_forever()

        async with Caller() as caller:
            pending = caller.to_thread(work)
            await began.wait()
            await pending.cancel_wait()
            assert pending.cancelled()

    async def test_a_blocking_function_is_waited_for(self) -> None:
        go_on = threading.Event()
        order: list[str] = []

        def work() -> None:
            go_on.wait()
            order.append("thread ended")

        async with Caller() as caller:
            pending = caller.to_thread(work)
            await caller.call_soon(anyio.lowlevel.checkpoint)
            pending.cancel()
            state = pending.cancelled(), pending.done()
            go_on.set()
        order.append("caller left")
        assert (state, order) == ((True, False), ["thread ended", "caller left"])

    async def test_a_thread_finds_the_caller_that_started_it(self) -> None:
        async with Caller() as caller:
            assert await caller.to_thread(Caller.current) == caller
            assert (
                await caller.to_thread(lambda: Caller.current().call_soon(threading.get_ident).wait_sync()) == caller.id
            )


class TestChildren:
    async def test_a_child_has_a_thread_and_a_loop_of_its_own(self) -> None:
        async with Caller() as caller:
            child = caller.get(name="a child")
            library, thread = await child.call_soon(library_and_thread)
            name = await child.call_soon(lambda: threading.current_thread().name)
            assert (library, thread, name) == (caller.backend, child.id, "a child")
            assert (child.id == caller.id, child.parent, caller.children) == (False, caller, [child])

    @pytest.mark.parametrize("backend", list(Backend))
    async def test_a_child_can_have_another_backend(self, backend: Backend) -> None:
        async with Caller() as caller:
            child = caller.get(name="a child", backend=backend)
            library, _ = await child.call_soon(library_and_thread)
            assert (library, child.backend) == (backend, backend)

    async def test_a_child_can_have_options(self) -> None:
        pytest.importorskip("uvloop")
        async with Caller() as caller:
            child = caller.get(backend="asyncio", backend_options={"use_uvloop": True}, no_debug=True)

            def look() -> tuple[str, bool]:
                asyncio = sys.modules["asyncio"]
                loop = type(asyncio.get_running_loop()).__module__
                return loop, getattr(threading.current_thread(), "pydev_do_not_trace", False)

            assert await child.call_soon(look) == ("uvloop", True)

    async def test_a_child_is_found_by_its_name(self) -> None:
        async with Caller() as caller:
            assert (caller.get(name="x") == caller.get(name="x"), caller.get(name="x") == caller.get(name="y")) == (
                True,
                False,
            )

    async def test_children_without_a_name_are_new_ones(self) -> None:
        async with Caller() as caller:
            assert caller.get() != caller.get()

    async def test_a_child_of_another_backend_is_not_handed_out(self) -> None:
        async with Caller() as caller:
            caller.get(name="x", backend=Backend.trio)
            with pytest.raises(ValueError, match="Caller 'x' runs trio; name another for asyncio"):
                caller.get(name="x", backend=Backend.asyncio)

    async def test_any_thread_may_get_one_at_once(self) -> None:
        async with Caller() as caller:

            def get_and_call() -> int | None:
                return caller.get(name="x").call_soon(threading.get_ident).wait_sync()

            idents = {await anyio.to_thread.run_sync(get_and_call) for _ in range(3)}
            assert idents == {caller.get(name="x").id}

    async def test_a_call_in_a_child_finds_it(self) -> None:
        async with Caller() as caller:
            child = caller.get(name="x")
            assert await child.call_soon(Caller.current) == child

    async def test_a_child_can_be_stopped_alone(self) -> None:
        async with Caller() as caller:
            child = caller.get(name="x")
            waiting = child.call_soon(anyio.sleep_forever)
            await child.call_soon(int)
            await child.stop()
            assert (waiting.cancelled(), child.running, caller.running, caller.children) == (True, False, True, [])
            assert caller.get(name="x") != child

    async def test_children_end_with_their_parent(self) -> None:
        async with Caller() as caller:
            child = caller.get(name="x")
            grandchild = child.get(name="y")
            await grandchild.call_soon(int)
            waiting = grandchild.call_soon(anyio.sleep_forever)
        assert (waiting.cancelled(), child.stopped.done(), grandchild.stopped.done()) == (True, True, True)

    async def test_a_child_that_never_ran_completes_its_calls(self) -> None:
        async with Caller() as caller:
            child = caller.get(name="x")
            pending = child.call_soon(int)
            caller.stop()
        assert (pending.done(), child.stopped.done()) == (True, True)

    async def test_a_child_whose_loop_cannot_run_says_why(self, caplog: pytest.LogCaptureFixture) -> None:
        async with Caller() as caller:
            child = caller.get(name="x", backend=Backend.trio, backend_options={"no such option": 1})
            pending = child.call_soon(int)
            with pytest.raises(TypeError):
                await pending
            with pytest.raises(TypeError):
                await child.stopped
            with pytest.raises(RuntimeError, match="Caller 'x' is stopped"):
                child.call_soon(int)
        assert [record.getMessage() for record in caplog.records] == ["Caller 'x' failed."]

    @pytest.mark.parametrize("backend", list(Backend))
    async def test_code_of_either_backend_can_be_called(self, backend: Backend) -> None:
        async with Caller("manual", name="mine") as caller:
            library, thread = await caller.call_using_backend(backend, library_and_thread)
            again = await caller.call_using_backend(str(backend), library_and_thread)
            own = backend is caller.backend
            assert (library, again, thread == caller.id) == (backend, (backend, thread), own)
            assert [child.name for child in caller.children] == ([] if own else [f"mine {backend}"])

    async def test_an_unknown_backend_is_refused(self) -> None:
        async with Caller() as caller:
            with pytest.raises(ValueError, match="curio"):
                caller.call_using_backend("curio", int)


class TestLife:
    async def test_leaving_cancels_what_runs_and_what_waits(self) -> None:
        async with Caller() as caller:
            running = caller.call_soon(anyio.sleep_forever)
            await caller.call_soon(anyio.lowlevel.checkpoint)
            queued = caller.call_soon(int)
        assert (running.cancelled(), queued.done(), caller.running, caller.stopped.done()) == (True, True, False, True)

    async def test_afterwards_calls_are_refused(self) -> None:
        async with Caller("manual", name="mine") as caller:
            pass
        for call in (caller.call_soon, caller.call_direct, caller.to_thread):
            with pytest.raises(RuntimeError, match="Caller 'mine' is stopped and takes no calls any more"):
                call(int)
        with pytest.raises(RuntimeError, match="is stopped"):
            caller.get(name="x")

    async def test_stop_leaves_the_context_from_any_thread(self) -> None:
        async with Caller() as caller:
            await anyio.to_thread.run_sync(caller.stop)
            await anyio.sleep_forever()
        assert caller.stopped.done()

    async def test_a_single_error_of_the_body_leaves_as_itself(self) -> None:
        async def use() -> None:
            async with Caller() as caller:
                caller.call_soon(anyio.sleep_forever)
                msg = "from the body"
                raise ValueError(msg)

        with pytest.raises(ValueError, match="from the body"):
            await use()

    async def test_a_cancellation_from_outside_goes_on(self) -> None:
        with anyio.CancelScope() as scope:
            async with Caller() as caller:
                scope.cancel()
                await anyio.sleep_forever()
        assert (scope.cancelled_caught, caller.stopped.done()) == (True, True)

    async def test_a_protected_one_stops_by_force_only(self) -> None:
        async with Caller("manual", protected=True) as caller:
            with pytest.raises(RuntimeError, match="is protected"):
                caller.stop()
            assert caller.running
            caller.stop(force=True)
            await anyio.sleep_forever()
        assert caller.stopped.done()

    async def test_one_that_was_stopped_before_is_not_opened(self) -> None:
        caller = Caller("manual")
        pending = caller.call_soon(int)
        await caller.stop()
        assert pending.cancelled()
        with pytest.raises(RuntimeError, match="cannot be opened again"):
            async with caller:
                pytest.fail("opened")

    async def test_calls_made_before_it_is_open_run_then(self) -> None:
        caller = Caller("manual")
        pending = caller.call_soon(lambda: "ran")
        async with caller:
            assert await pending == "ran"

    async def test_a_thread_has_one(self) -> None:
        async with Caller("manual", name="first"):
            with pytest.raises(RuntimeError, match="this thread has a Caller already, 'first'"):
                async with Caller("manual"):
                    pytest.fail("opened")

    async def test_a_thread_may_have_one_after_another(self) -> None:
        async with Caller():
            pass
        async with Caller() as caller:
            assert await caller.call_soon(int) == 0

    async def test_it_is_not_opened_twice(self) -> None:
        async with Caller() as caller:
            with pytest.raises(RuntimeError, match="already been entered"):
                async with caller:
                    pytest.fail("opened")
            with pytest.raises(RuntimeError, match="is open already"):
                async with Caller():
                    pytest.fail("opened")

    async def test_nothing_keeps_it_afterwards(self) -> None:
        async def use() -> weakref.ref[Any]:
            async with Caller() as caller:
                await caller.call_soon(int)
                await caller.get(name="x").call_soon(int)
                await caller.to_thread(int)
                return weakref.ref(caller._home)

        home = await use()
        await anyio.lowlevel.checkpoint()
        gc.collect()
        assert home() is None


class TestLookup:
    async def test_the_current_one_is_this_threads(self) -> None:
        async with Caller() as caller:
            assert (Caller.current(), Caller(), Caller.get_existing(), Caller.id_current()) == (
                caller,
                caller,
                caller,
                caller.id,
            )

    async def test_tasks_find_it(self) -> None:
        found: list[Caller] = []

        async def look() -> None:
            found.append(Caller.current())

        async with Caller() as caller, anyio.create_task_group() as group:
            group.start_soon(look)
        assert found == [caller]

    async def test_without_one_there_is_none(self) -> None:
        assert (Caller.get_existing(), Caller.all_callers()) == (None, [])
        with pytest.raises(RuntimeError, match="there is no Caller here"):
            Caller.current()

    async def test_the_main_threads_is_found_from_others(self) -> None:
        async with Caller() as caller:
            assert await anyio.to_thread.run_sync(Caller, "MainThread") == caller

    def test_the_main_thread_may_have_none(self) -> None:
        with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="the main thread has no open Caller"):
            pool.submit(Caller, "MainThread").result()

    async def test_a_new_thread_is_a_child(self) -> None:
        async with Caller() as caller:
            child = Caller("NewThread", name="x")
            assert (await child.call_soon(Caller.current), child.parent) == (caller.get(name="x"), caller)

    async def test_an_unknown_modifier_is_refused(self) -> None:
        with pytest.raises(ValueError, match="'Elsewhere' is none of"):
            Caller("Elsewhere")  # type: ignore[arg-type]

    async def test_all_are_listed(self) -> None:
        async with Caller() as caller:
            child = caller.get(name="x")
            await child.call_soon(int)
            assert Caller.all_callers() == [caller, child]

    async def test_one_describes_itself(self) -> None:
        caller = Caller("manual", name="mine")
        texts = [repr(caller)]
        async with caller:
            texts.append(repr(caller))
        texts.append(repr(caller))
        backend = caller.backend
        assert texts == [
            "<Caller 'mine' of no backend yet not running>",
            f"<Caller 'mine' {backend} running>",
            f"<Caller 'mine' {backend} stopped>",
        ]

    async def test_handles_of_one_are_equal_and_can_be_keys(self) -> None:
        async with Caller() as caller:
            assert ({caller: 1}[Caller.current()], caller == 3) == (1, False)


def test_a_pending_waits_in_a_plain_thread(anyio_backend: Any) -> None:
    """Threads, loops and main program meet without anybody's loop blocking another."""
    backend, options = anyio_backend
    ready: Pending[Caller] = Pending()
    over = threading.Event()

    async def main() -> None:
        async with Caller() as caller:
            ready.set_result(caller)
            await caller.to_thread(over.wait)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(anyio.run, main, backend=backend, backend_options=options)
        caller = ready.wait_sync()
        assert caller.call_soon(library_and_thread).wait_sync() == (backend, caller.id)
        over.set()
        running.result()

from __future__ import annotations

import asyncio
import queue
import threading
from contextvars import Context, ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import sniffio

from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.lifetime.owned_thread import run_in_owned_thread, run_loop_in_owned_thread
from async_kernel.typing import Backend

pytestmark = pytest.mark.anyio
variable: ContextVar[str] = ContextVar("variable", default="nobody's")


def never() -> None:
    pytest.fail("cancel was called")


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


async def test_the_result_comes_back() -> None:
    assert await run_in_owned_thread(lambda: 6 * 7, name="a thread", cancel=never) == 42


async def test_the_thread_has_its_name_and_is_no_daemon() -> None:
    def look() -> tuple[str, bool, bool]:
        me = threading.current_thread()
        return me.name, me.daemon, hasattr(me, "pydev_do_not_trace")

    assert await run_in_owned_thread(look, name="a thread", cancel=never) == ("a thread", False, False)


async def test_debuggers_can_be_told_to_pass_it_by() -> None:
    def look() -> bool:
        return threading.current_thread().pydev_do_not_trace  # type: ignore[attr-defined]

    assert await run_in_owned_thread(look, name="a thread", cancel=never, no_debug=True) is True


async def test_it_has_ended_when_its_task_goes_on() -> None:
    await run_in_owned_thread(lambda: None, name="short-lived", cancel=never)
    assert "short-lived" not in threads()


@pytest.mark.parametrize("error", [ValueError("from the thread"), SystemExit(3), KeyboardInterrupt()])
async def test_its_exception_is_raised_in_the_task(error: BaseException) -> None:
    def fail() -> None:
        raise error

    caught: BaseException | None = None
    try:
        await run_in_owned_thread(fail, name="a thread", cancel=never)
    except BaseException as exc:  # noqa: BLE001
        caught = exc
    assert caught is error


async def test_cancelling_asks_it_to_end_and_waits_for_its_end() -> None:
    asked: queue.SimpleQueue[None] = queue.SimpleQueue()
    began = anyio.Event()
    token = current_loop_token()
    order: list[str] = []

    def work() -> None:
        token.call_soon(began.set)
        asked.get()
        order.append("thread ends")

    def cancel() -> None:
        order.append("asked")
        asked.put(None)

    async def own() -> None:
        try:
            await run_in_owned_thread(work, name="to be cancelled", cancel=cancel)
        except anyio.get_cancelled_exc_class():
            order.append("cancelled" if "to be cancelled" not in threads() else "left the thread")
            raise

    async with anyio.create_task_group() as group:
        group.start_soon(own)
        await began.wait()
        group.cancel_scope.cancel()
    assert order == ["asked", "thread ends", "cancelled"]


async def test_an_error_of_a_cancelled_thread_is_not_lost() -> None:
    asked: queue.SimpleQueue[None] = queue.SimpleQueue()

    def work() -> None:
        asked.get()
        msg = "could not end properly"
        raise ValueError(msg)

    with anyio.CancelScope() as scope:
        scope.cancel()
        with pytest.raises(ValueError, match="could not end properly"):
            await run_in_owned_thread(work, name="a thread", cancel=lambda: asked.put(None))


async def test_a_failing_cancel_leaves_no_thread() -> None:
    asked: queue.SimpleQueue[None] = queue.SimpleQueue()

    def cancel() -> None:
        asked.put(None)
        msg = "from cancel"
        raise ValueError(msg)

    with anyio.CancelScope() as scope:
        scope.cancel()
        with pytest.raises(ValueError, match="from cancel"):
            await run_in_owned_thread(asked.get, name="asked badly", cancel=cancel)
    assert "asked badly" not in threads()


def test_asyncios_own_cancel_may_come_twice() -> None:
    asked: queue.SimpleQueue[None] = queue.SimpleQueue()
    order: list[str] = []

    async def main() -> None:
        began = asyncio.Event()
        cancelled_twice = threading.Event()
        token = current_loop_token()

        def work() -> None:
            token.call_soon(began.set)
            asked.get()
            cancelled_twice.wait()
            order.append("thread ends")

        async def own() -> None:
            await run_in_owned_thread(work, name="twice cancelled", cancel=lambda: asked.put(None))

        task = asyncio.create_task(own())
        await began.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        order.append("still waits" if not task.done() else "has left")
        cancelled_twice.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert (order, "twice cancelled" in threads()) == (["still waits", "thread ends"], False)


async def test_context_variables_are_copied() -> None:
    variable.set("the task's")

    def change() -> str:
        was = variable.get()
        variable.set("the thread's")
        return was

    seen = await run_in_owned_thread(change, name="a thread", cancel=never)
    assert (seen, variable.get()) == ("the task's", "the task's")


async def test_another_context_can_be_given() -> None:
    variable.set("the task's")
    assert await run_in_owned_thread(variable.get, name="a thread", cancel=never, context=Context()) == "nobody's"


async def test_no_loop_runs_in_the_thread() -> None:
    def library() -> str:
        try:
            return sniffio.current_async_library()
        except sniffio.AsyncLibraryNotFoundError:
            return "none"

    assert await run_in_owned_thread(library, name="a thread", cancel=never) == "none"


OTHER = [
    pytest.param(Backend.trio, {}, id="in trio"),
    pytest.param(Backend.asyncio, {}, id="in asyncio"),
]


@pytest.mark.parametrize(("backend", "options"), OTHER)
async def test_a_loop_of_either_kind_runs_in_a_thread(backend: Backend, options: dict[str, Any]) -> None:
    variable.set("the task's")

    async def main() -> tuple[str, str, str]:
        await anyio.lowlevel.checkpoint()
        return sniffio.current_async_library(), threading.current_thread().name, variable.get()

    seen = await run_loop_in_owned_thread(main, name="a loop", backend=backend, backend_options=options)
    assert seen == (backend, "a loop", "the task's")


async def test_the_loop_can_be_uvloops() -> None:
    pytest.importorskip("uvloop")

    async def main() -> str:
        return type(asyncio.get_running_loop()).__module__

    backend, options = Backend.asyncio, {"use_uvloop": True}
    assert await run_loop_in_owned_thread(main, name="a loop", backend=backend, backend_options=options) == "uvloop"


@pytest.mark.parametrize(("backend", "options"), OTHER)
async def test_cancelling_cancels_inside(backend: Backend, options: dict[str, Any]) -> None:
    began = anyio.Event()
    outside = current_loop_token()
    order: list[str] = []

    async def main() -> None:
        outside.call_soon(began.set)
        try:
            await anyio.sleep_forever()
        finally:
            order.append("cancelled inside")

    async def own() -> None:
        try:
            await run_loop_in_owned_thread(main, name="to be cancelled", backend=backend, backend_options=options)
        finally:
            order.append("owner goes on")

    async with anyio.create_task_group() as group:
        group.start_soon(own)
        await began.wait()
        group.cancel_scope.cancel()
    assert (order, "to be cancelled" in threads()) == (["cancelled inside", "owner goes on"], False)


@pytest.mark.parametrize(("backend", "options"), OTHER)
async def test_a_loop_cancelled_before_it_runs_ends(backend: Backend, options: dict[str, Any]) -> None:
    ran: list[str] = []

    async def main() -> None:
        await anyio.sleep_forever()
        ran.append("to its end")

    with anyio.CancelScope() as scope:
        scope.cancel()
        await run_loop_in_owned_thread(main, name="early", backend=backend, backend_options=options)
    assert (scope.cancelled_caught, ran, "early" in threads()) == (True, [], False)


@pytest.mark.parametrize(("backend", "options"), OTHER)
async def test_an_error_of_the_loop_is_raised_in_the_task(backend: Backend, options: dict[str, Any]) -> None:
    async def main() -> None:
        await anyio.lowlevel.checkpoint()
        msg = "from the loop"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="from the loop"):
        await run_loop_in_owned_thread(main, name="a loop", backend=backend, backend_options=options)

"""Questions about code: superseded completions, warming up, and what a long one does not hold up."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from async_kernel.kernel import questions
from async_kernel.kernel.helper import HelperLane
from tests.fakes import request
from tests.kernel.test_kernel import running_kernel

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio


def complete(code: str, session: str = "one") -> Any:
    asked = request("complete_request", code=code, cursor_pos=len(code))
    asked.header["session"] = session
    return asked


class Completer:
    """A completion that is held up until it is let go."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go_on = threading.Event()
        self.codes: list[str] = []

    def __call__(self, code: str, cursor_pos: int) -> dict[str, Any]:
        self.codes.append(code)
        self.began.set()
        self.go_on.wait()
        return {"status": "ok", "matches": [code], "cursor_start": 0, "cursor_end": cursor_pos, "metadata": {}}


async def begun(completer: Completer) -> None:
    await anyio.to_thread.run_sync(completer.began.wait)


async def test_completions_that_a_client_has_asked_for_anew_are_aborted() -> None:
    async with running_kernel() as (kernel, wire):
        completer = kernel.shell.do_complete = Completer()  # type: ignore[method-assign]
        asked = [complete(code) for code in ("a", "ab", "abc")]
        kernel.submit(asked[0])
        await begun(completer)
        for each in asked[1:]:
            kernel.submit(each)
        completer.go_on.set()
        replies = [(await wire.reply_to(each)).content["status"] for each in asked]

        assert (replies, completer.codes) == (["ok", "aborted", "ok"], ["a", "abc"])


async def test_completions_of_other_clients_are_not_superseded() -> None:
    async with running_kernel() as (kernel, wire):
        completer = kernel.shell.do_complete = Completer()  # type: ignore[method-assign]
        asked = [complete("a", "one"), complete("b", "two"), complete("c", "three")]
        for each in asked:
            kernel.submit(each)
        completer.go_on.set()
        replies = [(await wire.reply_to(each)).content["status"] for each in asked]

        assert replies == ["ok"] * 3


async def test_a_completer_that_thinks_does_not_hold_up_the_other_questions() -> None:
    async with running_kernel() as (kernel, wire):
        completer = kernel.shell.do_complete = Completer()  # type: ignore[method-assign]
        asked = complete("a")
        kernel.submit(asked)
        await begun(completer)
        others = [
            request("is_complete_request", code="1"),
            request("history_request", hist_access_type="tail", n=1),
            request("kernel_info_request"),
            request("comm_info_request"),
            request("connect_request"),
            request("usage_request"),
        ]
        for each in others:
            kernel.submit(each)
            assert (await wire.reply_to(each)).kind.endswith("_reply")
        assert "idle" not in wire.kinds(asked)
        completer.go_on.set()
        await wire.idle(asked)


PEOPLE = {
    "is_complete_request": {"code": "1"},
    "history_request": {"hist_access_type": "tail", "n": 1},
    "comm_info_request": {},
    "execute_request": {"code": "nothing", "allow_stdin": True},
}


@pytest.mark.parametrize("msg_type", PEOPLE)
async def test_what_a_person_sends_warms_the_completer_up_once(msg_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing() -> None:
        pass

    monkeypatch.setattr(questions, "WARM_AFTER_S", 0.0)
    content = PEOPLE[msg_type]
    async with running_kernel(nothing=nothing) as (kernel, wire):
        threads: list[str] = []
        warmed = threading.Event()
        kernel.shell.warm_up = lambda: [lambda: threads.append(threading.current_thread().name), warmed.set]  # type: ignore[method-assign]
        for _ in range(2):
            await wire.idle(_submitted(kernel, request(msg_type, **content)))
        await anyio.to_thread.run_sync(warmed.wait)
        await wire.idle(_submitted(kernel, complete("a")))  # behind the warming up

        assert threads == ["completer"]


async def test_a_program_that_only_runs_cells_does_not_pay_for_the_completer() -> None:
    async def nothing() -> None:
        pass

    async with running_kernel(nothing=nothing) as (kernel, wire):
        calls: list[int] = []
        kernel.shell.warm_up = lambda: [lambda: calls.append(1)]  # type: ignore[method-assign]
        for each in (
            request("kernel_info_request"),
            request("execute_request", code="nothing", allow_stdin=False),
            complete("a"),
        ):
            await wire.idle(_submitted(kernel, each))

        assert calls == []


async def test_a_completer_that_cannot_be_warmed_up_answers_all_the_same() -> None:
    async with running_kernel() as (kernel, wire):
        kernel.shell.warm_up = lambda: [partial(divmod, 1, 0)]  # type: ignore[method-assign]
        await wire.idle(_submitted(kernel, request("is_complete_request", code="1")))
        asked = complete("a")
        kernel.submit(asked)

        assert (await wire.reply_to(asked)).content["status"] == "ok"


async def test_work_that_waits_is_left_out_when_the_lane_ends_and_requests_are_not() -> None:
    began, go_on = threading.Event(), threading.Event()
    served: list[object] = []

    def begin() -> None:
        began.set()
        go_on.wait()

    class Lane(HelperLane):
        def _stop(self) -> None:
            super()._stop()
            go_on.set()

    lane = Lane(served.append)
    lane.call_soon(begin)
    lane.call_soon(lambda: served.append("left out"))
    asked = complete("a")
    lane.submit(asked)
    async with anyio.create_task_group() as tasks:
        await tasks.start(lane.run)
        await anyio.to_thread.run_sync(began.wait)
        tasks.cancel_scope.cancel()

    assert served == [asked]


def _submitted(kernel: Any, asked: Any) -> Any:
    submit: Callable[[Any], None] = kernel.submit
    submit(asked)
    return asked


async def test_questions_that_arrive_before_there_is_a_shell_are_answered() -> None:
    asked = request("is_complete_request", code="1")
    async with running_kernel(asked) as (_, wire):
        assert (await wire.reply_to(asked)).content["status"] == "unknown"  # what that shell says

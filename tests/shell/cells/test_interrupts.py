"""The gate and the interrupter: KeyboardInterrupt strikes inside a cell and nowhere else."""

from __future__ import annotations

import cProfile
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio

from async_kernel.shell.cells.interrupts import Gate, Interrupter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def gate_here() -> Gate:
    return Gate(threading.get_ident())


async def drive(gate: Gate, fn: Callable[[], Awaitable[object]]) -> list[object]:
    """What became of ``fn`` behind the gate: its value or its exception."""
    outcome: list[object] = []

    async def body() -> None:
        try:
            outcome.append(await fn())
        except BaseException as exc:  # noqa: BLE001 -- the test looks at it
            outcome.append(exc)

    await gate.drive(body())
    return outcome


@pytest.mark.trio
async def test_values_and_exceptions_pass_through_the_gate() -> None:
    async def value() -> int:
        await trio.lowlevel.checkpoint()
        return 3

    async def failure() -> None:
        await trio.lowlevel.checkpoint()
        raise LookupError

    gate = gate_here()
    assert await drive(gate, value) == [3]
    [error] = await drive(gate, failure)
    assert isinstance(error, LookupError)
    assert not gate.inside


@pytest.mark.trio
async def test_the_gate_is_entered_only_while_the_code_is_on_the_stack() -> None:
    gate = gate_here()
    seen: list[bool] = []
    asleep, wake = trio.Event(), trio.Event()

    async def cell() -> None:
        seen.append(gate.inside)
        asleep.set()
        await wake.wait()
        seen.append(gate.inside)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drive, gate, cell)
        await asleep.wait()
        seen.append(gate.inside)
        wake.set()
    assert seen == [True, False, True]


@pytest.mark.trio
async def test_cancellation_reaches_the_code_behind_the_gate_and_its_scope() -> None:
    gate = gate_here()
    with trio.CancelScope() as scope:
        scope.cancel()
        [error] = await drive(gate, trio.sleep_forever)
    assert isinstance(error, trio.Cancelled)


@pytest.mark.trio
async def test_a_strike_from_another_thread_ends_a_busy_loop() -> None:
    gate = gate_here()
    entered = threading.Event()
    struck: list[bool] = []

    def striker() -> None:
        entered.wait()
        struck.append(gate.strike())

    async def busy() -> None:
        entered.set()
        while True:
            pass

    thread = threading.Thread(target=striker)
    thread.start()
    [error] = await drive(gate, busy)
    thread.join()
    assert struck == [True]
    assert isinstance(error, KeyboardInterrupt)


def test_a_strike_outside_the_gate_does_nothing() -> None:
    assert gate_here().strike() is False


@pytest.mark.trio
async def test_a_hundred_strikes_leave_nothing_behind() -> None:
    """Strikes race with the end of the cell; none may reach the code after it."""
    gate = gate_here()
    for _ in range(100):
        entered, done = threading.Event(), threading.Event()

        def striker(entered: threading.Event = entered, done: threading.Event = done) -> None:
            entered.wait()
            gate.strike()
            done.set()

        async def short(entered: threading.Event = entered) -> int:
            entered.set()
            return sum(range(100))

        thread = threading.Thread(target=striker)
        thread.start()
        await drive(gate, short)
        done.wait()
        thread.join()
        gate.pending = False
    assert not gate.inside


class FakeCell:
    """What the interrupter needs of a cell."""

    def __init__(self, *, inside: bool, state: str = "blocking") -> None:
        self.gate = gate_here()
        self.gate.inside = inside
        self.state = state
        self.cause: str | None = None
        self.noticed = False
        self.is_showing = False
        self.cuts: list[str] = []

    def cut(self, cause: str, reason: str | None = None) -> None:
        self.cause = cause
        self.cuts.append(cause)


def interrupter_with(cell: Any, *, by_signal: bool = True) -> Interrupter:
    interrupter = Interrupter(token=None, by_signal=by_signal)  # type: ignore[arg-type]
    interrupter.foreground = cell
    return interrupter


def test_sigint_raises_in_a_blocking_cell() -> None:
    cell = FakeCell(inside=True)
    with pytest.raises(KeyboardInterrupt):
        interrupter_with(cell).on_sigint(None)
    assert cell.cuts == ["interrupt"]


def test_sigint_cancels_an_awaiting_cell_and_raises_nothing() -> None:
    cell = FakeCell(inside=False, state="awaiting")
    interrupter_with(cell).on_sigint(None)
    assert cell.cuts == ["interrupt"]


def test_sigint_without_a_cell_does_nothing() -> None:
    interrupter_with(None).on_sigint(None)


def test_sigint_after_the_end_of_its_cell_spares_the_next() -> None:
    old, new = FakeCell(inside=True), FakeCell(inside=True)
    interrupter = interrupter_with(old)
    previous = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        assert interrupter.interrupt() == "blocking"
    finally:
        signal.signal(signal.SIGINT, previous)
    old.state = "ended"
    interrupter.foreground = new  # type: ignore[assignment]
    interrupter.on_sigint(None)
    assert new.cuts == []


def test_a_strike_leaves_nothing_behind_in_the_interpreter() -> None:
    """CPython 3.11 would not get past the first line of profiled code."""
    gate = Gate(threading.get_ident())

    def struck() -> None:
        gate.strike()
        while True:
            pass

    gate._enter()
    with pytest.raises(KeyboardInterrupt):
        struck()
    gate._leave()
    program = cProfile.Profile()
    program.runctx("done = sum(range(3))", {}, namespace := {})
    assert namespace == {"done": 3}


def test_a_strike_that_came_too_late_is_taken_back() -> None:
    gate = Gate(threading.get_ident())
    gate._armed = True  # as if it had been set and not been raised yet
    gate.withdraw()
    for _ in range(1000):
        pass
    assert not gate._armed

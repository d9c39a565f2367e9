"""The gate and the interrupter: KeyboardInterrupt strikes inside a cell and nowhere else."""

from __future__ import annotations

import contextlib
import cProfile
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from async_kernel.shell.cells import gate as gates
from async_kernel.shell.cells import interrupts
from async_kernel.shell.cells.gate import BLOCKS_S, SETTLED_S, Gate
from async_kernel.shell.cells.interrupts import Interrupter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator


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
        gate._entered -= BLOCKS_S  # as if it had been there for so long
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


def test_a_step_that_has_only_begun_is_not_struck() -> None:
    gate = gate_here()
    gate._enter()
    assert gate.strike() is False
    assert gate.pending
    gate._leave()


@pytest.mark.parametrize("library", [trio.__file__, contextlib.__file__, "<attrs generated methods trio>"])
def test_nothing_is_raised_where_a_scope_may_be_entered_or_left(library: str) -> None:
    """A frame of a library that an async library has called, or of that itself."""
    gate, frames = gate_here(), []
    namespace = {"look": lambda: frames.append(sys._getframe(1))}
    exec(compile("def scope(fn): return fn()", trio.__file__, "exec"), namespace)
    exec(compile("def top(): look()", library, "exec"), namespace)
    gate._enter()
    namespace["scope"](namespace["top"])
    assert not gate.may_raise_at(frames[0])
    gate._entered -= SETTLED_S
    assert gate.may_raise_at(frames[0])
    assert gate.may_raise_at(sys._getframe())
    gate._leave()


def test_code_that_is_sealed_off_is_not_struck() -> None:
    gate = gate_here()
    gate._enter()
    gate._entered -= BLOCKS_S
    gate.seal()
    assert (gate.strike(), gate.pending, gate._armed) == (False, False, False)
    gate._leave()


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
            gate._entered -= BLOCKS_S
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


# -- a strike that finds the code asleep --------------------------------------------------------------------------


async def struck_asleep(begin: Callable[[Gate, trio.Event], Awaitable[object]]) -> list[object]:
    """What becomes of code that is struck when it is asleep, and woken then."""
    gate, wake = gate_here(), trio.Event()
    outcome: list[object] = []

    async def cell() -> None:
        outcome.extend(await drive(gate, lambda: begin(gate, wake)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cell)
        await trio.testing.wait_all_tasks_blocked()
        assert gate.strike() is False
        wake.set()
    return outcome


@pytest.mark.trio
async def test_code_that_goes_on_is_struck_at_its_next_line() -> None:
    lines: list[int] = []

    async def code(gate: Gate, wake: trio.Event) -> None:
        lines.append(1)
        await wake.wait()
        lines.append(2)

    [error] = await struck_asleep(code)
    assert isinstance(error, KeyboardInterrupt)
    assert lines == [1]


@pytest.mark.trio
async def test_a_nursery_is_not_struck_in_the_middle_of_its_closing() -> None:
    async def code(gate: Gate, wake: trio.Event) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wake.wait)
        gate.pending = gate.pending  # a line after it

    [error] = await struck_asleep(code)
    assert isinstance(error, KeyboardInterrupt)


class Noting:
    """A context manager in user code that notes its end, in two lines."""

    def __init__(self, ended: list[str]) -> None:
        self.ended = ended

    def __enter__(self) -> None: ...

    def __exit__(self, *exc: object) -> None:
        name = type(self).__name__
        self.ended.append(name)


@contextlib.contextmanager
def noting(ended: list[str]) -> Generator[None]:
    try:
        yield
    finally:
        name = "generator"
        ended.append(name)


@pytest.mark.trio
async def test_a_block_is_left_before_the_strike() -> None:
    ended: list[str] = []

    async def in_blocks(wake: trio.Event) -> None:
        with Noting(ended), noting(ended), trio.CancelScope(shield=True):
            try:
                await wake.wait()
            finally:
                ended.append("finally")

    async def code(gate: Gate, wake: trio.Event) -> None:
        await in_blocks(wake)
        ended.append("the next line")

    [error] = await struck_asleep(code)
    assert isinstance(error, KeyboardInterrupt)
    assert ended == ["finally", "generator", "Noting"]


@pytest.mark.trio
@pytest.mark.parametrize("way", ["return", "continue", "break"])
async def test_a_block_that_is_left_by_a_jump_is_left_before_the_strike(way: str) -> None:
    ended: list[str] = []

    async def code(gate: Gate, wake: trio.Event) -> None:
        for _ in range(2):
            async with contextlib.AsyncExitStack() as stack:
                stack.callback(ended.append, way)
                await wake.wait()
                if way == "return":
                    return
                if way == "continue":
                    continue
                break
        ended.append("the next line")

    [error] = await struck_asleep(code)
    assert isinstance(error, KeyboardInterrupt)
    assert ended == [way]


@pytest.mark.trio
async def test_code_that_has_come_to_its_end_is_struck_no_more() -> None:
    async def code(gate: Gate, wake: trio.Event) -> None:
        return await wake.wait()

    assert await struck_asleep(code) == [None]


@pytest.mark.trio
async def test_a_strike_asleep_leaves_no_trace_function() -> None:
    async def code(gate: Gate, wake: trio.Event) -> None:
        await wake.wait()
        await trio.lowlevel.checkpoint()

    before = sys.gettrace()
    await struck_asleep(code)
    assert sys.gettrace() is before


class FakeCell:
    """What the interrupter needs of a cell."""

    def __init__(self, *, inside: bool, state: str = "blocking") -> None:
        self.gate = gate_here()
        self.gate.inside = inside
        self.state = state
        self.cause: str | None = None
        self.native = None
        self.is_showing = False
        self.cuts: list[str] = []

    def cut(self, cause: str, reason: str | None = None) -> None:
        self.cause = cause
        self.cuts.append(cause)


class FakeToken:
    """A loop that does not turn."""

    def call_soon(self, *_: Any) -> bool:
        return True


def interrupter_with(cell: Any, *, by_signal: bool = True) -> Interrupter:
    interrupter = Interrupter(token=FakeToken(), by_signal=by_signal)  # type: ignore[arg-type]
    interrupter.foreground = cell
    return interrupter


class FakeCounts:
    """What counts signals: ``came`` have."""

    def __init__(self) -> None:
        self.came = 0
        self.handled = 0

    def arrived(self) -> int:
        return self.came

    def note_handled(self, arrived: int) -> None:
        self.handled = arrived

    def unhandled(self) -> int:
        return self.came - self.handled


@pytest.fixture
def sigint(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeCounts]:
    """Runs the handler after so many signals have come; those that are sent by the interrupter only come."""
    counts = FakeCounts()

    def come(count: int = 1) -> None:
        counts.came += count

    def sigint(interrupter: Interrupter, count: int = 1) -> FakeCounts:
        come(count)
        interrupter.on_sigint(None, counts)
        return counts

    monkeypatch.setattr(interrupts, "raise_sigint_in_main_thread", come)
    return sigint


def test_sigint_raises_in_a_blocking_cell(sigint: Callable[..., FakeCounts]) -> None:
    cell = FakeCell(inside=True)
    with pytest.raises(KeyboardInterrupt):
        sigint(interrupter_with(cell))
    assert cell.cuts == ["interrupt"]


def test_sigint_cancels_an_awaiting_cell_and_is_sent_again_should_it_block(sigint: Callable[..., FakeCounts]) -> None:
    cell = FakeCell(inside=False, state="awaiting")
    counts = sigint(interrupter_with(cell))
    assert (cell.gate.pending, cell.cuts, counts.unhandled()) == (True, ["interrupt"], 1)


def test_sigint_without_a_cell_does_nothing(sigint: Callable[..., FakeCounts]) -> None:
    assert sigint(interrupter_with(None)).unhandled() == 0


def test_our_signal_after_the_end_of_its_cell_spares_the_next(sigint: Callable[..., FakeCounts]) -> None:
    old, new = FakeCell(inside=True), FakeCell(inside=True)
    interrupter = interrupter_with(old)
    assert interrupter.interrupt() == "blocking"
    old.state = "ended"
    interrupter.foreground = new  # type: ignore[assignment]
    assert sigint(interrupter, 0).unhandled() == 0
    assert new.cuts == []


def test_a_signal_that_came_where_nothing_may_be_raised_is_not_taken_for_the_next_cells(
    sigint: Callable[..., FakeCounts],
) -> None:
    old, new = FakeCell(inside=True), FakeCell(inside=True)
    interrupter = interrupter_with(old)
    assert interrupter.interrupt() == "blocking"
    old.gate.inside = False
    sigint(interrupter, 0)  # it will be struck when it goes on
    old.state = "ended"
    interrupter.foreground = new  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        sigint(interrupter)


def test_a_second_sigint_from_outside_strikes_a_cell_that_handles_the_first(
    sigint: Callable[..., FakeCounts],
) -> None:
    cell = FakeCell(inside=True)
    interrupter = interrupter_with(cell)
    for _ in range(2):  # one right after the other
        with pytest.raises(KeyboardInterrupt):
            sigint(interrupter)
        cell.cause = "interrupt"


def test_a_second_sigint_strikes_also_when_the_first_had_to_be_sent_again(sigint: Callable[..., FakeCounts]) -> None:
    cell = FakeCell(inside=True)
    interrupter = interrupter_with(cell)
    interrupter._signalled = cell  # type: ignore[assignment]
    interrupter._send()
    with pytest.raises(KeyboardInterrupt):
        sigint(interrupter)
    cell.cause = "interrupt"
    with pytest.raises(KeyboardInterrupt):
        sigint(interrupter)


def test_signals_that_a_c_call_has_ignored_swallow_none_in_the_next_cell(
    sigint: Callable[..., FakeCounts], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupter = interrupter_with(FakeCell(inside=True))
    monkeypatch.setattr(interrupts, "raise_sigint_in_main_thread", lambda: None)
    interrupter.interrupt()
    interrupter._signalled = None
    interrupter.begin(FakeCell(inside=True))  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        sigint(interrupter)


def test_a_signal_that_we_sent_again_while_it_was_handled_spares_the_cell_once(
    sigint: Callable[..., FakeCounts],
) -> None:
    cell = FakeCell(inside=True)
    interrupter = interrupter_with(cell)
    with pytest.raises(KeyboardInterrupt):
        sigint(interrupter)
    cell.cause = "interrupt"
    interrupter._send()
    assert sigint(interrupter, 0).unhandled() == 0
    with pytest.raises(KeyboardInterrupt):
        sigint(interrupter)


@pytest.mark.trio
async def test_a_signal_is_not_sent_again_after_it_was_handled(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(interrupts, "raise_sigint_in_main_thread", lambda: sent.append("SIGINT"))
    cell = FakeCell(inside=False, state="awaiting")
    interrupter = interrupter_with(cell)

    class HandledMeanwhile(Gate):
        """The other thread handles the signal right after this one has seen that it is not handled."""

        __slots__ = ()

        def strike(self, exc: Any = KeyboardInterrupt, *, unless: Callable[[], bool] = bool) -> bool:
            interrupter._note_handled(interrupter._handled)
            return super().strike(exc, unless=unless)

    cell.gate = HandledMeanwhile(threading.get_ident())
    interrupter.interrupt()
    cell.gate.pending = False  # it was thrown in
    await interrupter.insist(cell, lambda: None)  # type: ignore[arg-type]
    assert (sent, cell.gate.pending) == ([], False)


def test_a_strike_leaves_nothing_behind_in_the_interpreter() -> None:
    """CPython 3.11 would not get past the first line of profiled code."""
    gate = Gate(threading.get_ident())

    def struck() -> None:
        gate.strike()
        while True:
            pass

    gate._enter()
    gate._entered -= BLOCKS_S
    with pytest.raises(KeyboardInterrupt):
        struck()
    gate._leave()
    program = cProfile.Profile()
    program.runctx("done = sum(range(3))", {}, namespace := {})
    assert namespace == {"done": 3}


def test_a_strike_that_came_too_late_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    replaced: list[tuple[int, str]] = []

    def set_async_exc(thread_id: int, exc: type[BaseException]) -> None:
        replaced.append((thread_id, exc.__name__))
        real(thread_id, exc)

    real = gates.set_async_exc
    monkeypatch.setattr(gates, "set_async_exc", set_async_exc)
    gate = Gate(threading.get_ident())
    gate._armed = True  # as if it had been set and not been raised yet
    gate.withdraw()
    assert replaced == [(threading.get_ident(), "_TakenBack")]
    for _ in range(1000):
        pass
    assert not gate._armed

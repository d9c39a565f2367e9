"""Signals: who sees them, and what a program around the kernel keeps."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from async_kernel.interface.process import signals_handled, watch_signals

if TYPE_CHECKING:
    from collections.abc import Generator

    from async_kernel.interface.process import SignalBytes
    from async_kernel.shell.cells.interrupts import SigintCounts

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture
def program() -> Generator[socket.socket]:
    """What a program's loop reads its wake-ups from, with its other end as the wake-up descriptor."""
    receiver, sender = socket.socketpair()
    receiver.setblocking(False)
    sender.setblocking(False)
    before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    with receiver, sender:
        yield receiver
        assert signal.set_wakeup_fd(before) == sender.fileno()


def test_a_lent_handler_is_called_and_the_program_is_woken_too(program: socket.socket) -> None:
    frames = []
    with signals_handled(lambda frame, _: frames.append(frame), stopping=False) as signals:
        assert signals is not None
        signal.raise_signal(signal.SIGINT)
        assert len(frames) == 1
        assert signals.take() == bytes([signal.SIGINT])
        assert program.recv(10) == bytes([signal.SIGINT])
        assert signals.take() is None


def test_only_a_launched_kernel_stops_on_sigterm() -> None:
    with signals_handled(at_once, stopping=False) as signals:
        assert signals is not None
        assert signal.SIGTERM not in signals.stopping
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    with signals_handled(at_once, stopping=True) as signals:
        assert signals is not None
        assert signal.SIGTERM in signals.stopping
        signal.raise_signal(signal.SIGTERM)
        assert signals.take() == bytes([signal.SIGTERM])
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_wakeup_descriptor_that_somebody_else_has_set_stays(program: socket.socket) -> None:
    ours = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(ours)
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    with receiver, sender:
        with signals_handled(at_once, stopping=False):
            signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        assert signal.set_wakeup_fd(ours) == sender.fileno()


def test_a_full_descriptor_of_the_program_loses_nothing_of_ours(program: socket.socket) -> None:
    with signals_handled(at_once, stopping=False) as signals:
        assert signals is not None
        filler = socket.socket(fileno=signals.hand_on_to)
        try:
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    filler.send(bytes(65536))
        finally:
            filler.detach()
        signal.raise_signal(signal.SIGINT)
        assert signals.take() == bytes([signal.SIGINT])


def test_a_signal_is_unhandled_from_its_reading_until_the_handler_is_done() -> None:
    done_with_it = False

    def on_sigint(frame: object, counts: SigintCounts) -> None:
        if done_with_it:
            at_once(frame, counts)

    with signals_handled(on_sigint, stopping=True) as signals:
        assert signals is not None
        arrived_but_not_handled(signals)
        assert signals.unhandled() == 1
        signal.raise_signal(signal.SIGINT)
        assert signals.unhandled() == 1  # the handler could not raise
        done_with_it = True
        signal.raise_signal(signal.SIGINT)
        assert signals.unhandled() == 0
        assert signals.take() == bytes([signal.SIGINT] * 2)
        assert signals.unhandled() == 0  # the handler ran for them before they were read


def test_signals_are_not_unhandled_when_the_user_handles_them() -> None:
    with signals_handled(at_once, stopping=True) as signals:
        assert signals is not None
        arrived_but_not_handled(signals)
        ours = signal.signal(signal.SIGINT, lambda *_: None)
        assert signals.unhandled() == 0
        signal.signal(signal.SIGINT, ours)
        assert signals.unhandled() == 1


@pytest.mark.trio
async def test_one_at_a_time_insists_on_signals() -> None:
    begun: list[SigintCounts] = []
    turns: list[str] = []
    with signals_handled(at_once, stopping=True) as signals:
        assert signals is not None

        async def insist(counts: SigintCounts) -> None:
            begun.append(counts)
            await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                watch_signals, signals, lambda: turns.append("stop"), lambda: turns.append("turn"), insist
            )
            for n in range(1, 4):
                arrive(signal.SIGINT)
                while len(turns) < n:
                    await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert (begun, turns) == ([signals], ["turn"] * 3)


def at_once(frame: object, counts: SigintCounts) -> None:
    counts.note_handled(counts.arrived())


def arrived_but_not_handled(signals: SignalBytes) -> None:
    """A SIGINT that was read while the main thread is in a C call: its handler has not run."""
    arrive(signal.SIGINT)
    assert signals.take() == bytes([signal.SIGINT])


def arrive(signum: signal.Signals) -> None:
    """Write what the operating system's handler writes."""
    wakeup_fd = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False)
    with socket.socket(fileno=os.dup(wakeup_fd)) as sender:
        sender.send(bytes([signum]))

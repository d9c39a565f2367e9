"""Signals: who sees them, and what a program around the kernel keeps."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from async_kernel.interface.process import signals_handled

if TYPE_CHECKING:
    from collections.abc import Generator

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
    with signals_handled(frames.append, stopping=False) as signals:
        assert signals is not None
        signal.raise_signal(signal.SIGINT)
        assert len(frames) == 1
        assert signals.take() == bytes([signal.SIGINT])
        assert program.recv(10) == bytes([signal.SIGINT])
        assert signals.take() is None


def test_only_a_launched_kernel_stops_on_sigterm() -> None:
    with signals_handled(id, stopping=False) as signals:
        assert signals is not None
        assert signal.SIGTERM not in signals.stopping
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    with signals_handled(id, stopping=True) as signals:
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
        with signals_handled(id, stopping=False):
            signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        assert signal.set_wakeup_fd(ours) == sender.fileno()


def test_a_full_descriptor_of_the_program_loses_nothing_of_ours(program: socket.socket) -> None:
    with signals_handled(id, stopping=False) as signals:
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

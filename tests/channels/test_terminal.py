"""Writing to terminals, pipes and files that may take nothing for a while."""

from __future__ import annotations

import os
import termios
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from async_kernel.channels import terminal as module
from async_kernel.channels.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX terminals")


@contextmanager
def screen() -> Generator[tuple[int, int]]:
    """A pseudo-terminal: its screen, and what a program writes to."""
    master, slave = os.openpty()
    try:
        yield master, slave
    finally:
        os.close(master)
        os.close(slave)


@contextmanager
def terminal_of(*descriptors: int) -> Generator[Terminal]:
    terminal = Terminal(descriptors)
    try:
        yield terminal
    finally:
        terminal.close()


async def read(descriptor: int, size: int) -> bytes:
    """Exactly so many bytes."""
    data = b""
    while len(data) < size:
        await trio.lowlevel.wait_readable(descriptor)
        data += os.read(descriptor, size - len(data))
    return data


@pytest.mark.trio
async def test_what_is_written_arrives_in_order() -> None:
    with screen() as (master, slave), terminal_of(slave, slave) as terminal:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(terminal.serve)
            await trio.testing.wait_all_tasks_blocked()
            terminal.write(0, b"one ")
            print("two", end="", file=terminal.stream(0))
            assert await read(master, 7) == b"one two"
            nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_what_is_written_by_other_threads_arrives() -> None:
    with screen() as (master, slave), terminal_of(slave) as terminal:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(terminal.serve)
            await trio.testing.wait_all_tasks_blocked()
            await trio.to_thread.run_sync(terminal.write, 0, b"x" * 10)
            assert await read(master, 10) == b"x" * 10
            nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_a_stopped_terminal_stops_nobody_and_gets_all_when_it_goes_on() -> None:
    with screen() as (master, slave), terminal_of(slave) as terminal:
        termios.tcflow(slave, termios.TCOOFF)  # Ctrl-S
        async with trio.open_nursery() as nursery:
            nursery.start_soon(terminal.serve)
            for _ in range(1000):
                terminal.write(0, b"x" * 100)
            await trio.testing.wait_all_tasks_blocked()  # it is reached: this loop turns
            termios.tcflow(slave, termios.TCOON)  # Ctrl-Q
            assert await read(master, 100_000) == b"x" * 100_000
            nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_a_pipe_that_nobody_reads_stops_nobody() -> None:
    reader, writer = os.pipe()
    with terminal_of(writer) as terminal:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(terminal.serve)
            terminal.write(0, b"x" * 300_000)
            await trio.testing.wait_all_tasks_blocked()
            assert await read(reader, 300_000) == b"x" * 300_000
            nursery.cancel_scope.cancel()
    os.close(reader)
    os.close(writer)


@pytest.mark.trio
async def test_what_is_too_much_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT_BYTES", 100)
    with screen() as (master, slave), terminal_of(slave) as terminal:
        termios.tcflow(slave, termios.TCOOFF)
        for _ in range(30):
            terminal.write(0, b"x" * 10)
        termios.tcflow(slave, termios.TCOON)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(terminal.serve)
            note = b"\r\n[200 bytes were left out here, as nobody took them]\r\n"
            assert await read(master, 100 + len(note)) == b"x" * 100 + note
            nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_who_prints_waits_a_little_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT_BYTES", 1)
    waits: list[float] = []
    monkeypatch.setattr(threading.Condition, "wait_for", lambda _self, _for, seconds: waits.append(seconds))
    reader, writer = os.pipe()
    with terminal_of(writer) as terminal:
        for _ in range(5):
            terminal.write(0, b"x", patient=True)
    assert waits == [module.PATIENCE]
    assert os.read(reader, 9) == b"x\n[4 byte"
    os.close(reader)
    os.close(writer)


@pytest.mark.trio
async def test_a_file_gets_all_at_the_end_if_nobody_served(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file, terminal_of(file.fileno()) as terminal:
        terminal.write(0, b"line\n" * 100_000)
    assert (tmp_path / "log").read_bytes() == b"line\n" * 100_000


@pytest.mark.trio
async def test_a_stopped_terminal_holds_up_no_end() -> None:
    with screen() as (_, slave):
        termios.tcflow(slave, termios.TCOOFF)
        with terminal_of(slave) as terminal:
            terminal.write(0, b"never seen")
        termios.tcflow(slave, termios.TCOON)


@pytest.mark.trio
async def test_a_terminal_that_has_gone_is_no_error() -> None:
    master, slave = os.openpty()
    with terminal_of(slave) as terminal:
        os.close(master)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(terminal.serve)
            terminal.write(0, b"to nobody")
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    os.close(slave)

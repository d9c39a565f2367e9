from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from async_kernel.channels.captured_fds import FdReader, captured_fds
from async_kernel.channels.output import OutputQueue, StreamRun
from async_kernel.platforms.c_stdout import flush_c_stdout

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from async_kernel.channels.captured_fds import CapturedFds

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX descriptors")

A: dict[str, Any] = {"msg_id": "a"}


@contextmanager
def capture() -> Generator[tuple[CapturedFds, Callable[[], bytes]]]:
    """Captured descriptors over a file of our own, and what that file got (pytest's capture is out of the way)."""
    with tempfile.TemporaryFile() as file:
        saved = os.dup(1), os.dup(2)
        sys.stdout.flush()
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            with captured_fds() as fds:
                yield fds, lambda: os.pread(file.fileno(), 1000, 0)
        finally:
            for target, descriptor in zip((1, 2), saved, strict=True):
                os.dup2(descriptor, target)
                os.close(descriptor)


def reading(fds: CapturedFds, **options: Any) -> tuple[FdReader, OutputQueue]:
    queue = OutputQueue(1_000_000)
    return FdReader(fds, queue, lambda: A, **options), queue


def texts(queue: OutputQueue) -> list[Any]:
    return [(item.name, "".join(item.texts)) for item in queue.take() if isinstance(item, StreamRun)]


def caught(reader: FdReader, queue: OutputQueue) -> list[Any]:
    """What the reader finds now."""
    reader.catch_up()
    return texts(queue)


def test_what_anybody_writes_is_caught() -> None:
    with capture() as (fds, written):
        reader = reading(fds)
        os.write(1, b"direct\n")
        subprocess.run(["/bin/sh", "-c", "echo child; echo error >&2"], check=True)
        found = caught(*reader)
        elsewhere = written()
    assert found == [("stdout", "direct\nchild\n"), ("stderr", "error\n")]
    assert elsewhere == b""


def test_a_forked_child_is_caught() -> None:
    with capture() as (fds, _):
        reader = reading(fds)
        code = "import os\npid = os.fork()\nif pid == 0:\n os.write(1, b'forked')\n os._exit(0)\nos.waitpid(pid, 0)"
        subprocess.run([sys.executable, "-c", code], check=True)
        assert caught(*reader) == [("stdout", "forked")]


def test_c_code_is_caught_line_by_line() -> None:
    libc = ctypes.CDLL(None)
    with capture() as (fds, _):
        reader = reading(fds)
        libc.printf(b"line\n")
        line = caught(*reader)
        libc.printf(b"half")
        flush_c_stdout()
        half = caught(*reader)
    assert (line, half) == ([("stdout", "line\n")], [("stdout", "half")])


def test_the_descriptors_are_given_back() -> None:
    def state() -> list[tuple[int, bool]]:
        return [(os.fstat(target).st_ino, os.get_inheritable(target)) for target in (1, 2)]

    with tempfile.TemporaryFile() as file:
        saved = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            before, descriptors = state(), set(Path("/proc/self/fd").iterdir())
            with captured_fds() as fds:
                os.write(fds.originals[0], b"to the original\n")
                os.write(1, b"not read by anybody\n")
                during = state()
            after, left = state(), set(Path("/proc/self/fd").iterdir())
        finally:
            os.dup2(saved, 1)
            os.close(saved)
        written = os.pread(file.fileno(), 1000, 0)
    assert (after, left, written) == (before, descriptors, b"to the original\nnot read by anybody\n")
    assert {inode for inode, _ in during}.isdisjoint(inode for inode, _ in before)


def test_without_room_for_descriptors_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [os.fstat(target).st_ino for target in (1, 2)]
    real, calls = os.pipe, iter([False, True])

    def pipe() -> tuple[int, int]:
        if next(calls):
            raise OSError(24, "Too many open files")
        return real()

    monkeypatch.setattr(os, "pipe", pipe)
    with pytest.raises(OSError, match="Too many open files"), captured_fds():
        pass
    assert [os.fstat(target).st_ino for target in (1, 2)] == before


def test_a_character_in_two_halves_is_put_together() -> None:
    with capture() as (fds, _):
        reader = reading(fds)
        os.write(1, "é".encode()[:1])
        first = caught(*reader)
        os.write(1, "é".encode()[1:] + b"\xff\n")
        assert (first, caught(*reader)) == ([], [("stdout", "é\ufffd\n")])


def test_an_echo_gets_what_is_read() -> None:
    echoed: list[tuple[int, bytes]] = []
    with capture() as (fds, _):
        reader = reading(fds, echo=lambda index, data: echoed.append((index, data)))
        os.write(1, b"twice\n")
        os.write(2, b"error\n")
        found = caught(*reader)
    assert found == [("stdout", "twice\n"), ("stderr", "error\n")]
    assert echoed == [(0, b"twice\n"), (1, b"error\n")]


def test_what_a_child_wrote_stands_before_what_comes_next() -> None:
    with capture() as (fds, _):
        reader, queue = reading(fds)
        queue.write("stdout", "before\n", A)
        os.write(1, b"child\n")
        reader.catch_up()
        queue.write("stdout", "after\n", A)
    assert texts(queue) == [("stdout", "before\nchild\nafter\n")]


def test_a_full_pipe_is_caught_whole() -> None:
    with capture() as (fds, _):
        reader = reading(fds)
        size = 65536
        os.write(1, b"x" * size)
        assert caught(*reader) == [("stdout", "x" * size)]


def test_it_belongs_to_the_cell_that_runs() -> None:
    with capture() as (fds, _):
        reader, queue = reading(fds)
        os.write(1, b"x")
        reader.catch_up()
    assert [item.parent for item in queue.take()] == [A]


@pytest.mark.trio
async def test_the_task_streams_what_comes() -> None:
    queue = OutputQueue(1000)
    with capture() as (fds, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(FdReader(fds, queue, lambda: A).serve)
            os.write(2, b"error\n")
            while queue.is_empty:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert texts(queue) == [("stderr", "error\n")]


@pytest.mark.trio
async def test_reading_pauses_while_output_is_held_up() -> None:
    queue = OutputQueue(10)
    queue.attach(lambda: None)
    queue.write("stdout", "x" * 100, A)
    with capture() as (fds, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(FdReader(fds, queue, lambda: A).serve)
            os.write(1, b"waits\n")
            await trio.testing.wait_all_tasks_blocked(0.01)
            before = texts(queue)
            queue.sent(1000)
            while queue.is_empty:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert (before, texts(queue)) == ([("stdout", "x" * 100)], [("stdout", "waits\n")])

"""What C code and child processes write to file descriptors 1 and 2, as streams of the cell that runs.

:func:`captured_fds` puts a pipe in the place of both descriptors and gives the very same open files back afterwards;
it is for a kernel that owns its process, never for an embedded one.

:class:`FdReader` moves what comes into the output queue, and whoever puts something else there calls
:meth:`FdReader.catch_up` before, in his own thread: so what a child process wrote before it ended stands before what
the cell prints next, and before its ``idle``. In between a task of the I/O loop reads. It pauses while output is held
up: the pipe fills, and the child waits.

C's own buffer of stdout becomes line-buffered, as on a terminal: otherwise a ``printf`` would stay in it until the
kernel ends. For a cell that prints half a line from C it is flushed (not in the I/O loop, which empties the pipe).
"""

from __future__ import annotations

import codecs
import os
import sys
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import trio

from async_kernel.platforms.c_stdout import buffer_c_stdout_by_line, flush_c_stdout
from async_kernel.platforms.events import make_probe

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from async_kernel.channels.output import OutputQueue
    from async_kernel.typing import Header, StreamName

    Parent = Header | Mapping[str, Any] | None

__all__ = ["CapturedFds", "FdReader", "captured_fds"]

_NAMES: Final[tuple[StreamName, StreamName]] = ("stdout", "stderr")
_READ_BYTES: Final = 1 << 16
"""The capacity of a pipe (pipe(7))."""
_READS_PER_PIPE: Final = 2
"""So many reads get what was there before the first, even if it had grown; a busy writer does not hold us up."""


class CapturedFds(NamedTuple):
    """Descriptors of a capture, for stdout and stderr each.

    Attributes:
        pipes: ends to read from, non-blocking.
        originals: where the descriptors led before: for a log, an echo.
    """

    pipes: tuple[int, int]
    originals: tuple[int, int]


@contextmanager
def captured_fds() -> Generator[CapturedFds]:
    """Catch what is written to descriptors 1 and 2 while open; afterwards they are what they were.

    What nobody has read by then goes where it would have gone without us.

    A child process that lives on and writes then gets ``SIGPIPE``, as when a terminal closes.

    Raises:
        OSError: if 1 or 2 are not open, or there are no descriptors left; then nothing is changed.
    """
    with ExitStack() as stack:
        pipes: list[int] = []
        originals: list[int] = []
        for target in (1, 2):
            _flush_python(target)
            flush_c_stdout()
            original = os.dup(target)
            stack.callback(os.close, original)
            reader, writer = os.pipe()
            stack.callback(os.close, reader)
            os.set_blocking(reader, False)
            stack.callback(_give_back, original, target, reader, inheritable=os.get_inheritable(target))
            os.dup2(writer, target)
            os.close(writer)
            pipes.append(reader)
            originals.append(original)
        buffer_c_stdout_by_line()
        yield CapturedFds((pipes[0], pipes[1]), (originals[0], originals[1]))


class FdReader:
    """Reads captured descriptors into the output queue.

    Args:
        queue: where the text goes.
        parent: the header of the cell that is running, or ran last; None for none.
        echo: gets what is read, too: 0 or 1 for stdout or stderr, and the bytes. It must not block.
    """

    def __init__(
        self,
        fds: CapturedFds,
        queue: OutputQueue,
        parent: Callable[[], Parent],
        *,
        echo: Callable[[int, bytes], object] | None = None,
    ) -> None:
        self._fds = fds
        self._queue = queue
        self._parent = parent
        self._echo = echo
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = (decoder("replace"), decoder("replace"))
        self._probe = make_probe(fds.pipes)

    def catch_up(self) -> None:
        """Put into the queue what was written before this call. Any thread; never waits; cheap if there is nothing."""
        try:
            if self._probe is not None and not self._probe.poll(0, 1):
                return
        except ValueError:
            return  # closed
        for index in (0, 1):
            for _ in range(_READS_PER_PIPE):
                if not self._move(index):
                    break

    async def serve(self) -> None:
        """Move what comes, in the I/O loop, until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                for index in (0, 1):
                    nursery.start_soon(self._serve_one, index)
        finally:
            if self._probe is not None:
                self._probe.close()

    async def _serve_one(self, index: int) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._fds.pipes[index])
            while self._queue.is_full:
                room = trio.Event()
                self._queue.call_when_there_is_room(room.set)
                await room.wait()
            self._move(index)

    def _move(self, index: int) -> bool:
        """Move what one read gets; whether there was anything."""
        # The queue's own lock, from reading until the text is there: the order of the pipe is the order in the queue.
        with self._queue.lock:
            try:
                data = os.read(self._fds.pipes[index], _READ_BYTES)
            except BlockingIOError:
                return False
            if text := self._decoders[index].decode(data):
                self._queue.write(_NAMES[index], text, self._parent(), wait=False)
        if self._echo is not None:
            self._echo(index, data)
        return True


def _flush_python(target: int) -> None:
    stream = sys.__stdout__ if target == 1 else sys.__stderr__
    if stream is not None and not stream.closed:
        stream.flush()


def _give_back(original: int, target: int, pipe: int, *, inheritable: bool) -> None:
    # First the descriptor, then what is still buffered for it: nobody reads the pipe now, it could be full.
    os.dup2(original, target, inheritable=inheritable)
    with suppress(OSError):  # the terminal has gone: nobody to tell
        _flush_python(target)
        flush_c_stdout()
        while data := os.read(pipe, _READ_BYTES):
            _write_all(original, data)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]

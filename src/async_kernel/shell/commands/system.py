"""Child processes that a cell waits for: ``!command``, ``%%bash``, ``x = !command``.

The child has a session and process group of its own and nothing to read. Its output reaches the cell's streams
while it runs; with ``terminal`` it has pseudo-terminals to write to, so that it does not hold its lines back and
shows colours and progress. Where the cell can await, a thread of the child's own waits for it (:func:`await_child`)
and other tasks go on meanwhile; elsewhere the cell's thread does (:func:`run_child`). An interrupt or cancellation
goes to the whole group: SIGINT, and if that does not end it, SIGTERM and SIGKILL; then it goes on. What the group
leaves behind in the background may live on.

POSIX only; on Windows the shell uses IPython's own way.
"""

from __future__ import annotations

import codecs
import errno
import os
import selectors
import signal
import subprocess
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from async_kernel.lifetime.owned_thread import run_in_owned_thread
from async_kernel.platforms.processes import open_end, signal_group
from async_kernel.platforms.signals import KILL
from async_kernel.platforms.terminals import open_pseudo_terminal
from async_kernel.shell.cells.cell import current_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO

__all__ = ["await_child", "child_environment", "end_group", "run_child", "shell_command"]

_GRACE_S = 0.5  # between the signals that end a child: time to clean up, and still an interrupt for who waits
_CHUNK = 65536
_ESCALATION = (signal.SIGINT, signal.SIGTERM, KILL)

Write = "Callable[[str], object]"


def shell_command(command: str) -> list[str]:
    """The user's shell with a command line for it."""
    shell = os.environ.get("SHELL", "")
    return [shell if os.access(shell, os.X_OK) else "/bin/sh", "-c", command]


def child_environment() -> dict[str, str]:
    """The environment of a child with a terminal: one that nobody types in, so that nothing must wait for a key."""
    environment = dict(os.environ)
    if environment.get("TERM", "dumb") == "dumb":
        environment["TERM"] = "xterm-256color"
    return environment | {"PAGER": "cat", "GIT_PAGER": "cat", "MANPAGER": "cat"}


def run_child(
    command: Sequence[str],
    *,
    out: Callable[[str], object],
    err: Callable[[str], object] | None,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    terminal: bool = False,
    stop: Stop | None = None,
) -> int:
    """Run a child and wait for it, handing on what it writes.

    Args:
        command: the program and its arguments.
        stdin: what it reads.
        out: called with its output.
        err: called with what it writes to stderr; None: that goes to ``out``, in the order in which it is written.
        terminal: whether it writes to pseudo-terminals.
        stop: ends it from another thread, as an interrupt of the cell does.

    Returns:
        its exit code; that of a child ended by a signal is the signal's number, negative.

    Raises:
        OSError: if it cannot be started.
        KeyboardInterrupt: if the cell was interrupted; the child has ended.
    """
    with ExitStack() as stack:
        with ExitStack() as until_started:
            ends = [_open_ends(stack, until_started, terminal=terminal) for _ in range(1 if err is None else 2)]
            readers = {
                reading: _Reader(reading, write or out) for (reading, _), write in zip(ends, (out, err), strict=False)
            }
            process = subprocess.Popen(  # noqa: S603 -- the user's command
                command,
                stdin=stdin,
                stdout=ends[0][1],
                stderr=ends[-1][1],
                env=child_environment() if terminal else None,
                start_new_session=True,
            )
            stack.callback(end_group, process)
        _Relay(process, readers, stop or Stop(), stack).run()
        code = process.returncode
    return code if code <= 128 else 128 - code


async def await_child(command: Sequence[str], **options: Any) -> int:
    """As :func:`run_child`, while other tasks go on; a cancellation ends the child before it goes on."""
    with Stop() as stop:

        def wait() -> int | None:
            try:
                return run_child(command, stop=stop, **options)
            except KeyboardInterrupt:
                if stop.asked:
                    return None  # the cancellation that asked for it goes on
                raise

        code = await run_in_owned_thread(wait, name=f"!{command[-1][:40]}", cancel=stop.ask)
    return code or 0


def end_group(process: subprocess.Popen[Any]) -> None:
    """End a child that still runs, with all its group, at once."""
    if process.poll() is None:
        signal_group(process.pid, _ESCALATION[-1])
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _open_ends(reader: ExitStack, writer: ExitStack, *, terminal: bool) -> tuple[int, int]:
    """A reading and a writing descriptor, each closed with its stack."""
    reading, writing = open_pseudo_terminal() if terminal else os.pipe()
    reader.callback(os.close, reading)
    writer.callback(os.close, writing)
    os.set_blocking(reading, False)
    return reading, writing


class _Reader:
    """Decodes what comes from a descriptor and hands it on."""

    def __init__(self, fd: int, write: Callable[[str], object]) -> None:
        self._fd = fd
        self._write = write
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self) -> bool:
        """Read what is there; False at its end."""
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return True
        except OSError as exc:
            if exc.errno != errno.EIO:  # how a pseudo-terminal says that nobody has its other end any more
                raise
            data = b""
        text = self._decoder.decode(data, final=not data)
        if text:
            self._write(text)
        return bool(data)

    def drain(self) -> None:
        """Read what is there and no more: somebody in the background may hold the other end."""
        with selectors.DefaultSelector() as ready:
            ready.register(self._fd, selectors.EVENT_READ)
            while ready.select(0) and self.read():
                pass


class Stop:
    """Asks whoever waits for a child to end it, from any thread, until it is closed.

    Attributes:
        reading: a descriptor that is ready when that was asked.
        asked: whether it was asked by :meth:`ask`.
    """

    def __init__(self) -> None:
        self.reading: int
        self.reading, self._writing = os.pipe()
        self.asked: bool = False
        self._lock = threading.Lock()
        self._open = True

    def ask(self) -> None:
        """End the child."""
        self.asked = True
        self.wake(None)

    def wake(self, _: BaseException | None) -> None:
        """End the child, since its cell is being cut short."""
        with self._lock:
            if self._open:
                os.write(self._writing, b"!")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._open:
                self._open = False
                os.close(self._writing)
                os.close(self.reading)


class _Relay:
    """Waits for a child while its output passes through."""

    def __init__(
        self, process: subprocess.Popen[Any], readers: dict[int, _Reader], stop: Stop, stack: ExitStack
    ) -> None:
        self._process = process
        self._readers = readers
        self._selector = stack.enter_context(selectors.DefaultSelector())
        for fd in readers:
            self._selector.register(fd, selectors.EVENT_READ)
        self._ended = self._watch_end(stack)
        self._interrupted = self._watch_interrupts(stop, stack)
        self._sent = 0
        self._deadline: float | None = None

    def _watch_end(self, stack: ExitStack) -> int | None:
        """A descriptor that is ready when the child has ended, where there is such a thing."""
        fd = open_end(self._process.pid)
        if fd is None:
            return None
        stack.callback(os.close, fd)
        self._selector.register(fd, selectors.EVENT_READ)
        return fd

    def _watch_interrupts(self, stop: Stop, stack: ExitStack) -> int:
        """A descriptor that is ready when the cell is cut short: in a worker thread no signal ends the waiting."""
        stack.enter_context(stop)
        cell = current_cell.get()
        if cell is not None:
            stack.enter_context(cell.waiting(stop.wake))
        self._selector.register(stop.reading, selectors.EVENT_READ)
        return stop.reading

    def run(self) -> None:
        """Wait until the child has ended; after an interrupt, until nobody of its group writes any more.

        Raises:
            KeyboardInterrupt: if the cell was interrupted.
        """
        interrupt: KeyboardInterrupt | None = None
        while True:
            try:
                if self._turn():
                    break
            except KeyboardInterrupt as exc:  # the same interrupt may come as a signal and through the cell
                if interrupt is None:
                    self._escalate()
                interrupt = exc
        for reader in self._readers.values():
            reader.drain()
        if interrupt is not None:
            signal_group(self._process.pid, _ESCALATION[-1])  # who is left has not written to the cell
            raise interrupt

    def _turn(self) -> bool:
        """Wait for something and serve it; True when it is over."""
        timeout = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
        events = self._selector.select(timeout)
        if not events and timeout is not None:
            self._escalate()
        for key, _ in events:
            if key.fd in self._readers:
                if not self._readers[key.fd].read():
                    self._selector.unregister(key.fd)
            elif key.fd == self._interrupted:
                self._selector.unregister(key.fd)
                raise KeyboardInterrupt
            elif key.fd == self._ended:
                self._selector.unregister(key.fd)
        silent = not any(fd in self._selector.get_map() for fd in self._readers)
        if self._ended is None and silent:
            self._process.wait()
        ended = self._process.poll() is not None
        return ended and (silent or self._sent == 0 or self._sent > len(_ESCALATION))

    def _escalate(self) -> None:
        """Send the group the next signal."""
        signum = _ESCALATION[min(self._sent, len(_ESCALATION) - 1)]
        self._sent += 1
        self._deadline = time.monotonic() + _GRACE_S
        signal_group(self._process.pid, signum)

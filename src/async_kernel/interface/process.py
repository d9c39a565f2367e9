"""What a kernel does with its process when it is launched as one: signals, the parent, the children, the last resort.

None of this happens when a kernel is embedded. Signals are noticed twice: a Python handler runs in the main thread at its next
bytecode, which is what raises KeyboardInterrupt in a cell; and the number is written to a socket that the I/O loop reads,
so that SIGTERM is obeyed while C code keeps the main thread. The parent's death is an event of the operating system,
not a poll.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Generator

__all__ = ["end_children", "leave_threads", "signals_handled", "watch_parent", "watch_signals"]

STOPPING_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]


@contextmanager
def signals_handled(on_sigint: Callable[[Any], object], *, stopping: bool) -> Generator[socket.socket | None]:
    """Handle SIGINT by ``on_sigint(frame)``, and let stopping signals be seen by the socket that this yields.

    To be used in the main thread; elsewhere it does nothing and yields None.

    Args:
        stopping: whether SIGTERM and SIGHUP are ours too (a launched kernel).
    """
    if not _in_main_thread():
        yield None
        return
    with ExitStack() as stack:

        def handle(signum: int, frame: Any) -> None:
            on_sigint(frame)

        def seen_by_the_io_loop(signum: int, frame: Any) -> None:
            """The wake-up descriptor has told the I/O loop."""

        previous = signal.signal(signal.SIGINT, handle)
        stack.callback(_give_back, signal.SIGINT, handle, previous)
        if not stopping:
            yield None
            return
        for signum in STOPPING_SIGNALS:
            stack.callback(_give_back, signum, seen_by_the_io_loop, signal.signal(signum, seen_by_the_io_loop))
        receiver, sender = socket.socketpair()
        stack.callback(receiver.close)
        stack.callback(sender.close)
        receiver.setblocking(False)
        sender.setblocking(False)
        previous_fd = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        stack.callback(signal.set_wakeup_fd, previous_fd)
        yield receiver


def _give_back(signum: int, ours: Any, previous: Any) -> None:
    if signal.getsignal(signum) is ours:
        signal.signal(signum, previous)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


async def watch_signals(receiver: socket.socket, stop: Callable[[], object], came: Callable[[bytes], object]) -> None:
    """In the I/O loop: tell ``came`` the numbers of signals that have come, and stop on SIGTERM or SIGHUP."""
    while True:
        await trio.lowlevel.wait_readable(receiver)
        try:
            numbers = receiver.recv(4096)
        except BlockingIOError:
            continue
        if not numbers:
            return
        came(numbers)
        if any(number in STOPPING_SIGNALS for number in numbers):
            stop()


async def watch_parent(pid: int, stop: Callable[[], object], log: logging.Logger) -> None:
    """In the I/O loop: stop when the process ``pid`` (on Windows: of that handle) has ended."""
    if sys.platform == "win32":
        await trio.lowlevel.WaitForSingleObject(pid)
    elif sys.platform == "darwin":
        await _parent_ended_kqueue(pid)
    elif hasattr(os, "pidfd_open"):
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            pass
        else:
            try:
                await trio.lowlevel.wait_readable(fd)
            finally:
                os.close(fd)
    else:
        log.warning("The death of the parent process cannot be noticed on this platform.")
        return
    log.warning("The parent process (%s) has ended: stopping.", pid)
    stop()


async def _parent_ended_kqueue(pid: int) -> None:  # pragma: no cover -- macOS
    import select  # noqa: PLC0415

    kqueue = trio.lowlevel.current_kqueue()  # pyright: ignore[reportAttributeAccessIssue] -- exists on macOS
    event = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD | select.KQ_EV_ONESHOT, select.KQ_NOTE_EXIT)  # pyright: ignore
    with trio.lowlevel.monitor_kevent(pid, select.KQ_FILTER_PROC) as queue:  # pyright: ignore
        try:
            kqueue.control([event], 0)
        except ProcessLookupError:
            return
        async for _ in queue:
            return


def leave_threads(grace_s: float, log: logging.Logger) -> None:
    """Wait for threads that user code left, and end the process with exit code 0 if one does not end in ``grace_s``.

    Daemon threads are not waited for. To be called last, in the main thread of a launched kernel.
    """
    until = time.monotonic() + grace_s
    left = [thread for thread in threading.enumerate() if thread is not threading.current_thread() and not thread.daemon]
    for thread in left:
        thread.join(max(0.0, until - time.monotonic()))
    alive = [thread.name for thread in left if thread.is_alive()]
    if not alive:
        return
    log.warning("Ending the process although threads of user code still run: %s", ", ".join(alive))
    atexit._run_exitfuncs()  # noqa: SLF001 -- what a normal end would do, had it not to wait for them
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(0)


def end_children(grace_s: float, log: logging.Logger) -> None:
    """Ask the child processes that user code left to end, and end those that do not within ``grace_s`` seconds."""
    import psutil  # noqa: PLC0415 -- only at the end

    children = psutil.Process().children(recursive=True)
    if not children:
        return
    for child in children:
        _signal_child(child, "terminate")
    _, alive = psutil.wait_procs(children, timeout=grace_s)
    for child in alive:
        log.warning("Killing child process %s, which did not end when asked.", child.pid)
        _signal_child(child, "kill")
    psutil.wait_procs(alive, timeout=grace_s)


def _signal_child(child: Any, how: str) -> None:
    import psutil  # noqa: PLC0415

    try:
        getattr(child, how)()
    except psutil.NoSuchProcess:
        return

"""What a kernel does with its process when it is launched as one: signals, the parent, the children, the last resort.

None of this happens when a kernel is embedded, but for SIGINT if the program lends it. Signals are noticed twice: a
Python handler runs in the main thread at its next bytecode, which is what raises KeyboardInterrupt in a cell; and the
number is written to a socket that the I/O loop reads, so that SIGTERM is obeyed while C code keeps the main thread. The
parent's death is an event of the operating system, not a poll.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import trio

from async_kernel.lifetime.late_import import late_import
from async_kernel.platforms.forks import at_fork
from async_kernel.platforms.processes import wait_until_ended
from async_kernel.platforms.signals import STOPPING_SIGNALS, WAKEUP_FD_CAN_BE_WRITTEN

if TYPE_CHECKING:
    import logging
    from collections.abc import Awaitable, Callable, Generator

    from async_kernel.shell.cells.interrupts import SigintCounts

__all__ = ["end_children", "leave_threads", "signals_handled", "watch_parent", "watch_signals"]


class SignalBytes:
    """Where the numbers of signals arrive, in the order in which the operating system delivers them.

    A signal is delivered twice: its number is written at once, and Python's handler runs when the main thread comes to
    its next bytecode. So each side counts how many SIGINTs it has seen, and the I/O loop knows which of those that it
    has read the handler has not seen yet.

    Args:
        receiver: has a byte for each signal, whatever the main thread is doing.
        stopping: the signals among them that stop the kernel.
        hand_on_to: the wake-up descriptor of the program around us, -1 if there is none.
        is_ours: whether the handler of SIGINT is still the one that calls :meth:`note_handled`.
    """

    def __init__(
        self, receiver: socket.socket, stopping: frozenset[int], hand_on_to: int, is_ours: Callable[[], bool]
    ) -> None:
        self.receiver = receiver
        self.stopping = stopping
        self.hand_on_to = hand_on_to
        self._is_ours = is_ours
        # Reentrant, for a handler may run in the middle of another one.
        self._counting = threading.RLock()
        self._interrupts = 0
        self._handled = 0

    def take(self) -> bytes | None:
        """The numbers that have come, handed on; empty when there will be no more, None if there are none yet."""
        with self._counting:
            try:
                numbers = self.receiver.recv(4096)
            except BlockingIOError:
                return None
            self._interrupts += numbers.count(signal.SIGINT)
        if numbers and self.hand_on_to >= 0:
            with suppress(OSError):  # it is full, or the program's loop has closed it
                os.write(self.hand_on_to, numbers)
        return numbers

    def arrived(self) -> int:
        """How many SIGINTs have come so far, read or not: Python's handler, when it begins, is for all of them."""
        with self._counting:
            try:
                unread = self.receiver.recv(4096, socket.MSG_PEEK)
            except BlockingIOError:
                unread = b""
            return self._interrupts + unread.count(signal.SIGINT)

    def note_handled(self, arrived: int) -> None:
        """Python's handler is done with the first so many."""
        self._handled = max(self._handled, arrived)

    def unhandled(self) -> int:
        """How many SIGINTs were read that Python's handler is not done with; 0 if somebody else handles them."""
        with self._counting:
            return max(0, self._interrupts - self._handled) if self._is_ours() else 0


class HandlerRuns:
    """Counts SIGINTs where their numbers cannot be read: each run of Python's handler is for one."""

    def __init__(self) -> None:
        self._runs = 0

    def arrived(self) -> int:
        """One more."""
        self._runs += 1
        return self._runs

    def note_handled(self, arrived: int) -> None:
        """Nobody waits for it."""

    def unhandled(self) -> int:
        """None is known of before its handler runs."""
        return 0


@contextmanager
def signals_handled(
    on_sigint: Callable[[Any, SigintCounts], object], *, stopping: bool
) -> Generator[SignalBytes | None]:
    """Handle SIGINT by ``on_sigint(frame)``, and let all signals be seen by the socket that this yields.

    To be used in the main thread; elsewhere it does nothing and yields None. A program that has lent its handler of
    SIGINT keeps its own wake-up descriptor: what ours gets is handed on to it.

    Args:
        on_sigint: called by the handler with the frame that was interrupted; what it raises is raised there. It
            calls its second argument unless the signal is to be sent again.
        stopping: whether SIGTERM and SIGHUP are ours too (a launched kernel).
    """
    if not _in_main_thread():
        yield None
        return
    with ExitStack() as stack:
        counts: SigintCounts = HandlerRuns()

        def handle(signum: int, frame: Any) -> None:
            on_sigint(frame, counts)

        def seen_by_the_io_loop(signum: int, frame: Any) -> None:
            """The wake-up descriptor has told the I/O loop."""

        in_child = stack.enter_context(_given_back_in_forks())

        def give_back(function: Callable[..., object], *args: Any) -> None:
            stack.callback(function, *args)
            in_child.append(partial(function, *args))

        previous = signal.signal(signal.SIGINT, handle)
        give_back(_give_back, signal.SIGINT, handle, previous)
        if not stopping and not WAKEUP_FD_CAN_BE_WRITTEN:
            yield None  # nothing could be handed on
            return
        ending = frozenset(STOPPING_SIGNALS if stopping else ())
        for signum in ending:
            give_back(_give_back, signum, seen_by_the_io_loop, signal.signal(signum, seen_by_the_io_loop))
        receiver, sender = socket.socketpair()
        stack.callback(receiver.close)
        stack.callback(sender.close)
        receiver.setblocking(False)
        sender.setblocking(False)
        previous_fd = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        give_back(_give_back_wakeup_fd, sender.fileno(), previous_fd)
        hand_on_to = -1 if stopping else previous_fd
        counts = SignalBytes(receiver, ending, hand_on_to, lambda: signal.getsignal(signal.SIGINT) is handle)
        yield counts


_to_give_back_in_forks: list[list[Callable[[], object]]] = []


@contextmanager
def _given_back_in_forks() -> Generator[list[Callable[[], object]]]:
    """What is in the list is called in children that are forked meanwhile: a signal to a child is not for the kernel.

    A child has the handlers of its parent, and the other end of its socket. Signals wait while it comes into being.
    """
    _watch_forks()
    calls: list[Callable[[], object]] = []
    _to_give_back_in_forks.append(calls)
    try:
        yield calls
    finally:
        _to_give_back_in_forks.remove(calls)


@cache
def _watch_forks() -> None:
    """There is no way back: a hook of the interpreter cannot be removed. With an empty list it does nothing."""
    at_fork(before=_hold_signals, after_in_parent=_release_signals, after_in_child=_give_back_in_fork)


_held: ContextVar[set[Any] | None] = ContextVar("async_kernel_held_signals", default=None)


def _hold_signals() -> None:
    if _to_give_back_in_forks:
        _held.set(signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *STOPPING_SIGNALS}))


def _release_signals() -> None:
    mask = _held.get()
    if mask is not None:
        _held.set(None)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _give_back_in_fork() -> None:
    for calls in _to_give_back_in_forks:
        for call in reversed(calls):
            call()
    _to_give_back_in_forks.clear()
    _release_signals()


def _give_back(signum: int, ours: Any, previous: Any) -> None:
    if signal.getsignal(signum) is ours:
        signal.signal(signum, previous)


def _give_back_wakeup_fd(ours: int, previous: int) -> None:
    now = signal.set_wakeup_fd(previous)
    if now != ours:
        signal.set_wakeup_fd(now)  # somebody has put theirs in its place since, and that stays


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


async def watch_signals(
    signals: SignalBytes,
    stop: Callable[[], object],
    turn: Callable[[], object],
    insist: Callable[[SigintCounts], Awaitable[object]],
) -> None:
    """In the I/O loop: see to it that signals are handled.

    Args:
        signals: where they arrive.
        stop: called when one has come that stops the kernel.
        turn: called for each: lets the shell's loop turn, so that Python's handlers run.
        insist: makes sure that a cell feels SIGINTs; one call at a time.
    """
    async with trio.open_nursery() as nursery:
        insisting = False

        async def insist_once() -> None:
            nonlocal insisting
            await insist(signals)
            insisting = False

        while True:
            await trio.lowlevel.wait_readable(signals.receiver)
            numbers = signals.take()
            if numbers is None:
                continue
            if not numbers:
                return
            if signal.SIGINT in numbers and not insisting:
                insisting = True
                nursery.start_soon(insist_once)
            turn()
            if not signals.stopping.isdisjoint(numbers):
                stop()


async def watch_parent(pid: int, stop: Callable[[], object], log: logging.Logger) -> None:
    """In the I/O loop: stop when the process ``pid`` (on Windows: of that handle) has ended."""
    if not await wait_until_ended(pid):
        log.warning("The death of the parent process cannot be noticed on this platform.")
        return
    log.warning("The parent process (%s) has ended: stopping.", pid)
    stop()


def leave_threads(grace_s: float, log: logging.Logger) -> None:
    """Wait for threads that user code left, and end the process with exit code 0 if one does not end in ``grace_s``.

    Daemon threads are not waited for. To be called last, in the main thread of a launched kernel.
    """
    until = time.monotonic() + grace_s
    here = threading.current_thread()
    left = [thread for thread in threading.enumerate() if thread is not here and not thread.daemon]
    for thread in left:
        thread.join(max(0.0, until - time.monotonic()))
    alive = [thread.name for thread in left if thread.is_alive()]
    if not alive:
        return
    log.warning("Ending the process although threads of user code still run: %s", ", ".join(alive))
    atexit._run_exitfuncs()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] -- what a normal end would do, had it not to wait for them
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(0)


def end_children(grace_s: float, log: logging.Logger) -> None:
    """Ask the child processes that user code left to end, and end those that do not within ``grace_s`` seconds.

    But not a resource tracker of multiprocessing or loky, which such requests do not reach: it ends by itself when all
    that it serves have ended, this process last, and gives back what they left.
    """
    try:
        psutil = late_import("psutil")
    except Exception as exc:  # noqa: BLE001 -- user code may have broken whatever an import needs
        log.warning("Child processes cannot be looked for: %s: %s", type(exc).__name__, exc)
        return
    children = [child for child in psutil.Process().children(recursive=True) if not _is_resource_tracker(child)]
    if not children:
        return
    for child in children:
        _signal_child(child, "terminate")
    _, alive = psutil.wait_procs(children, timeout=grace_s)
    for child in alive:
        log.warning("Killing child process %s, which did not end when asked.", child.pid)
        _signal_child(child, "kill")
    psutil.wait_procs(alive, timeout=grace_s)


def _is_resource_tracker(child: Any) -> bool:
    psutil = late_import("psutil")
    try:
        return any("resource_tracker import main" in argument for argument in child.cmdline())
    except psutil.Error:
        return False


def _signal_child(child: Any, how: str) -> None:
    psutil = late_import("psutil")
    try:
        getattr(child, how)()
    except psutil.NoSuchProcess:
        return

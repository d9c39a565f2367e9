"""The lookout: the I/O loop stays awake a moment for the answers to a request that it hands on.

Waking a thread costs a system call here and a switch there; then both want the GIL, and a loop of tasks has to go to
sleep and to wake. But whoever hands a request to another thread knows that something will come. So the shell channel
says that before it does (:meth:`Lookout.expect`: the other thread may run at once), and then waits for it here, for a
millisecond and without going through its loop (:meth:`Lookout.stay`). Until then nobody wakes a task for messages and
replies. Only ``idle``, which comes after all else, is looked for at once. (A ring in the middle would pass on the GIL
there, and two threads would want it.) A cell that takes longer than the millisecond has its ``busy`` seen then,
whatever it does, and what it shows afterwards wakes the owner of iopub. (Text has rules of its own, see
:mod:`~async_kernel.channels.iopub`.)

What comes for another task of the loop, or rings for it, ends the stay at once, but for what only trio knows of (calls
from other threads, its clock, files): that waits for the millisecond, two at most. Then the loop has its turn.

Nothing stays behind. A stay follows each promise before the loop has its turn, so that the owner of iopub sleeps all
the while; and it ends with a look, after the promise was taken back. A thread puts something in its place first, and
asks :meth:`Lookout.covers` afterwards: if that is true, the look is still to come. The ring of this module only makes
it come sooner; and what rings for a task is left to that task.

Without epoll (not on Linux) nobody stays, and each message wakes a task.
"""

from __future__ import annotations

import os
import select
import threading
import time
from typing import TYPE_CHECKING, Final

from async_kernel.platforms.events import HAVE_EVENTFD, make_probe, open_event, read_event, set_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Lookout"]

STAY_S: Final = 0.001
"""Seconds to stay: longer than most small cells take, and too short for anybody to notice."""


class Lookout:
    """Where the I/O loop waits for answers. :meth:`covers` is for any thread, all else for the I/O loop."""

    def __init__(self) -> None:
        self._coming = False
        self._look: Callable[[], object] | None = None
        self._probe: select.epoll | None = None
        self._event = -1
        self._rung = False
        # A thread must not ring a number that means another file by now. Reentrant: finalizers print anywhere.
        self._lock = threading.RLock()

    def open(self, descriptors: Iterable[int | None]) -> None:
        """Get ready to stay; what becomes readable in ``descriptors`` ends a stay. :meth:`close` it."""
        if HAVE_EVENTFD:
            self._event = open_event()
            self._probe = make_probe([self._event, *(each for each in descriptors if each is not None)])

    def close(self) -> None:
        """Stay no more. Idempotent."""
        with self._lock:
            probe, self._probe = self._probe, None
            if probe is not None:
                probe.close()
                os.close(self._event)

    def may_look(self, look: Callable[[], object] | None) -> None:
        """The owner of iopub sleeps, and ``look`` may send for it; None: it is awake, and nobody stays."""
        self._look = look

    def expect(self) -> None:
        """Something will come; :meth:`stay` follows before the loop has its turn, so that nobody need wake a task."""
        self._coming = self._look is not None and self._probe is not None

    def stay(self, until: float) -> bool:
        """Wait for what is expected and look for it, until something else comes; whether it has, in time.

        Args:
            until: in seconds of :func:`time.perf_counter`. Whole milliseconds are waited for: it may be one later.
        """
        probe, look = self._probe, self._look
        if not self._coming or probe is None or look is None:
            return False
        only_rung = [(self._event, select.EPOLLIN)]
        ready: list[tuple[int, int]] = []
        try:
            while (left := until - time.perf_counter()) > 0:
                ready = probe.poll(left, 2)
                if ready != only_rung:
                    break
                read_event(self._event)
                self._rung = False  # after the reading: nothing is noted that was read already
                look()
        finally:
            self._coming = False
        look()
        return left > 0 and bool(ready)

    def covers(self, *, awaited: bool = False) -> bool:
        """Whether what was put in its place just now will be seen without waking anybody; if ``awaited``, at once."""
        if not self._coming:
            return False
        if awaited and not self._rung:
            self._rung = True
            try:
                with self._lock:
                    if self._probe is not None:
                        set_event(self._event)
            except BaseException:  # an interrupt in this thread: the next call must ring
                self._rung = False
                raise
        return True

"""What waits to be published: the side of iopub that the producing threads see.

Any thread puts messages and stream text in; one owner (:mod:`~async_kernel.channels.iopub`) takes everything out, in
order. Text is kept raw and joined where it lies: as long as nothing else of the same cell came in between, a write is
an append to a list. All else happens under one lock (a reentrant one: a signal handler or a finalizer that prints may
run anywhere, in the middle of a print of the same thread, too).

A print that goes where that before it went takes no lock, which would be a seventh of its cost. What makes this safe is
an order: the owner says that a run is queued no more, and then drains it; a producer appends, and then looks whether it
is still queued. So a text that was appended too late to be drained is seen by its producer, who queues the run again.
(Single steps on lists, and the adding up of the size, are not interrupted by other threads: CPython's GIL.)

The queue is bounded by back-pressure: whoever puts in something while more than the limit waits is held up until half
of it has gone. A single thing of any size is taken; its producer waits afterwards. The wait holds no lock and ends
when the owner has made room or is gone; an exception from a signal handler breaks it. The owner's thread never waits.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from async_kernel.channels.lookout import Lookout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from async_kernel.typing import Header, StreamName

    Parent = Header | Mapping[str, Any] | None

__all__ = ["Output", "OutputQueue", "StreamRun"]

WRITE_BYTES: Final = 64
"""What a write costs in memory besides its text: the string object and its place in a list (CPython, 64 bit)."""


@dataclass(slots=True, eq=False)
class StreamRun:
    """Neighbouring writes of one cell to one stream.

    Attributes:
        queued: whether it will be drained.
    """

    name: StreamName
    parent: Parent
    texts: list[str] = field(default_factory=list[str])
    queued: bool = True

    def drain(self) -> list[str]:
        """What has been written; what comes from now on queues it again. For the owner."""
        self.queued = False
        texts = self.texts.copy()
        del self.texts[: len(texts)]
        return texts


@dataclass(slots=True, eq=False)
class Output:
    """A message ready to be sent, or (no frames) a call to make when all before it has been sent.

    Attributes:
        frames: topic first.
        parent: the header of the request that caused it.
        awaited: whether whoever is about to look shall do it at once.
        size: what it counts against the limit, in bytes.
    """

    frames: Sequence[bytes | memoryview] = ()
    call: Callable[[], object] | None = None
    parent: Parent = None
    awaited: bool = False
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = sum(map(len, self.frames)) + WRITE_BYTES


class OutputQueue:
    """A bounded, ordered queue from all threads to one.

    Args:
        limit: bytes; see the module.
        lookout: says whether the owner looks for messages by itself.

    Attributes:
        lock: held while something is put in or taken out, never while waiting; for who must do two of these at once.
        owner_looks: whether the owner is awake, and will take it back and then look for messages before it sleeps; so
            they need not wake it. The owner says so.
    """

    def __init__(self, limit: int, lookout: Lookout | None = None) -> None:
        self._limit = limit
        self._lookout = lookout or Lookout()
        self.lock: threading.RLock = threading.RLock()
        self._items: deque[Output | StreamRun] = deque()
        self._open: dict[str, StreamRun] = {}
        self._last: StreamRun | None = None  # that was looked for in them: a print looks here first
        self._messages = 0
        self._size = 0
        self._waiters: list[Callable[[], object]] = []
        self._wake: Callable[[], object] = _nobody
        self._owner_thread: int | None = None
        self._wake_for_text = False
        self._closed = False
        self.owner_looks: bool = False
        self.refused: int = 0

    # ---- producers, any thread

    def put(self, item: Output) -> None:
        """Add a message. May wait for room."""
        with self.lock:
            if self._closed:
                self.refused += 1
                return
            self._items.append(item)
            self._messages += 1
            # Text of the same cell that comes later goes after it. Of unknown origin: after everything.
            if key := _key(item.parent):
                self._open.pop(key, None)
            else:
                self._open.clear()
            self._last = None
            self._size += item.size
            full = self._size > self._limit
        if not self.owner_looks and not self._lookout.covers(awaited=item.awaited):
            self._wake()
        if full:
            self._wait_for_room()

    def write(self, name: StreamName, text: str, parent: Parent, *, wait: bool = True) -> None:
        """Add text to a stream. May wait for room, unless not to ``wait``."""
        run = self._last
        if run is None or run.parent is not parent or run.name != name:
            run = self._open_run(name, parent)
            if run is None:
                return
        cost = len(text) + WRITE_BYTES
        run.texts.append(text)
        self._size = size = self._size + cost
        if not run.queued:
            self._queue_again(run)
        if self._wake_for_text:
            self._wake_for_text = False
            self._wake()
        if size > self._limit and wait:
            self._wait_for_room()

    def _open_run(self, name: StreamName, parent: Parent) -> StreamRun | None:
        """The run that text goes to now; None if nobody takes it any more."""
        key = _key(parent)
        with self.lock:
            if self._closed:
                self.refused += 1
                return None
            run = self._open.get(key)
            if run is None or run.name != name:
                self._open[key] = run = StreamRun(name, parent)
                self._items.append(run)
            self._last = run
            return run

    def _queue_again(self, run: StreamRun) -> None:
        """The owner has drained the run, perhaps before the last text was appended."""
        with self.lock:
            if run.queued or not run.texts:
                return
            if self._closed:
                self.refused += 1
                run.texts.clear()
                return
            run.queued = True
            self._items.append(run)
            # What this thread writes next must not go before it, to a run opened meanwhile.
            self._open[_key(run.parent)] = self._last = run

    def _wait_for_room(self) -> None:
        if threading.get_ident() == self._owner_thread:
            return
        while True:
            with self.lock:
                if self._closed or self._size <= self._limit // 2:
                    return
                gate = threading.Lock()
                gate.acquire()  # whoever makes room releases it
                self._waiters.append(gate.release)
            self._wake()
            gate.acquire()

    # ---- the owner

    def attach(self, wake: Callable[[], object]) -> None:
        """Become the owner: ``wake`` is called, in any thread, when there is something to take."""
        with self.lock:
            self._wake = wake
            self._owner_thread = threading.get_ident()
            self._wake_for_text = True

    @property
    def has_messages(self) -> bool:
        """Whether something waits that is more than text."""
        return self._messages > 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._items

    def ends_a_line(self) -> bool:
        """Whether the text that was written last ends with a newline."""
        with self.lock:
            last = self._items[-1] if self._items else None
            return isinstance(last, StreamRun) and last.texts[-1:] != [] and last.texts[-1].endswith("\n")

    def take(self, *, last_text: bool = True) -> deque[Output | StreamRun]:
        """Everything that waits, in order, if wanted without the text after the last message.

        It counts against the limit until :meth:`sent`.
        """
        with self.lock:
            items, self._items = self._items, deque()
            self._messages = 0
            if not last_text:
                while items and isinstance(items[-1], StreamRun):
                    self._items.appendleft(items.pop())
            # Runs that stay are still open if they were; what comes for a run that was taken goes after all of this.
            self._last = None
            self._open = {key: run for key, run in self._open.items() if run in self._items} if self._items else {}
        return items

    def sent(self, size: int) -> None:
        """``size`` bytes of what was taken have left."""
        with self.lock:
            self._size = max(0, self._size - size)
            self._make_room()

    def rest(self, *, wake_for_text: bool) -> None:
        """All that was taken has left; say whether new text shall wake the owner (messages always do)."""
        with self.lock:
            if not self._items:
                # Exact again: an exception between two statements of a producer may have lost a few bytes.
                self._size = 0
                self._make_room()
            self._wake_for_text = wake_for_text

    def close(self) -> None:
        """The owner is gone: what waits is lost, what comes is refused (and counted), nobody is held up."""
        with self.lock:
            self._closed = True
            self.refused += len(self._items)
            for item in self._items:
                if isinstance(item, StreamRun):
                    item.drain()
            self._items.clear()
            self._open.clear()
            self._last = None
            self._size = 0
            self._wake = _nobody
            self._make_room()

    def call_when_there_is_room(self, fn: Callable[[], object]) -> None:
        """Call ``fn``, in the owner's thread, as soon as producers are no longer held up (at once if they are not)."""
        with self.lock:
            self._waiters.append(fn)
            self._make_room()

    @property
    def is_full(self) -> bool:
        """Whether a producer would be held up now."""
        return self._size > self._limit

    def _make_room(self) -> None:
        if self._waiters and self._size <= self._limit // 2:
            for waiter in self._waiters:
                waiter()
            self._waiters.clear()


def _key(parent: Parent) -> str:
    return parent.get("msg_id", "") if parent else ""


def _nobody() -> None:
    pass

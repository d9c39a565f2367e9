from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from async_kernel.channels.lookout import Lookout
from async_kernel.channels.output import WRITE_BYTES, Output, OutputQueue, StreamRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

A, B = {"msg_id": "a"}, {"msg_id": "b"}


def contents(queue: OutputQueue) -> list[Any]:
    """What waits, in short: texts as (name, text, parent), messages as their first frame."""
    return [
        (item.name, "".join(item.texts), item.parent and item.parent["msg_id"])
        if isinstance(item, StreamRun)
        else item.frames[0]
        for item in queue.take()
    ]


def test_neighbouring_writes_become_one() -> None:
    queue = OutputQueue(1000)
    for text in ("a", "b", "c"):
        queue.write("stdout", text, A)
    assert contents(queue) == [("stdout", "abc", "a")]


def test_the_order_of_stdout_and_stderr_of_a_cell_is_kept() -> None:
    queue = OutputQueue(1000)
    queue.write("stdout", "1", A)
    queue.write("stderr", "2", A)
    queue.write("stdout", "3", A)
    assert contents(queue) == [("stdout", "1", "a"), ("stderr", "2", "a"), ("stdout", "3", "a")]


def test_cells_that_write_in_turns_do_not_split_each_others_text() -> None:
    queue = OutputQueue(1000)
    for text in ("1", "2"):
        queue.write("stdout", text, A)
        queue.write("stdout", text, B)
        queue.write("stdout", text, None)
    assert contents(queue) == [("stdout", "12", "a"), ("stdout", "12", "b"), ("stdout", "12", None)]


def test_text_after_a_message_of_its_cell_stays_after_it() -> None:
    queue = OutputQueue(1000)
    queue.write("stdout", "1", A)
    queue.put(Output([b"display"], parent=A))
    queue.write("stdout", "2", A)
    assert contents(queue) == [("stdout", "1", "a"), b"display", ("stdout", "2", "a")]


def test_a_message_of_unknown_origin_is_passed_by_nobody() -> None:
    queue = OutputQueue(1000)
    queue.write("stdout", "1", A)
    queue.put(Output([b"comm"]))
    queue.write("stdout", "2", A)
    assert contents(queue) == [("stdout", "1", "a"), b"comm", ("stdout", "2", "a")]


def test_cells_that_write_in_turns_keep_a_run_each_until_a_message_ends_it() -> None:
    queue = OutputQueue(1000)
    for number in range(2):
        queue.write("stdout", f"a{number}", A)
        queue.write("stdout", f"b{number}", dict(B))  # another object, the same cell
    queue.put(Output([b"m"], parent=B))
    for parent in (B, A, B):
        queue.write("stdout", "x", parent)
    assert contents(queue) == [
        ("stdout", "a0a1x", "a"),
        ("stdout", "b0b1", "b"),
        b"m",
        ("stdout", "xx", "b"),
    ]


def test_messages_wake_always_and_text_when_it_is_wanted() -> None:
    queue = OutputQueue(1000)
    wakes: list[str] = []
    queue.attach(lambda: wakes.append("wake"))
    queue.write("stdout", "1", A)
    queue.write("stdout", "2", A)
    text = len(wakes)
    queue.put(Output([b"m"]))
    queue.put(Output([b"m"]))
    assert (text, len(wakes)) == (1, 3)


class Interrupted(str):
    """A text that has something happen in the middle of its being written."""

    meanwhile: Callable[[], object]

    def __len__(self) -> int:
        self.meanwhile()
        return 1


def test_text_that_comes_while_the_owner_takes_its_run_is_queued_again() -> None:
    queue = OutputQueue(1000)
    wakes: list[str] = []
    queue.attach(lambda: wakes.append("wake"))

    def take() -> None:
        sent.extend(text for run in queue.take() if isinstance(run, StreamRun) for text in run.drain())
        queue.rest(wake_for_text=True)

    sent: list[str] = []
    late = Interrupted("late")
    late.meanwhile = take
    queue.write("stdout", "early", A)
    queue.write("stdout", late, A)
    assert (sent, contents(queue), wakes) == (["early"], [("stdout", "late", "a")], ["wake", "wake"])


def test_text_that_comes_late_stays_before_what_its_thread_writes_next() -> None:
    queue = OutputQueue(1000)
    late = Interrupted("late, ")

    def take() -> None:
        for run in queue.take():
            assert isinstance(run, StreamRun)
            run.drain()
        queue.write("stdout", "other thread", A)

    late.meanwhile = take
    queue.write("stdout", "early", A)
    queue.write("stdout", late, A)
    queue.write("stdout", "next", A)
    assert contents(queue) == [("stdout", "other thread", "a"), ("stdout", "late, next", "a")]


def test_text_that_comes_while_the_queue_closes_is_counted() -> None:
    queue = OutputQueue(1000)
    late = Interrupted("late")
    late.meanwhile = queue.close
    queue.write("stdout", "early", A)
    queue.write("stdout", late, A)
    assert (contents(queue), queue.refused) == ([], 2)


def test_text_of_a_run_that_was_taken_and_not_yet_drained_leaves_with_it() -> None:
    queue = OutputQueue(1000)
    late, taken = Interrupted("late"), list[Any]()
    late.meanwhile = lambda: taken.extend(queue.take())
    queue.write("stdout", "early, ", A)
    queue.write("stdout", late, A)
    assert ([*map("".join, (run.drain() for run in taken))], contents(queue)) == (["early, late"], [])


def in_thread(queue: OutputQueue, text: str) -> threading.Thread:
    thread = threading.Thread(target=queue.write, args=("stdout", text, A))
    thread.start()
    return thread


def attached(limit: int) -> tuple[OutputQueue, threading.Semaphore]:
    """A queue whose owner is this thread, and what is released at each wake."""
    queue = OutputQueue(limit)
    wakes = threading.Semaphore(0)
    queue.attach(wakes.release)
    return queue, wakes


class FakeLookout(Lookout):
    """Notes which messages it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.coming = True
        self.awaited: list[bool] = []

    def covers(self, *, awaited: bool = False) -> bool:
        self.awaited.append(awaited)
        return self.coming


def test_while_somebody_is_about_to_look_the_owner_is_not_woken() -> None:
    lookout, wakes = FakeLookout(), list[str]()
    queue = OutputQueue(1000, lookout)
    queue.attach(lambda: wakes.append("wake"))
    queue.put(Output([b"busy"]))
    queue.put(Output([b"idle"], awaited=True))
    woken = [len(wakes)]
    lookout.coming = False
    queue.put(Output([b"busy"]))
    woken.append(len(wakes))
    assert (woken, lookout.awaited) == ([0, 1], [False, True, False])
    assert contents(queue) == [b"busy", b"idle", b"busy"]


@pytest.mark.parametrize(
    ("put_in", "taken", "left"),
    [
        ("mt", "m", "t"),
        ("tmt", "tm", "t"),
        ("t", "", "t"),
        ("tm", "tm", ""),
        ("", "", ""),
    ],
)
def test_text_after_the_last_message_can_be_left(put_in: str, taken: str, left: str) -> None:
    queue, _ = attached(1000)
    for each in put_in:
        if each == "m":
            queue.put(Output([b"m"], parent=A))
        else:
            queue.write("stdout", each, A)
    first = kinds(queue.take(last_text=False))
    assert (first, queue.has_messages, kinds(queue.take())) == (taken, False, left)


def kinds(items: Iterable[Output | StreamRun]) -> str:
    return "".join("t" if isinstance(item, StreamRun) else "m" for item in items)


def test_text_that_was_left_is_written_on_and_what_was_taken_is_not() -> None:
    queue, _ = attached(1000)
    queue.write("stdout", "b1", B)
    queue.put(Output([b"m"], parent=A))
    queue.write("stdout", "a1", A)
    assert kinds(queue.take(last_text=False)) == "tm"
    queue.write("stdout", "b2", B)
    queue.write("stdout", "a2", A)
    assert contents(queue) == [("stdout", "a1a2", "a"), ("stdout", "b2", "b")]


def test_a_producer_waits_until_half_has_left() -> None:
    queue, wakes = attached(1000)
    producer = in_thread(queue, "x" * 2000)
    wakes.acquire()  # of the text
    wakes.acquire()  # of the wait
    held_up = producer.is_alive() and queue.is_full
    queue.take()
    queue.sent(1400)
    still = producer.is_alive()
    queue.sent(600)
    producer.join()
    assert (held_up, still, queue.is_full) == (True, True, False)


def test_the_owner_never_waits() -> None:
    queue, _ = attached(10)
    queue.write("stdout", "x" * 1000, A)
    assert queue.is_full


def test_what_is_written_below_the_limit_does_not_wait() -> None:
    queue = OutputQueue(WRITE_BYTES + 10)
    queue.write("stdout", "x" * 10, A)
    assert not queue.is_full


def test_closing_releases_producers_and_refuses_what_comes() -> None:
    queue, wakes = attached(10)
    producers = [in_thread(queue, "x" * 1000) for _ in range(3)]
    for _ in range(4):
        wakes.acquire()
    queue.close()
    for producer in producers:
        producer.join()
    queue.put(Output([b"late"]))
    queue.write("stdout", "late", A)
    assert (contents(queue), queue.refused) == ([], 3)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals to threads")
def test_a_signal_handler_that_raises_ends_the_wait_and_nothing_is_lost() -> None:
    queue = OutputQueue(10)
    main = threading.get_ident()
    ready, over = threading.Event(), threading.Event()

    def own() -> None:
        wakes = threading.Semaphore(0)
        queue.attach(wakes.release)
        ready.set()
        wakes.acquire()  # of the text
        wakes.acquire()  # of the wait
        # More than once: a signal in the very moment before a thread begins to wait is seen after the wait (CPython).
        while not over.wait(0.01):
            signal.pthread_kill(main, signal.SIGUSR1)

    def interrupt(*_args: object) -> None:
        if not over.is_set():
            over.set()
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    owner = threading.Thread(target=own)
    owner.start()
    try:
        ready.wait()
        with pytest.raises(KeyboardInterrupt):
            queue.write("stdout", "x" * 100, A)
    finally:
        signal.signal(signal.SIGUSR1, before)
        owner.join()
    assert contents(queue) == [("stdout", "x" * 100, "a")]


def test_a_finalizer_that_prints_in_the_middle_of_a_print_is_no_deadlock() -> None:
    queue = OutputQueue(1000)

    class Parent(dict[str, str]):
        def get(self, *_args: Any) -> str:  # called while ... a message is put in
            queue.write("stdout", "finalizer", B)
            return "a"

    queue.put(Output([b"m"], parent=Parent(msg_id="a")))
    assert ("stdout", "finalizer", "b") in contents(queue)


def test_rest_counts_exactly_again() -> None:
    queue, _ = attached(10)
    queue.write("stdout", "x" * 100, A)
    queue.take()
    queue.rest(wake_for_text=True)
    assert not queue.is_full


def test_whoever_waits_for_room_in_the_loop_is_called() -> None:
    queue, _ = attached(10)
    calls: list[str] = []
    queue.call_when_there_is_room(lambda: calls.append("at once"))
    queue.write("stdout", "x" * 100, A)
    queue.call_when_there_is_room(lambda: calls.append("later"))
    before = list(calls)
    queue.take()
    queue.sent(1000)
    assert (before, calls) == (["at once"], ["at once", "later"])

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from async_kernel.channels.lookout import Lookout
from async_kernel.platforms.events import HAVE_EVENTFD

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

pytestmark = pytest.mark.skipif(not HAVE_EVENTFD, reason="there is nothing to wait for here")


@pytest.fixture
def pipe() -> Generator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


class Rig:
    """One that may look; each look notes whether messages that come after it need not wake anybody."""

    def __init__(self, lookout: Lookout) -> None:
        self.lookout = lookout
        self.looks: list[bool] = []
        self.during_the_look: Callable[[], object] = lambda: None
        lookout.may_look(self.look)

    def look(self) -> None:
        self.looks.append(self.lookout.covers())
        self.during_the_look()


@pytest.fixture
def rig(pipe: tuple[int, int]) -> Generator[Rig]:
    lookout = Lookout()
    lookout.open([pipe[0]])
    yield Rig(lookout)
    lookout.close()


LONG = time.perf_counter() + 1e6


def in_a_while() -> float:
    return time.perf_counter() + 0.001


def test_what_else_comes_ends_the_stay_and_is_told(rig: Rig, pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"x")
    rig.lookout.expect()
    assert (rig.lookout.stay(LONG), rig.looks) == (True, [False])  # from now on, who puts something out has to ring


def test_it_looks_when_nothing_has_come_for_a_while(rig: Rig) -> None:
    rig.lookout.expect()
    assert (rig.lookout.stay(in_a_while()), rig.looks) == (False, [False])


def test_it_looks_at_once_when_there_is_no_time(rig: Rig) -> None:
    rig.lookout.expect()
    assert (rig.lookout.stay(0.0), rig.looks) == (False, [False])


@pytest.mark.parametrize(("awaited", "looks"), [(False, [False]), (True, [True, False])])
def test_only_what_is_awaited_is_seen_before_the_stay_ends(rig: Rig, awaited: bool, looks: list[bool]) -> None:
    rig.lookout.expect()
    assert rig.lookout.covers(awaited=awaited)
    rig.lookout.stay(in_a_while())
    assert rig.looks == looks


def test_it_goes_on_until_something_else_comes(rig: Rig, pipe: tuple[int, int]) -> None:
    def go_on() -> None:
        if len(rig.looks) < 3:
            rig.lookout.covers(awaited=True)
        elif len(rig.looks) == 3:
            os.write(pipe[1], b"x")

    rig.during_the_look = go_on
    rig.lookout.expect()
    rig.lookout.covers(awaited=True)
    assert (rig.lookout.stay(LONG), rig.looks) == (True, [True, True, True, False])


def test_what_comes_between_the_last_wait_and_the_last_look_has_to_ring(rig: Rig) -> None:
    """Else it would lie there: the look may have passed it already."""
    covered: list[bool] = []
    rig.during_the_look = lambda: covered.append(rig.lookout.covers(awaited=True))
    rig.lookout.expect()
    rig.lookout.stay(in_a_while())
    assert covered == [False]


def test_a_ring_that_comes_too_late_makes_the_next_stay_look_once_more(rig: Rig) -> None:
    """A thread has read that it is covered, and rings when the stay is over: its message has been seen by then."""
    rig.lookout.expect()
    rig.lookout.covers(awaited=True)
    rig.lookout.stay(0.0)
    rig.looks.clear()
    rig.lookout.expect()
    rig.lookout.stay(in_a_while())
    assert rig.looks == [True, False]


def test_a_ring_from_another_thread_ends_the_wait(rig: Rig) -> None:
    rig.lookout.expect()
    ringing = threading.Thread(target=lambda: rig.lookout.covers(awaited=True))
    ringing.start()
    rig.during_the_look = ringing.join
    rig.lookout.stay(in_a_while() + 1)
    assert rig.looks == [True, False]


def test_nothing_is_promised_while_the_owner_of_output_is_awake(rig: Rig) -> None:
    rig.lookout.may_look(None)
    rig.lookout.expect()
    assert (rig.lookout.covers(), rig.lookout.stay(LONG), rig.looks) == (False, False, [])


def test_it_does_not_stay_unless_something_is_expected(rig: Rig) -> None:
    assert (rig.lookout.covers(), rig.lookout.stay(LONG), rig.looks) == (False, False, [])


def test_an_error_of_the_look_leaves_no_promise(rig: Rig) -> None:
    def fail() -> None:
        raise RuntimeError

    rig.during_the_look = fail
    rig.lookout.expect()
    rig.lookout.covers(awaited=True)
    with pytest.raises(RuntimeError):
        rig.lookout.stay(LONG)
    assert not rig.lookout.covers()


def test_without_descriptors_nothing_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("async_kernel.channels.lookout.HAVE_EVENTFD", False)
    lookout = Lookout()
    lookout.open([None])
    rig = Rig(lookout)
    lookout.expect()
    assert (lookout.covers(), lookout.stay(LONG), rig.looks) == (False, False, [])


def test_a_closed_one_does_not_stay_nor_ring(rig: Rig) -> None:
    rig.lookout.expect()
    rig.lookout.close()
    rig.lookout.close()
    rig.lookout.covers(awaited=True)  # its number may mean another file by now
    assert (rig.lookout.stay(LONG), rig.looks) == (False, [])

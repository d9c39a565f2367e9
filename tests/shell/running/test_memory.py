"""What a MemoryError leaves: enough memory to tell of it."""

from __future__ import annotations

import sys
from typing import Any, cast

import psutil
import pytest

from async_kernel.platforms.addresses import take_addresses
from async_kernel.shell.running import memory

MORE_THAN_THERE_IS = 1 << 56


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no memory."""
    monkeypatch.setattr(memory, "ENOUGH", MORE_THAN_THERE_IS)


@pytest.fixture(autouse=True)
def _reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_reserve", [bytearray(1)])


def fails(error: type[BaseException] = MemoryError) -> None:
    kept = "much"
    raise error(kept)


def locals_of(error: BaseException) -> list[str | None]:
    """The value of ``kept`` in each frame of :func:`fails`."""
    found: list[str | None] = []
    entry = error.__traceback__
    while entry is not None:
        if entry.tb_frame.f_code.co_name == "fails":
            found.append(entry.tb_frame.f_locals.get("kept"))
        entry = entry.tb_next
    return found


def test_the_frames_are_emptied_and_the_reserve_is_used(full: None) -> None:
    with pytest.raises(MemoryError) as caught:
        fails()
    memory.give_back(caught.value)
    assert (locals_of(caught.value), memory._reserve) == ([None], [])


def test_frames_are_kept_while_there_is_enough() -> None:
    with pytest.raises(MemoryError) as caught:
        fails()
    memory.give_back(caught.value)
    assert (locals_of(caught.value), memory._reserve) == (["much"], [bytearray(1)])


def test_frames_of_other_errors_are_kept(full: None) -> None:
    with pytest.raises(ValueError, match="much") as caught:
        fails(ValueError)
    memory.give_back(caught.value)
    assert (locals_of(caught.value), memory._reserve) == (["much"], [bytearray(1)])


def test_a_memory_error_is_found_behind_others_and_in_groups(full: None) -> None:
    def handles() -> None:
        try:
            fails()
        except MemoryError:
            fails(KeyError)

    with pytest.raises(KeyError) as caught:
        handles()
    memory.give_back(BaseExceptionGroup("of a nursery", [caught.value]))
    assert caught.value.__context__ is not None
    assert (locals_of(caught.value), locals_of(caught.value.__context__)) == (["much"], [None])


def test_an_error_that_is_its_own_cause_has_an_end(full: None) -> None:
    one, other = ValueError(), MemoryError()
    one.__cause__, other.__cause__ = other, one
    memory.give_back(one)
    assert memory._reserve == []


def test_the_reserve_is_there_again_when_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    memory._reserve.clear()
    with monkeypatch.context() as patched:
        patched.setattr(memory, "ENOUGH", MORE_THAN_THERE_IS)
        memory.refill()
        assert memory._reserve == []
    memory.refill()
    [again] = memory._reserve
    assert len(cast("Any", again)) == memory.ENOUGH


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells")
def test_the_reserve_uses_no_memory_of_the_machine() -> None:
    before = psutil.Process().memory_info()
    taken = take_addresses(64 * memory.ENOUGH)
    after = psutil.Process().memory_info()
    assert taken is not None
    assert after.vms - before.vms >= 64 * memory.ENOUGH
    assert after.rss - before.rss < memory.ENOUGH

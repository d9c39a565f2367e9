"""Memory that a cell has filled: without some of it nobody can be told, and libraries written in C die."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Final, cast

from async_kernel.platforms.addresses import take_addresses

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["give_back", "refill"]

ENOUGH: Final = 16 << 20
"""Bytes in which an error can be formatted and sent, and a thread started."""


def give_back(error: BaseException) -> None:
    """After a MemoryError see to it that there is memory: empty the frames that it came through, or use the reserve.

    What fills memory is a local variable of the function that failed, as a rule, and would live as long as the
    traceback, which is kept for ``%debug``. An error that asked for too much at once leaves its frames as they are.
    When memory is full of what the user keeps, the reserve is there for telling, and for the cell that deletes some.
    """
    failed = [each for each in _with_those_around(error, set()) if isinstance(each, MemoryError)]
    if not failed or take_addresses(ENOUGH) is not None:
        return
    for each in failed:
        traceback.clear_frames(each.__traceback__)
    _fill_reserve()  # the old one is still taken: if there is no room for another, that one is to be used now


def refill() -> None:
    """Have a reserve again when it was used and there is room for more than that."""
    if not _reserve and take_addresses(4 * ENOUGH) is not None:
        _fill_reserve()


_reserve: list[object] = []
"""Addresses only: the machine's memory is not used for it, and none of it shows in what the kernel has."""


def _fill_reserve() -> None:
    taken = take_addresses(ENOUGH)
    _reserve[:] = [] if taken is None else [taken]


_fill_reserve()


def _with_those_around(error: BaseException, seen: set[int]) -> Generator[BaseException]:
    """An error, what it was raised from or beside, and the members of a group."""
    seen.add(id(error))
    yield error
    around = [error.__cause__, error.__context__]
    if isinstance(error, BaseExceptionGroup):
        around += cast("BaseExceptionGroup[BaseException]", error).exceptions
    for each in around:
        if each is not None and id(each) not in seen:
            yield from _with_those_around(each, seen)

from __future__ import annotations

import threading

import pytest

from async_kernel.lifetime.plain_thread import plain_thread


def test_leaving_the_block_ends_and_joins_the_thread() -> None:
    asked = threading.Event()
    with plain_thread(asked.wait, name="plain", end=asked.set):
        (thread,) = (thread for thread in threading.enumerate() if thread.name == "plain")
    assert not thread.is_alive()


def test_it_can_be_joined_before() -> None:
    ends: list[None] = []
    asked = threading.Event()
    with plain_thread(asked.wait, name="plain", end=lambda: (ends.append(None), asked.set())) as join:
        join()
        assert "plain" not in [thread.name for thread in threading.enumerate()]
    assert len(ends) == 1


def test_what_it_raises_is_raised_where_it_is_joined() -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), plain_thread(fail, name="plain", end=bool):
        pass

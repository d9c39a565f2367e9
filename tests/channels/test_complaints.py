from __future__ import annotations

import logging

import pytest

from async_kernel.channels.complaints import QUIET_S, Complaints


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> logging.Logger:
    caplog.set_level(logging.WARNING)
    return logging.getLogger("test")


def test_the_first_is_logged_and_the_next_are_counted(log: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    complaints = Complaints(log, "shell", lambda: now)
    for number in range(5):
        complaints.add(f"bad {number}")
    now = QUIET_S
    complaints.add("bad again")
    complaints.add("bad at the end")
    complaints.close()
    assert (caplog.messages, complaints.count) == (
        [
            "shell: bad 0",
            "shell: bad again (and 4 more since the last warning)",
            "shell (and 1 more since the last warning)",
        ],
        7,
    )


def test_what_is_only_told_is_not_counted(log: logging.Logger) -> None:
    complaints = Complaints(log, "shell")
    complaints.tell("a client has gone")
    complaints.add("rubbish")
    assert complaints.count == 1

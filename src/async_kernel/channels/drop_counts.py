"""What was lost, in numbers: nothing is lost in silence."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DropCounts"]


class DropCounts(NamedTuple):
    """What was lost or refused since the start, for a client that asks.

    Attributes:
        stalled_clients: clients dropped, or passed over, because they took no output for the declared time.
        output: messages that came, or were still waiting, when iopub had ended; and text that had no JSON form.
        replies: replies whose client had gone.
        bad_messages: what came in and was not a valid message, all channels.
        stale_input: input replies that answered no question.
    """

    stalled_clients: int
    output: int
    replies: int
    bad_messages: int
    stale_input: int

from __future__ import annotations

from typing import Any, cast

from async_kernel.kernel.leftovers import leftovers
from async_kernel.protocol.request import Request
from async_kernel.typing import Channel


def test_for_a_cell_that_started_nothing_no_task_is_looked_at() -> None:
    header: Any = {"msg_id": "1", "msg_type": "execute_request"}
    request = Request(channel=Channel.shell, header=header, parent_header={}, metadata={}, content={})
    no_lane = cast("Any", None)
    assert leftovers(no_lane, request) == []

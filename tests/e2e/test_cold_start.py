"""A client that starts a kernel and sends at once loses neither its first request nor its first idle.

``ASYNC_KERNEL_STARTS=200`` makes the number of starts that a release wants to see; a few are enough to notice a
fault that is no rare one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.harness.process import KernelProcess

STARTS = int(os.environ.get("ASYNC_KERNEL_STARTS", "5"))


@pytest.mark.parametrize("number", range(STARTS))
def test_nothing_is_lost_at_the_start(start: Callable[..., KernelProcess], ours: None, number: int) -> None:
    kernel = start()
    client = kernel.client(ready=False)
    requests = [
        client.send("kernel_info_request"),
        client.start("print('first')\n1"),
        client.send("kernel_info_request", channel="control"),
    ]
    results = [client.result(msg_id) for msg_id in requests]
    assert [result.status for result in results] == ["ok"] * 3
    assert [result.kinds for result in results] == [
        ["busy", "idle"],
        ["busy", "execute_input", "stdout", "execute_result", "idle"],
        ["busy", "idle"],
    ]
    iopub = [r.kind for r in client.received if r.channel == "iopub"]
    assert iopub[:2] == ["iopub_welcome", "starting"]


def test_a_client_that_comes_later_finds_a_kernel_that_works(start: Callable[..., KernelProcess], ours: None) -> None:
    kernel = start(writes_file=True)
    kernel.client()
    client = kernel.client(ready=False)
    client.until(lambda: [r for r in client.received if r.kind == "iopub_welcome"], "the welcome")
    assert client.run("1").kinds == ["busy", "execute_input", "execute_result", "idle"]


def test_a_kernel_killed_at_its_start_leaves_no_harm(start: Callable[..., KernelProcess], ours: None) -> None:
    first = start(writes_file=True)
    first.wait_connection_file()
    first.popen.kill()
    first.popen.wait()
    # The file is still there, its writer had no chance: the next kernel uses its addresses.
    command = [part if part != str(first.connection_file) else str(first.connection_file) for part in first.command]
    second = type(first)(command, first.connection_file, env={}, folder=first.connection_file.parent)
    with second:
        assert second.client().run("1").text == "1"

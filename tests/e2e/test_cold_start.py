"""A client that starts a kernel and sends at once loses neither its first request nor its first idle.

``ASYNC_KERNEL_STARTS=200`` makes the number of starts that a release wants to see; a few are enough to notice a
fault that is no rare one.
"""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
    assert iopub[0] == "iopub_welcome"
    assert "starting" not in iopub[2:]  # told before all else, or not at all: its client may have been served by then


SLOW_IMPORT = """
import importlib.abc
import sys

import async_kernel.interface.early

async_kernel.interface.early.PATIENCE_S = float("inf")  # however busy the machine

class Wait(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "IPython.core.interactiveshell":
            open({gate!r}).close()
        return None

sys.meta_path.insert(0, Wait())
"""
"""A ``sitecustomize`` that has the import of IPython wait until somebody opens the FIFO ``gate`` for writing."""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a FIFO")
def test_kernel_info_is_answered_while_ipython_is_imported(
    start: Callable[..., KernelProcess], ours: None, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    (tmp_path / "sitecustomize.py").write_text(SLOW_IMPORT.format(gate=str(gate)))
    kernel = start(env={"PYTHONPATH": str(tmp_path)})
    client = kernel.client(ready=False)
    cell = client.start("print('first')")
    early = client.send("kernel_info_request")
    client.until(lambda: client.so_far(early).replies, "the first kernel_info_reply")
    assert client.so_far(cell).replies == []
    with gate.open("w"):
        results = [client.result(cell), client.result(early), client.request("kernel_info_request")]
    assert [result.kinds for result in results] == [
        ["busy", "execute_input", "stdout", "idle"],
        ["busy", "idle"],
        ["busy", "idle"],
    ]
    replies = [dict(result.reply) for result in results[1:]]
    for reply in replies:
        reply["banner"] = reply["banner"].partition("Tip: ")[0]  # a new one each time
    assert replies[0] == replies[1]
    sessions = {message["header"]["session"] for result in results for message in result.iopub}
    assert len(sessions) == 1


def test_a_kernel_that_cannot_start_says_so_also_when_it_has_received_clients(
    start: Callable[..., KernelProcess], ours: None
) -> None:
    with socket.socket() as taken:

        def take_iopub(path: Path) -> None:
            taken.bind(("127.0.0.1", json.loads(path.read_text())["iopub_port"]))
            taken.listen()

        kernel = start(edit=take_iopub)
        assert kernel.exit_code() == 1
    (line,) = kernel.log.splitlines()
    assert "of the iopub channel is in use already" in line


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

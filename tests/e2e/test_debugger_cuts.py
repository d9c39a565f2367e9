"""A cell that the debugger has stopped is cut short: it ends at the line where it stands."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.e2e.harness.debugging import Session

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess

pytestmark = pytest.mark.usefixtures("ours")


@pytest.fixture
def attached(client: Client) -> Generator[Session]:
    """A front end of a kernel that the tests share."""
    session = Session(client)
    session.attach()
    yield session
    session.ask("disconnect")


SHORT = "before = 1\nmissed = False\nmissed = True\nprint('ran on')\n"
"""A cell that would have ended before anybody could strike it from outside."""


def by_interrupt(session: Session, cell: str, kernel: KernelProcess) -> None:
    assert session.client.interrupt().status == "ok"


def by_signal(session: Session, cell: str, kernel: KernelProcess) -> None:
    os.kill(kernel.pid, signal.SIGINT)


def by_cancel(session: Session, cell: str, kernel: KernelProcess) -> None:
    reply = session.client.request("cancel_request", {"msg_ids": [cell], "reason": "enough"}, channel="control").reply
    assert reply["cancelled"] == [{"id": cell, "kind": "cell", "state": "blocking"}]


def by_deadline(session: Session, cell: str, kernel: KernelProcess) -> None:
    """It comes by itself."""


CUTS = {
    "interrupt": (by_interrupt, "", "KeyboardInterrupt"),
    "signal": (by_signal, "", "KeyboardInterrupt"),
    "cancel": (by_cancel, "", "Cancelled"),
    "deadline": (by_deadline, "", "TimeoutError"),
    "cancel of a concurrent cell": (by_cancel, "# task\n", "Cancelled"),
    "cancel of a cell in a thread": (by_cancel, "# thread\n", "Cancelled"),
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_stopped_cell_that_is_cut_short_ends_at_the_line_where_it_stands(
    attached: Session, kernel: KernelProcess, cut: str
) -> None:
    way, mode, ename = CUTS[cut]
    code = mode + SHORT
    client = attached.client
    attached.breakpoints(code, 3 + mode.count("\n"))
    metadata = {"timeout": 3} if way is by_deadline else {}
    cell = client.start(code, metadata=metadata)
    attached.stopped()
    way(attached, cell, kernel)
    result = client.result(cell)
    assert (result.error and result.error[0], result.stdout) == (ename, "")
    assert result.replies[0]["metadata"]["cause"] == {"signal": "interrupt"}.get(cut, cut.split()[0])
    assert client.value("missed") == "False"
    assert client.run("6 * 7").text == "42"


def test_a_child_of_a_cell_ends_at_the_line_where_it_stands(attached: Session, kernel: KernelProcess) -> None:
    code = "missed = False\nasync def child():\n    global missed\n    missed = True\ncell.nursery.start_soon(child)\n"
    attached.breakpoints(code, 4)
    cell = attached.client.start(code)
    attached.stopped()
    attached.client.interrupt()
    assert attached.client.result(cell).error == ("KeyboardInterrupt", "")
    assert attached.client.value("missed") == "False"


def test_its_finally_is_not_struck_again(attached: Session) -> None:
    code = "cleaned = False\ntry:\n    x = 1\nfinally:\n    for _ in range(300_000): pass\n    cleaned = True\n"
    attached.breakpoints(code, 3)
    cell = attached.client.start(code)
    attached.stopped()
    attached.client.interrupt()
    assert attached.client.result(cell).error == ("KeyboardInterrupt", "")
    assert attached.client.value("cleaned") == "True"


def test_a_stopped_cell_ends_where_it_stands_at_shutdown(own_kernel: KernelProcess) -> None:
    alone = Session(own_kernel.client())
    alone.attach()
    client = alone.client
    alone.breakpoints(SHORT, 3)
    cell = client.start(SHORT)
    alone.stopped()
    client.send("shutdown_request", {"restart": False}, channel="control")
    result = client.result(cell)
    assert (result.error and result.error[0], result.stdout) == ("Cancelled", "")

"""What user code does to its kernel, row by row: see :mod:`tests.torture.faults`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.torture.faults import FAULTS, Fault
from tests.torture.scale import LONG

if TYPE_CHECKING:
    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess

# Each row on one backend in the short form, on both in the long one.
ROWS = [
    pytest.param(backend, name, id=f"{name}-{backend}")
    for number, (name, fault) in enumerate(FAULTS.items())
    for backend in ([fault.on] if fault.on else ["trio", "asyncio"] if LONG else [("trio", "asyncio")[number % 2]])
]


@pytest.mark.parametrize(("backend", "name"), ROWS, scope="module")
def test_a_fault(own_kernel: KernelProcess, ours: None, name: str) -> None:
    fault = FAULTS[name]
    client = own_kernel.client()
    running = client.start(fault.code)
    ends = fault.ends if isinstance(fault.ends, tuple) else (fault.ends,)
    codes = [code for code in ends if isinstance(code, int)]
    if codes == list(ends):
        assert own_kernel.exit_code() in codes
        return
    if codes:
        client.until(lambda: not own_kernel.alive or client.so_far(running).done, "an end")
        if not own_kernel.alive:
            assert own_kernel.exit_code() in codes
            return
    result = client.result(running)
    assert (result.error or ("ok",))[0] in ends
    if fault.holds == "ends":
        client.run("1")
    else:
        is_as_told(client, fault)
    client.send("shutdown_request", {"restart": False}, channel="control")
    assert own_kernel.exit_code() in (0, *codes, *([1] if fault.holds == "ends" else []))


def is_as_told(client: Client, fault: Fault) -> None:
    """The kernel is as the row says."""
    result = client.run("print('well')\n6 * 7" if fault.holds != "mute" else "6 * 7")
    assert result.status == "ok"
    assert (result.stdout, result.text) == ("" if fault.holds == "mute" else "well\n", "42")
    assert client.run("1 / 0", stop_on_error=False).error == ("ZeroDivisionError", "division by zero")
    assert client.request("complete_request", {"code": "pri", "cursor_pos": 3}).status == "ok"
    assert client.request("kernel_info_request", channel="control").status == "ok"
    has_a_subshell(client, "aborted" if fault.holds == "no threads" else "ok")
    can_be_interrupted(client, blocking=fault.holds != "no sigint")


def has_a_subshell(client: Client, status: str) -> None:
    """A cell in a new subshell ends with this status."""
    subshell = client.request("create_subshell_request", channel="control").reply["subshell_id"]
    cell = client.send("execute_request", {"code": "6 * 7", "store_history": False}, subshell_id=subshell)
    result = client.result(cell)
    assert result.status in (("ok",) if status == "ok" else ("aborted", "error", "ok")), result.error
    client.request("delete_subshell_request", {"subshell_id": subshell}, channel="control")


def can_be_interrupted(client: Client, *, blocking: bool) -> None:
    """A cell that blocks, or one that awaits, ends with KeyboardInterrupt."""
    sleep = "import time\ntime.sleep(3600)" if blocking else "import anyio\nawait anyio.sleep(3600)"
    say = "wire.publish('stream', {'name': 'stdout', 'text': 'ready'}, parent=kernel.last_parent())"
    running = client.start(f"kernel = get_ipython().kernel\nkernel.{say}\n{sleep}")
    client.printed(running, "ready")
    client.interrupt()
    assert (client.result(running).error or ("ok",))[0] == "KeyboardInterrupt"


def test_the_table_of_the_documentation_has_all_rows() -> None:
    text = (Path(__file__).parents[2] / "docs" / "faults.md").read_text()
    rows = re.findall(r"^\| (.+?) \|", text, flags=re.MULTILINE)
    assert set(FAULTS) <= set(rows)

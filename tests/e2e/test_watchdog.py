"""Who keeps the loop from others is told so; and at its end, what it has left running."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess
    from tests.e2e.harness.subject import Subject

pytestmark = pytest.mark.usefixtures("ours")

UNTIL_TOLD = "import os, time\npath = {!r}\nwhile not os.path.exists(path): time.sleep(0.01)"
BLOCKS = "import time\nbegan = time.monotonic()\nwhile time.monotonic() < began + 0.6: time.sleep(0.01)"
WAITS = "import anyio\nprint('ready')\nawait anyio.sleep(3600)"


@pytest.fixture(scope="module")
def watched(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Generator[KernelProcess]:
    from tests.e2e.harness.process import start_kernel

    folder = tmp_path_factory.mktemp("watched")
    with start_kernel(subject, "--BaseShell.watchdog=0.1", folder=folder) as kernel:
        yield kernel


@pytest.fixture
def others(watched: KernelProcess) -> Generator[Client]:
    """A client whose kernel has a cell that waits, until the test is over."""
    client = watched.client()
    waiting = client.start(f"# task\n{WAITS}")
    client.printed(waiting, "ready")
    yield client
    client.request("cancel_request", {"msg_ids": [waiting]}, channel="control")
    client.close()


def complaint(client: Client, msg_id: str, path: Path) -> str:
    """What is said about code that blocks until the file is there."""
    client.until(lambda: client.so_far(msg_id).stderr, "a complaint")
    path.touch()
    return client.idle(msg_id).stderr


def test_a_concurrent_cell_that_blocks_is_told_where(others: Client, tmp_path: Path) -> None:
    path = tmp_path / "go on"
    said = complaint(others, others.start(f"# task\n{UNTIL_TOLD.format(str(path))}"), path)
    assert said.count("\n") == 1
    assert said.startswith("The cell `import os, time` has kept the event loop for more than 0.1 s at ")
    assert ":4, while " in said


def test_a_plain_cell_of_the_main_shell_may_block(others: Client) -> None:
    assert others.run(BLOCKS).stderr == ""


def test_a_callback_of_a_comm_is_told_too(others: Client, tmp_path: Path) -> None:
    path = tmp_path / "go on"
    others.run(
        "import comm, os, time\ndef target(one, message):\n    @one.on_msg\n    def heard(message):\n"
        f"        while not os.path.exists({str(path)!r}): time.sleep(0.01)\n"
        "comm.get_comm_manager().register_target('blocking', target)"
    )
    others.send("comm_open", {"comm_id": "1", "target_name": "blocking", "data": {}})
    told = others.send("comm_msg", {"comm_id": "1", "data": {}})
    assert complaint(others, told, path).startswith("A callback of a comm message has kept the event loop")


def test_nobody_waits_and_nothing_is_said(start: Callable[..., KernelProcess]) -> None:
    client = start("--BaseShell.watchdog=0.1").client()
    assert client.run(f"# task\n{BLOCKS}").stderr == ""


def test_it_can_be_switched_off(start: Callable[..., KernelProcess]) -> None:
    client = start("--BaseShell.watchdog=0").client()
    waiting = client.start(f"# task\n{WAITS}")
    client.printed(waiting, "ready")
    assert client.run(f"# task\n{BLOCKS}").stderr == ""


def test_cells_of_the_main_shell_can_be_watched_too(start: Callable[..., KernelProcess], tmp_path: Path) -> None:
    client = start("--BaseShell.watchdog=0.1", "--BaseShell.watch_main_cells=True").client()
    waiting = client.start(f"# task\n{WAITS}")
    client.printed(waiting, "ready")
    path = tmp_path / "go on"
    assert "has kept the event loop" in complaint(client, client.start(UNTIL_TOLD.format(str(path))), path)


# -- what is left running ------------------------------------------------------------------------------------------


def test_background_tasks_are_named(client: Client) -> None:
    said = client.run("import anyio\nasync def tick():\n    await anyio.sleep(3600)\nnursery.start_soon(tick)").stderr
    assert said.startswith("Still running: task-")
    assert "(tick)" in said
    assert client.run("1").stderr == ""


def test_threads_are_named_unless_they_are_daemons(client: Client) -> None:
    code = (
        "import threading\ngo = threading.Event()\n"
        "t = threading.Thread(target=go.wait, name='mine', daemon={})\nt.start()"
    )
    assert "thread mine" in client.run(code.format(False)).stderr
    client.run("go.set()\nt.join()")
    assert client.run(code.format(True)).stderr == ""
    client.run("go.set()\nt.join()")


def test_a_pool_of_processes_is_named_only_while_it_works(client: Client) -> None:
    client.run("import time\nfrom concurrent.futures import ProcessPoolExecutor")
    assert client.run("pool = ProcessPoolExecutor(1)\npool.submit(abs, -42).result()").stderr == ""
    said = client.run("pool.shutdown()\npool = ProcessPoolExecutor(1)\nbusy = pool.submit(time.sleep, 1)").stderr
    assert said.startswith("Still running: thread ")
    client.run("pool.shutdown()")


def test_what_has_ended_is_not_named(client: Client) -> None:
    assert client.run("import threading\nt = threading.Thread(target=print)\nt.start(); t.join()").stderr == ""


def test_it_need_not_be_said(start: Callable[..., KernelProcess]) -> None:
    client = start("--BaseShell.report_leftovers=False").client()
    assert client.run("import anyio\nnursery.start_soon(anyio.sleep, 3600)").stderr == ""

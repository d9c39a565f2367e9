"""An interface that runs a loop for itself: ``start`` and ``launch_instance``, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from async_kernel.interface.callable import CallableInterface
from async_kernel.interface.zmq import ZMQInterface
from async_kernel.slot import slot

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("free_slot")


def test_what_is_not_the_interface_of_the_process_is_not_started() -> None:
    stopped = ZMQInterface()
    stopped.stop()
    with pytest.raises(RuntimeError, match="not the global instance"):
        stopped.start()


def test_none_is_launched_beside_another() -> None:
    one = ZMQInterface()
    with pytest.raises(RuntimeError, match="already exists"):
        ZMQInterface.launch_instance([])
    assert slot.get() is one


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_a_wrong_option_of_the_library_is_raised_and_the_slot_is_free(backend: str) -> None:
    interface = ZMQInterface(["--backend_options", "nonsense=1", f"--backend={backend}"])
    with pytest.raises(TypeError, match=f"{backend} has no option 'nonsense'"):
        interface.start()
    assert slot.get() is None


def test_options_of_sockets_are_none_of_an_interface_without_them() -> None:
    assert not {"backend", "host", "transport", "ip", "shell"} & set(CallableInterface.aliases)


PROGRAM = """
import sys, threading
from async_kernel.interface.zmq import ZMQInterface
from async_kernel.slot import slot

interface = ZMQInterface([f"--backend={sys.argv[1]}"])
thread = threading.Thread(target=interface.start)
thread.start()
interface.started.wait_sync(timeout=60)
where = interface.callers["shell"].call_soon(threading.get_ident).wait_sync(timeout=60)
interface.stop()
interface.stop()
thread.join()
print(where == thread.ident, interface.stopped.done(), slot.get(), threading.active_count())
"""


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_it_runs_in_another_thread_than_the_main_one(backend: str, homes: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, backend], capture_output=True, text=True, check=False, cwd=homes
    )
    assert (done.stdout, done.stderr, done.returncode) == ("True True None 1\n", "", 0)

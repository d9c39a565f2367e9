"""The threads of a kernel are its own business: a debugger shows the user's only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import json, sys, threading
import anyio
from async_kernel import Interface

async def main():
    async with Interface(["--connection_file=" + sys.argv[2]]):
        hidden = {thread.name: getattr(thread, "pydev_do_not_trace", False) for thread in threading.enumerate()}
        print(json.dumps(hidden))

anyio.run(main, backend=sys.argv[1])
"""


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_debuggers_pass_the_kernels_threads_by(tmp_path: Path, backend: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, backend, str(tmp_path / "connection.json")],
        env={**os.environ, "IPYTHONDIR": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    hidden = json.loads(done.stdout)
    assert {name for name, is_hidden in hidden.items() if not is_hidden} == {"MainThread"}
    assert hidden.keys() >= {"async-kernel I/O", "async-kernel heartbeat", "helper", "history"}

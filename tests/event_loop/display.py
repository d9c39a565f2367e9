"""A display for tests of windows: the one there is, or a virtual one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def display() -> Generator[dict[str, str]]:
    """Environment variables for a display that nobody looks at: Xvfb's; skips the test if there is none."""
    if sys.platform in ("win32", "darwin"):
        yield {}
        return
    xvfb = shutil.which("Xvfb")
    if xvfb is None:
        if os.environ.get("DISPLAY"):
            yield {"DISPLAY": os.environ["DISPLAY"]}
            return
        pytest.skip("needs a display: install Xvfb (Debian: apt install xvfb), or set DISPLAY")
    reader, writer = os.pipe()
    # It chooses a free number, and says it when it is ready.
    command = [xvfb, "-displayfd", str(writer), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL) as server:
        os.close(writer)
        with os.fdopen(reader) as said:
            number = said.readline().strip()
        try:
            if not number:
                pytest.fail("Xvfb did not start")
            yield {"DISPLAY": f":{number}"}
        finally:
            server.terminate()

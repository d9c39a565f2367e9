"""A kernel in a process that has neither zmq nor trio nor any compiled package, as in a browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = "tests.interface.browser_like"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program has seen."""
    done = subprocess.run(
        [sys.executable, "-m", PROGRAM],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "IPYTHONDIR": str(tmp_path_factory.mktemp("ipython"))},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("execute", ["busy", "execute_input", "stream", "execute_result", "execute_reply", "idle"]),
        ("display", [{"text/plain": "<IPython.core.display.HTML object>", "text/html": "<b>x</b>"}]),
        ("input", "Ada\n"),
        ("comm", [{"got": {"n": 1}}]),
        ("complete", ["print"]),
        ("inspect", True),
        ("kernel_info", "async-trio"),
        ("usage", "error"),
        ("await", "slept\n"),
        ("background", "in the nursery\n"),
        ("error", "ZeroDivisionError"),
        ("stop", "error"),
        ("imported", []),
    ],
)
def test_a_kernel_without_zmq_and_trio(report: dict[str, Any], what: str, expected: Any) -> None:
    assert report[what] == expected

"""Fixtures of tests with programs that are heavy to install: ``nox -s ecosystem``; elsewhere those are left out.

Each file of tests needs packages of its own, and is collected where they are. ``--pictures`` names the folder where
screenshots are kept, one folder in it for each backend.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.harness.subject import Subject

NEEDS = {
    "test_euporie.py": ("euporie",),
    "test_farther.py": ("distributed", "ipyparallel"),
    "test_gateway.py": ("kernel_gateway", "jupyter_server"),
    "test_libraries.py": ("bokeh", "line_profiler", "nest_asyncio", "numba", "plotly"),
    "test_qtconsole.py": ("qtconsole", "PySide6"),
}

collect_ignore = [
    name for name, packages in NEEDS.items() if not all(importlib.util.find_spec(package) for package in packages)
]


@pytest.fixture
def pictures(request: pytest.FixtureRequest, subject: Subject, tmp_path: Path) -> Path:
    """The folder of screenshots of the backend: in that of ``--pictures``, or a temporary one."""
    named = request.config.getoption("--pictures")
    folder = Path(named) / subject.backend if named else tmp_path / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    return folder

"""Whether a kernel says that it can be debugged, and what it says if it cannot."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from async_kernel.kernel.debugging import available
from async_kernel.kernel.debugging.available import why_no_debugger


def kernel(*, reads_beside: bool = True, cells_have_files: bool = True) -> Any:
    return SimpleNamespace(reads_beside=reads_beside, cells_have_files=cells_have_files)


def found(name: str) -> object:
    return name


def not_found(name: str) -> object:
    return None


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """debugpy is installed and not imported, and has not started this process."""
    monkeypatch.setattr(available, "LAUNCHED_BY_DEBUGPY", False)
    monkeypatch.setattr(available, "find_spec", found)
    monkeypatch.setattr(available, "_found", False)
    monkeypatch.delitem(sys.modules, "debugpy", raising=False)


def test_there_is_a_debugger_where_debugpy_is_installed() -> None:
    assert why_no_debugger(kernel()) == ""


def test_without_debugpy_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(available, "find_spec", not_found)
    assert "pip install debugpy" in why_no_debugger(kernel())


def test_debugpy_may_be_installed_while_the_kernel_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(available, "find_spec", not_found)
    why_no_debugger(kernel())
    monkeypatch.setattr(available, "find_spec", found)
    assert why_no_debugger(kernel()) == ""


def test_it_is_looked_for_no_more_once_it_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    why_no_debugger(kernel())
    monkeypatch.setattr(available, "find_spec", not_found)
    assert why_no_debugger(kernel()) == ""


def test_a_process_that_is_debugged_already_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(available, "LAUNCHED_BY_DEBUGPY", True)
    assert "started this process already" in why_no_debugger(kernel())


def test_kernels_that_would_stop_themselves_have_none() -> None:
    assert "would stop the debugger" in why_no_debugger(kernel(reads_beside=False))


def test_shells_whose_cells_have_no_files_have_none() -> None:
    assert "in which files" in why_no_debugger(kernel(cells_have_files=False))

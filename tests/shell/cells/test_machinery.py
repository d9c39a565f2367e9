"""Which files are machinery."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import trio

import async_kernel
from async_kernel.shell.cells.machinery import is_library, is_machinery

TRIO = Path(trio.__file__).parent


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        pytest.param(Path(async_kernel.__file__), True, id="this package"),
        pytest.param(TRIO / "_core" / "_run.py", True, id="an async library"),
        pytest.param(TRIO.with_name("trio_parallel") / "_impl.py", False, id="a library whose name begins like it"),
        pytest.param(Path(__file__), False, id="code of a user"),
    ],
)
def test_files_are_machinery_by_the_folder_that_they_are_in(file: Path, expected: bool) -> None:
    assert is_machinery(str(file)) == expected


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        pytest.param(async_kernel.__file__, True, id="this package"),
        pytest.param(json.__file__, True, id="the standard library"),
        pytest.param(pytest.__file__, True, id="an installed package"),
        pytest.param("<attrs generated init>", True, id="code that a library made"),
        pytest.param(__file__, False, id="code of a user"),
        pytest.param("/tmp/async_kernel_1/2.py", False, id="a cell"),
    ],
)
def test_code_that_is_not_the_users_own_is_a_library(file: str, expected: bool) -> None:
    assert is_library(file) == expected


def test_a_library_counts_from_when_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "trio")
    before = is_machinery(trio.__file__)
    monkeypatch.undo()

    assert (before, is_machinery(trio.__file__)) == (False, True)

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from IPython.core.history import HistoryAccessor

from async_kernel.interface.early_history import early_history

LINES = [(1, 1, "a=1", "a = 1"), (1, 2, "get_ipython().run_line_magic('pwd', '')", "%pwd"), (2, 1, "b=2", "b = 2")]


@pytest.fixture(autouse=True)
def folder(homes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default profile of a user without configuration."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(homes / "config"))
    profile = Path(os.environ["IPYTHONDIR"], "profile_default")
    profile.mkdir(parents=True, exist_ok=True)
    return profile


@pytest.fixture
def file(folder: Path) -> Path:
    """Where IPython keeps lines, with those of two sessions."""
    path = folder / "history.sqlite"
    path.unlink(missing_ok=True)
    accessor = HistoryAccessor(hist_file=str(path))  # makes its tables
    with closing(sqlite3.connect(accessor.hist_file)) as database, database:
        database.executemany("INSERT INTO history VALUES (?, ?, ?, ?)", LINES)
    return path


def ask(**content: Any) -> Any:
    return early_history({"hist_access_type": "tail", **content})


@pytest.mark.parametrize(
    "asked", [{"n": 1000}, {"n": 2}, {"n": 0}, {}, {"raw": False}, {"raw": True, "output": False}], ids=str
)
def test_the_answer_is_ipythons(file: Path, asked: dict[str, Any]) -> None:
    answer = ask(**asked)
    accessor = HistoryAccessor(profile="default")
    assert Path(accessor.hist_file) == file
    lines = accessor.get_tail(asked.get("n"), raw=asked.get("raw", True), include_latest=True)
    assert answer == {"status": "ok", "history": [list(line) for line in lines]}


def test_a_new_user_has_no_lines(folder: Path) -> None:
    (folder / "history.sqlite").unlink(missing_ok=True)
    assert ask(n=1000) == {"status": "ok", "history": []}
    assert not (folder / "history.sqlite").exists()


@pytest.mark.parametrize(
    "asked",
    [
        {"hist_access_type": "range"},
        {"hist_access_type": "search", "pattern": "a*"},
        {"hist_access_type": None},
        {"output": True},
        {"raw": "yes"},
        {"raw": []},
        {"n": "many"},
        {"n": -1},
        {"n": 10**30},
    ],
    ids=str,
)
def test_other_questions_are_left_to_the_kernel(file: Path, asked: dict[str, Any]) -> None:
    assert ask(**asked) is None


def test_a_file_that_is_none_of_ipythons_is_left_to_the_kernel(file: Path) -> None:
    file.write_bytes(b"no database at all")
    assert ask(n=10) is None


def test_a_file_that_another_process_holds_is_left_to_the_kernel(file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert ask(n=10) is None


def test_it_is_left_to_the_kernel_where_ipython_may_use_another_folder(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("IPYTHONDIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "ipython").mkdir(parents=True)
    assert ask(n=10) is None

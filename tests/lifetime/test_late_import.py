"""Modules that are imported late, while cells run and do what they like to ``sys.path``."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import outcome
import pytest

from async_kernel.lifetime import late_import as module
from async_kernel.lifetime.late_import import late_import

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where modules were found at the start; none of them stays."""
    for name in ("late_pear", "late_plum"):
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]
    monkeypatch.setattr(module, "_PATH", (str(tmp_path),))
    return tmp_path


def test_it_is_found_though_the_path_has_been_emptied(found: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (found / "late_pear.py").write_text("import late_plum\n")
    (found / "late_plum.py").write_text("colour = 'blue'\n")
    monkeypatch.setattr(sys, "path", [])
    assert late_import("late_pear").late_plum.colour == "blue"
    assert late_import("late_pear") is sys.modules["late_pear"]


def test_what_is_nowhere_is_an_import_error(found: Path) -> None:
    finders = list(sys.meta_path)
    with pytest.raises(ImportError, match="late_pear"):
        late_import("late_pear")
    assert sys.meta_path == finders


def test_what_others_put_into_the_path_meanwhile_stays(found: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (found / "late_pear.py").write_text("import sys\nsys.path.append('a folder of the user')\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    late_import("late_pear")
    assert sys.path[-1] == "a folder of the user"


def test_two_at_once_are_not_in_each_others_way(found: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As debugpy does when it is imported.
    (found / "late_pear.py").write_text(
        "import sys, threading\nsys.path.insert(0, 'vendored')\n"
        "threading.late_begun.set()\nthreading.late_may_end.wait(60)\nsys.path.remove('vendored')\n"
    )
    (found / "late_plum.py").write_text("")
    monkeypatch.setattr(sys, "path", list(sys.path))
    begun, may_end = threading.Event(), threading.Event()
    monkeypatch.setattr(threading, "late_begun", begun, raising=False)
    monkeypatch.setattr(threading, "late_may_end", may_end, raising=False)
    before = list(sys.path)
    results: list[outcome.Outcome[object]] = []
    thread = threading.Thread(target=lambda: results.append(outcome.capture(late_import, "late_pear")))
    thread.start()
    try:
        assert begun.wait(60)
        late_import("late_plum")
        sys.path.append("a folder of the user")
    finally:
        may_end.set()
        thread.join()
    results[0].unwrap()
    assert sys.path == [*before, "a folder of the user"]


def test_other_threads_find_no_more_than_before(found: Path) -> None:
    (found / "late_plum.py").write_text("")
    (found / "late_pear.py").write_text(
        "import threading\nfrom importlib.util import find_spec\nseen = []\n"
        "thread = threading.Thread(target=lambda: seen.append(find_spec('late_plum')))\n"
        "thread.start()\nthread.join()\n"
    )
    assert late_import("late_pear").seen == [None]

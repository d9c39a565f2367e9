"""Modules that are imported late, while cells run and do what they like to ``sys.path``."""

from __future__ import annotations

import os
import subprocess
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


TAKING_ALL = """
import os, resource
from contextlib import nullcontext
from async_kernel.lifetime.late_import import descriptor_kept, late_import

def take_all():
    try:
        while True:
            os.dup(0)
    except OSError:
        pass

resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
with {context}():
    take_all()
    for name in ("late_pear", "late_plum"):
        try:
            print(late_import(name).__name__)
        except (ImportError, OSError) as exc:
            print(type(exc).__name__)
    try:
        os.dup(0)
    except OSError:
        print("none left")
os.close(os.dup(0))
print("given back")
"""


def said_without_descriptors(folder: Path, context: str) -> list[str]:
    for name in ("late_pear", "late_plum"):
        (folder / f"{name}.py").touch()
    command = [sys.executable, "-c", TAKING_ALL.format(context=context)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout.splitlines()


@pytest.mark.skipif(os.name != "posix", reason="descriptors can be limited on POSIX")
def test_one_is_lent_to_it_where_user_code_has_taken_all_descriptors(tmp_path: Path) -> None:
    said = said_without_descriptors(tmp_path, "descriptor_kept")
    assert said == ["late_pear", "late_plum", "none left", "given back"]


@pytest.mark.skipif(os.name != "posix", reason="descriptors can be limited on POSIX")
def test_without_that_one_nothing_could_be_imported(tmp_path: Path) -> None:
    assert said_without_descriptors(tmp_path, "nullcontext") == ["OSError", "OSError", "none left"]

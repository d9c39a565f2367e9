"""Collection waits for the start, and passes over what starting made."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from typing import TYPE_CHECKING

import pytest

from async_kernel.interface import garbage

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

CYCLE = """
class Node: pass
node = Node(); node.itself = node
"""


@pytest.fixture(autouse=True)
def as_before() -> Generator[None]:
    """Leave the collector of the test process as it was."""
    yield
    garbage.resume()
    gc.unfreeze()
    gc.enable()


def test_nothing_is_collected_while_postponed() -> None:
    garbage.postpone()
    assert not gc.isenabled()


def test_what_was_there_is_passed_over_once_resumed() -> None:
    garbage.postpone()
    garbage.resume()
    assert (gc.isenabled(), gc.get_freeze_count() > 0) == (True, True)


def test_garbage_made_later_is_collected() -> None:
    garbage.postpone()
    garbage.resume()
    names: dict[str, type] = {}
    exec(CYCLE, names)
    watched = weakref.ref(names.pop("node"))
    gc.collect()
    assert watched() is None


def test_nothing_is_resumed_that_was_not_postponed() -> None:
    gc.disable()
    garbage.resume()
    assert (gc.isenabled(), gc.get_freeze_count()) == (False, 0)


def test_a_program_that_collects_nothing_stays_so() -> None:
    gc.disable()
    garbage.postpone()
    garbage.resume()
    assert not gc.isenabled()


def test_open_files_are_flushed_at_the_end_also_those_in_cycles(tmp_path: Path) -> None:
    code = (
        "import gc; from async_kernel.interface import garbage; garbage.postpone(); garbage.resume()\n"
        f"class Holder: pass\nh = Holder(); h.itself = h; h.file = open({str(tmp_path / 'text')!r}, 'w')\n"
        "h.file.write('kept')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert (tmp_path / "text").read_text() == "kept"

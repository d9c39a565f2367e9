"""The names of cells, which front ends compute for themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from executing.executing import is_ipython_cell_filename

from async_kernel.shell.running.cell_files import HASH_SEED, cell_file, cell_folder, cell_number, murmur2, note_number


@pytest.mark.parametrize(
    ("data", "seed", "expected"),
    [
        # Observed of the front ends' and other kernels' implementations.
        (b"", 0, 0),
        (b"print(1)", HASH_SEED, 3773950048),
        (b"hello", HASH_SEED, 3305111549),
    ],
    ids=["empty", "words", "rest"],
)
def test_the_hash_is_the_one_that_front_ends_compute(data: bytes, seed: int, expected: int) -> None:
    assert murmur2(data, seed) == expected


def test_a_cell_is_a_file_in_the_folder_of_the_process() -> None:
    assert Path(cell_file("print(1)")) == cell_folder() / "3773950048.py"


def test_libraries_know_it_for_a_cell() -> None:
    assert is_ipython_cell_filename(cell_file("print(1)"))


def test_half_of_a_surrogate_pair_has_a_name_too() -> None:
    assert cell_file("'\ud800'").endswith(".py")


def test_the_number_of_a_cell_is_that_of_its_last_run() -> None:
    name = cell_file("a cell of this test")
    note_number(name, 3)
    note_number(name, 5)
    assert (cell_number(name), cell_number("/elsewhere.py")) == (5, None)

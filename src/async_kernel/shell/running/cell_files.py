"""What cells are called: files that a debugger's client can name without asking.

A front end sets breakpoints in a cell before it has run, and so has to know what its code will be called. The two
agree on a folder and a hash of the cell's text: ``<folder>/<hash>.py``, where the hash is 32-bit MurmurHash2 with a
seed (Austin Appleby, in the public domain; the one that front ends of Jupyter implement). The files are written only
for a debugger that shows them. Equal cells have one name, and the number of the one that ran last.
"""

from __future__ import annotations

import os
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HASH_METHOD", "HASH_SEED", "cell_file", "cell_folder", "cell_number", "murmur2", "note_number", "place"]

HASH_METHOD: Final = "Murmur2"
"""What front ends call the hash."""
HASH_SEED: Final = 0xC70F6907
"""Its seed: the one that front ends meet with other kernels."""
SUFFIX: Final = ".py"

_MULTIPLIER = 0x5BD1E995
_MASK = 0xFFFFFFFF

_numbers: dict[str, int] = {}


def murmur2(data: bytes, seed: int) -> int:
    """The 32-bit MurmurHash2 of ``data``."""
    size = len(data)
    value = (seed ^ size) & _MASK
    whole = size & ~3
    for (word,) in struct.iter_unpack("<I", data[:whole]):
        word = word * _MULTIPLIER & _MASK
        value = (value * _MULTIPLIER ^ (word ^ word >> 24) * _MULTIPLIER) & _MASK
    if rest := data[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * _MULTIPLIER & _MASK
    value = (value ^ value >> 13) * _MULTIPLIER & _MASK
    return value ^ value >> 15


def cell_folder() -> Path:
    """Where cells seem to lie: a folder of this process, which need not exist.

    Its name is the one by which libraries know that a function comes from a notebook and has no file: numba (which
    then keeps compiled functions by their text), line_profiler and others compare it with that of ipykernel.
    """
    return Path(tempfile.gettempdir()) / f"ipykernel_{os.getpid()}"


_prefix = ""


def cell_file(code: str) -> str:
    """The name of a cell with this text, as its user wrote it."""
    global _prefix  # cells of one process have one folder; a fork keeps its parent's names
    if not _prefix:
        _prefix = str(cell_folder()) + os.sep
    return f"{_prefix}{murmur2(code.encode('utf-8', 'replace'), HASH_SEED)}{SUFFIX}"


def note_number(file: str, number: int) -> None:
    """``In[number]`` has this file name now."""
    _numbers[file] = number


def cell_number(file: str) -> int | None:
    """The n of ``In[n]`` for the file name of a cell; None for other files."""
    return _numbers.get(file)


def place(frame: Mapping[str, Any]) -> str:
    """Where a frame of a stack (``file``, ``line``, ``function``) is, for people: ``In[3]:5, in work``."""
    number = cell_number(frame["file"])
    file = frame["file"] if number is None else f"In[{number}]"
    function = "" if frame["function"] == "<module>" else f", in {frame['function']}"
    return f"{file}:{frame['line']}{function}"

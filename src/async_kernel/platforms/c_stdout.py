"""C's own buffer of stdout: Windows has no symbol for it, macOS has another."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from typing import Final

__all__ = ["buffer_c_stdout_by_line", "flush_c_stdout"]

_LINE_BUFFERED: Final = 1
"""``_IOLBF`` of stdio.h: 1 with glibc, musl and Apple's libc."""


def flush_c_stdout() -> None:
    """Write out what C code has printed and not flushed. May block while the pipe is full."""
    if (stdout := _c_stdout()) is not None:
        _libc().fflush(stdout)


def buffer_c_stdout_by_line() -> None:
    """Have C code's lines written when they are complete, as on a terminal."""
    if (stdout := _c_stdout()) is not None:
        _libc().setvbuf(stdout, None, _LINE_BUFFERED, 0)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


@functools.cache
def _c_stdout() -> ctypes.c_void_p | None:
    """C's ``stdout``, or None where it is not a symbol of the process."""
    if os.name != "posix":
        return None
    try:
        return ctypes.c_void_p.in_dll(_libc(), "__stdoutp" if sys.platform == "darwin" else "stdout")
    except ValueError:
        return None

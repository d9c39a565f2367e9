"""System commands: how a shell runs them, and how it reads a command line."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Final

__all__ = ["HAVE_CLS", "HAVE_MAN", "HAVE_SESSIONS", "quoted", "split_words"]

HAVE_SESSIONS: Final = sys.platform != "win32"
"""Whether a child can have a session and pseudo-terminals of its own, and be sent signals with all its children."""

HAVE_MAN: Final = os.name == "posix"
"""Whether there are manual pages."""

HAVE_CLS: Final = os.name == "nt"
"""Whether people call what clears the screen ``cls``."""


def split_words(line: str) -> list[str]:
    """The words of a command line; on Windows a backslash is a letter, and quotes stay.

    Raises:
        ValueError: if a quote is not closed.
    """
    return shlex.split(line, posix=sys.platform != "win32")


def quoted(word: str) -> str:
    """A word as the shell of this system takes it for one, whatever is in it."""
    return f'"{word}"' if os.name == "nt" else shlex.quote(word)

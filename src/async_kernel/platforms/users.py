"""Who owns files: POSIX knows, Windows keeps it elsewhere."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_our_folder"]


def is_our_folder(path: Path) -> bool:
    """Whether it is a folder, no link to one, and of this process's user, where users can be told apart."""
    found = path.lstat()
    return stat.S_ISDIR(found.st_mode) and (not hasattr(os, "getuid") or found.st_uid == os.getuid())

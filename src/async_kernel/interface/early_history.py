"""The lines of former sessions, before IPython is imported.

jupyter_console asks for them as soon as it knows what kernel this is, and waits a second: on a busy machine, or with
cold disks, IPython takes longer. Without the answer its arrow keys find nothing, and it takes every later answer for
that to another question.

For kernels of the default profile that no file configures, as :mod:`async_kernel.interface.early` makes sure of. Where
the file is not certain, or cannot be read at once, the request waits for the kernel. Nothing is written.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from async_kernel.typing import Content

__all__ = ["early_history"]

_COLUMNS: Final = {True: "source_raw", False: "source"}
_LOCKED_S: Final = 0.1
"""Seconds in which another process must let go of the file: most of those that a client waits are for the rest."""
_DEFAULT_LINES: Final = 10
_MOST_LINES: Final = 10_000
"""In one answer of the reception: ten times what jupyter_console asks for."""


def early_history(content: Content) -> Content | None:
    """The content of the reply to a history_request; None if it must wait for the kernel."""
    access, raw, output, count = (content.get(name) for name in ("hist_access_type", "raw", "output", "n"))
    count = _DEFAULT_LINES if count is None else count
    plain = access == "tail" and not output and raw in (None, True, False)
    if not plain or not isinstance(count, int) or not 0 <= count <= _MOST_LINES:
        return None
    path = _file()
    if path is None:
        return None
    lines = _tail(path, _COLUMNS[raw is not False], count) if path.exists() else []
    return None if lines is None else {"status": "ok", "history": lines}


def _file() -> Path | None:
    """Where IPython keeps the lines of the default profile; None if it is not certain."""
    own = os.environ.get("IPYTHONDIR")
    if own is None and (Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config")) / "ipython").exists():
        return None  # IPython may use this one
    folder = Path(own).expanduser() if own is not None else Path.home() / ".ipython"
    if folder.exists() and not os.access(folder, os.W_OK):
        return None  # IPython will use another one
    return folder / "profile_default" / "history.sqlite"


def _tail(path: Path, column: str, count: int) -> list[list[Any]] | None:
    """The last lines, the newest last; None if they cannot be read."""
    import sqlite3  # noqa: PLC0415 -- for those who ask only

    query = f"SELECT session, line, {column} FROM history ORDER BY session DESC, line DESC LIMIT ?"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_LOCKED_S)) as database:
            return [list(line) for line in reversed(database.execute(query, (count,)).fetchall())]
    except (sqlite3.Error, OSError):
        return None

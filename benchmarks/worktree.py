"""Another revision of our own project, checked out beside the working tree for as long as it is installed."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["checked_out", "describe_tree", "resolve"]


def _git(project: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=project, capture_output=True, text=True, check=False)
    except OSError as e:
        raise BenchError(f"git cannot be run: {e}") from e
    if done.returncode:
        raise BenchError(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def resolve(project: Path, revision: str) -> str:
    """The full commit id of a revision.

    Raises:
        BenchError: if git does not know it.
    """
    try:
        return _git(project, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    except BenchError:
        raise BenchError(f"git knows no revision {revision!r} of this project") from None


def describe_tree(project: Path) -> str:
    """The commit of the working tree, with ``+`` if something of the product is changed; "" without git."""
    try:
        commit = _git(project, "rev-parse", "--short=10", "HEAD")
        changed = _git(project, "status", "--porcelain", "--", "src", "pyproject.toml")
    except BenchError:
        return ""
    return commit + ("+" if changed else "")


@contextlib.contextmanager
def checked_out(project: Path, commit: str) -> Generator[Path]:
    """A folder with the project at ``commit``; removed on leaving, and nothing stays registered with git."""
    with tempfile.TemporaryDirectory(prefix="async-trio-bench-") as folder:
        place = Path(folder) / "project"
        _git(project, "worktree", "add", "--detach", str(place), commit)
        try:
            yield place
        finally:
            _git(project, "worktree", "remove", "--force", str(place))

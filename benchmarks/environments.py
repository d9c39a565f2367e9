"""An environment for each kernel, made once and kept in the user's cache folder.

Two projects here share the import name ``async_kernel``, and dependencies of one would change the figures of
another, so nothing is shared but the interpreter. Our own project is installed as a copy, never editable:
what is measured does not change when a file is saved during the run. ``uv`` is used where it is found, else
``venv`` and ``pip``. Beside each environment stands a note of what it was made of; one that fits is taken as it is.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.errors import InstallationError
from benchmarks.kernels import OUR_DISTRIBUTION
from benchmarks.worktree import checked_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.kernels import Recipe

__all__ = ["Environment", "Workshop"]

NOTE = "async-trio-bench.json"
INSTALL_TIMEOUT = 900
"""Seconds: a slow package index, or a wheel that has to be built."""

VERSIONS = (
    "import importlib.metadata as m, json, platform;"
    "print(json.dumps({'python': platform.python_version(),"
    " **{d.metadata['Name']: d.version for d in m.distributions()}}))"
)


@dataclass(frozen=True, slots=True)
class Environment:
    """A ready environment: its interpreter, its scripts folder, and the versions of all that is in it."""

    python: Path
    scripts: Path
    versions: dict[str, str]


@dataclass(frozen=True)
class Workshop:
    """Makes environments.

    Attributes:
        folder: where they are kept.
        project: the root of our own project's working tree.
        python: the interpreter that they are made with.
        constraints: version constraints that hold for all (``ipython<9.18``).
        renew: make them again even if they fit, with the newest versions.
    """

    folder: Path
    project: Path
    python: Path
    constraints: tuple[str, ...] = ()
    renew: bool = False

    def prepare(self, recipe: Recipe) -> Environment:
        """The environment of a recipe, made if need be.

        Raises:
            InstallationError: with the last words of the installer.
        """
        place = self.folder / recipe.name
        note: dict[str, Any] = {
            "python": str(self.python),
            "requirements": recipe.requirements,
            "constraints": self.constraints,
            "project": self._digest(recipe),
        }
        wanted, found = json.dumps(note, indent=1), place / NOTE
        if self.renew or not found.is_file() or found.read_text(encoding="utf-8") != wanted:
            self._make(recipe, place)
            found.write_text(wanted, encoding="utf-8")
        python = _python_of(place)
        return Environment(python, python.parent, json.loads(_run([str(python), "-c", VERSIONS])))

    def _make(self, recipe: Recipe, place: Path) -> None:
        shutil.rmtree(place, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        uv = find_uv()
        if uv:
            _run([*uv, "venv", "--quiet", "--python", str(self.python), str(place)])
            install = [*uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(_python_of(place))]
            # A local project is built anew: the installer's cache does not see every change.
            install += ["--refresh-package", OUR_DISTRIBUTION] if recipe.revision is not None else []
        else:
            _run([str(self.python), "-m", "venv", str(place)])
            install = [str(_python_of(place)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        constraints = place / "constraints.txt"
        constraints.write_text("\n".join(self.constraints), encoding="utf-8")
        install += ["--constraint", str(constraints)]
        with self._source(recipe) as source:
            _run([*install, *recipe.requirements, *([str(source)] if source else [])])

    def _source(self, recipe: Recipe) -> Any:
        if recipe.revision is None:
            return nullcontext(None)
        return checked_out(self.project, recipe.revision) if recipe.revision else nullcontext(self.project)

    def _digest(self, recipe: Recipe) -> str | None:
        """What identifies our own project's content in a recipe."""
        if not recipe.revision:
            return None if recipe.revision is None else digest_of_tree(self.project)
        return recipe.revision


def digest_of_tree(project: Path) -> str:
    """A hash over all that gets into the wheel of a working tree."""
    digest = hashlib.sha256()
    sources = sorted(path for path in (project / "src").rglob("*") if "__pycache__" not in path.parts)
    for path in [project / "pyproject.toml", *sources]:
        if path.is_file():
            digest.update(f"{path.relative_to(project)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def find_uv() -> list[str] | None:
    """The command for uv, if there is one."""
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    found = shutil.which("uv")
    return [found] if found else None


def _python_of(place: Path) -> Path:
    return place / "Scripts" / "python.exe" if os.name == "nt" else place / "bin" / "python"


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise InstallationError(f"{Path(command[0]).name}: {e}") from e
    if done.returncode:
        complaint = done.stderr.strip().splitlines() or done.stdout.strip().splitlines() or ["no message"]
        raise InstallationError(" ".join(line.strip() for line in complaint[-3:])[:400])
    return done.stdout

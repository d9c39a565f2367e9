"""When environments are made, and from what."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import environments
from benchmarks.environments import Environment, Workshop, digest_of_tree
from benchmarks.errors import BenchError, InstallationError
from benchmarks.kernels import Recipe
from benchmarks.worktree import checked_out, describe_tree, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in git with two commits."""
    place = tmp_path / "project"
    (place / "src").mkdir(parents=True)
    git(tmp_path, "init", "--quiet", str(place))
    for number in (1, 2):
        (place / "pyproject.toml").write_text(f"version = {number}\n")
        git(place, "add", ".")
        git(place, "commit", "--quiet", "--message", f"number {number}")
    return place


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """What would have been run; nothing is."""
    run: list[Sequence[str]] = []

    def note(command: Sequence[str]) -> str:
        run.append(command)
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)
        return json.dumps({"python": "3.99", "thing": "1.0"})

    monkeypatch.setattr(environments, "_run", note)
    return run


def workshop(project: Path, **options: Any) -> Workshop:
    return Workshop(project.parent / "cache", project, Path(sys.executable), **options)


def made(commands: list[Sequence[str]]) -> int:
    return sum("venv" in command for command in commands)


def test_an_environment_is_made_once(project: Path, commands: list[Sequence[str]]) -> None:
    recipe = Recipe("thing", ("thing>=1",))
    first = workshop(project).prepare(recipe)
    assert workshop(project).prepare(recipe) == first
    assert made(commands) == 1
    assert isinstance(first, Environment)
    assert first.versions["thing"] == "1.0"


@pytest.mark.parametrize("change", [{"constraints": ("ipython<9",)}, {"renew": True}])
def test_an_environment_that_does_not_fit_is_made_anew(
    change: dict[str, Any], project: Path, commands: list[Sequence[str]]
) -> None:
    workshop(project).prepare(Recipe("thing", ("thing",)))
    workshop(project, **change).prepare(Recipe("thing", ("thing",)))
    assert made(commands) == 2


def test_requirements_and_constraints_reach_the_installer(project: Path, commands: list[Sequence[str]]) -> None:
    workshop(project, constraints=("ipython<9",)).prepare(Recipe("thing", ("thing>=1", "other")))
    install = next(list(command) for command in commands if "install" in command)
    assert install[-2:] == ["thing>=1", "other"]
    constraints = Path(install[install.index("--constraint") + 1])
    assert constraints.read_text() == "ipython<9"


def test_our_own_tree_is_installed_again_when_it_changes(project: Path, commands: list[Sequence[str]]) -> None:
    recipe = Recipe("ours", (), "")
    workshop(project).prepare(recipe)
    workshop(project).prepare(recipe)
    assert made(commands) == 1
    (project / "src" / "new.py").touch()
    workshop(project).prepare(recipe)
    assert made(commands) == 2


def test_compiled_files_are_no_change(project: Path) -> None:
    before = digest_of_tree(project)
    (project / "src" / "__pycache__").mkdir()
    (project / "src" / "__pycache__" / "new.pyc").touch()
    assert digest_of_tree(project) == before


def test_an_installer_that_fails_is_quoted(tmp_path: Path) -> None:
    # pip and uv alike: this is no requirement.
    with pytest.raises(InstallationError, match="=="):
        Workshop(tmp_path, tmp_path, Path(sys.executable)).prepare(Recipe("wrong", ("thing ==",)))


def test_an_older_revision_is_checked_out_and_nothing_is_left(project: Path) -> None:
    commit = resolve(project, "HEAD~1")
    with checked_out(project, commit) as place:
        assert (place / "pyproject.toml").read_text() == "version = 1\n"
    assert not place.exists()
    listed = subprocess.run(["git", "worktree", "list"], cwd=project, capture_output=True, text=True, check=True)
    assert len(listed.stdout.splitlines()) == 1


def test_an_unknown_revision_is_said(project: Path) -> None:
    with pytest.raises(BenchError, match="git knows no revision 'nonsense'"):
        resolve(project, "nonsense")


def test_a_changed_tree_is_told_from_its_commit(project: Path) -> None:
    commit = resolve(project, "HEAD")[:10]
    assert describe_tree(project) == commit
    (project / "src" / "new.py").touch()
    assert describe_tree(project) == f"{commit}+"


def test_without_git_there_is_no_commit(tmp_path: Path) -> None:
    assert describe_tree(tmp_path) == ""

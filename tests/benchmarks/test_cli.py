"""The command line: what it refuses, what it shows, and that it reports again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.cli import main
from tests.benchmarks.makers import make_results

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-k", "nosuchkernel"], "no kernel 'nosuchkernel'"),
        (["-m", "nosuchmeasure"], "no measure 'nosuchmeasure'"),
        (["--against", "no-such-revision"], "git knows no revision 'no-such-revision'"),
        (["--against", "--help-me"], "expected one argument"),
        (["--python", "/nowhere/python"], "no interpreter /nowhere/python"),
        (["--render", "/nowhere/results.json"], "not a result of this suite"),
        (["--rounds", "0"], "at least 1, not 0"),
        (["--rounds", "many"], "invalid"),
        (["--short", "--long"], "not allowed with"),
        (["stray"], "unrecognized arguments: stray"),
    ],
)
def test_what_cannot_be_done_is_said_with_exit_code_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    try:
        code = main([*arguments, "--output", str(tmp_path)])
    except SystemExit as exc:  # argparse's own way
        code = exc.code
    assert code == 2
    assert says in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_help_reads_well(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(words in text for words in ("three minutes", "--against REV", "examples:"))


def test_the_list_has_all_kernels_and_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    text = capsys.readouterr().out
    for name in ("floor", "ours-trio", "xeus-python", "execute_pass", "growth_message"):
        assert name in text


def test_an_old_run_is_told_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = make_results({"execute_pass": {"floor": [1.0], "ours-trio": [1.5]}})
    file = tmp_path / "old.json"
    file.write_bytes(results.to_json())
    assert main(["--render", str(file), "--output", str(tmp_path / "new"), "--no-plots"]) == 0
    assert "1.50 × met" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["results.md"]


def test_a_run_that_was_broken_off_says_so_in_its_exit_code(tmp_path: Path) -> None:
    results = make_results({"execute_pass": {"floor": [1.0]}})
    results.about["interrupted"] = True
    file = tmp_path / "old.json"
    file.write_bytes(results.to_json())
    assert main(["--render", str(file), "--output", str(tmp_path), "--no-plots"]) == 130

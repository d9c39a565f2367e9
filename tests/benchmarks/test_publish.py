"""What of the documentation comes from a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.errors import BenchError
from benchmarks.model import Figure
from benchmarks.report.publish import publish, replace_blocks
from tests.benchmarks.makers import make_results

if TYPE_CHECKING:
    from pathlib import Path

RESULTS = make_results(
    {
        "execute_pass": {"floor": [1.0], "ours-trio": [1.5], "ours-asyncio": [1.9], "ipykernel": [9.0]},
        "growth": {"ours-trio": [{1.0: 2.0, 10.0: 2.1, 100.0: 2.2}]},
    },
    figures=(Figure("growth", "growth", x_label="tasks"),),
)


def page(name: str) -> str:
    return f"before\n<!-- benchmark: {name} -->\nold\n<!-- /benchmark -->\nafter\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("about", "noise:"),
        ("glance", "| execute pass [ms] | 1.00 | 1.50 | 1.90 | 9.00 |"),
        ("goals", "1.50 × met"),
        ("figures", "| execute pass [ms] | 1.00 | 1.50 | 1.90 | 9.00 |"),
        ("curves", "flat: 2.00 (1) … 2.20 (100)"),
        ("pictures", "![growth, over tasks](benchmarks/growth.svg)"),
    ],
)
def test_a_block_is_written_anew_and_all_else_stays(name: str, said: str) -> None:
    text = replace_blocks(page(name), RESULTS)
    assert said in text
    assert "old" not in text
    assert (text.startswith("before\n<!-- "), text.endswith("<!-- /benchmark -->\nafter\n")) == (True, True)
    assert replace_blocks(text, RESULTS) == text


def test_a_block_that_is_not_known_is_refused() -> None:
    with pytest.raises(BenchError, match="goats"):
        replace_blocks(page("goats"), RESULTS)


def test_the_result_lies_beside_the_page(tmp_path: Path) -> None:
    (tmp_path / "performance.md").write_text(page("goals"))
    publish(RESULTS, tmp_path)
    names = {path.name for path in (tmp_path / "benchmarks").iterdir()}
    assert {"results.json", "results.md"} <= names
    assert "met" in (tmp_path / "performance.md").read_text()


def test_figures_of_an_earlier_run_are_taken_over_whole() -> None:
    now = make_results({"execute_pass": {"ours-trio": [1.0]}})
    earlier = make_results({"execute_pass": {"ours-trio": [7.0], "ipykernel": [7.0]}, "shutdown": {"ours-trio": [3.0]}})
    now.take_over(earlier)
    assert now.readings == {"execute_pass": {"ours-trio": [1.0]}, "shutdown": {"ours-trio": [3.0]}}
    assert now.families == {"family": ["execute_pass", "shutdown"]}


def test_reasons_say_nothing_of_this_machine() -> None:
    results = make_results({})
    results.miss("kernel", "probe", "it ended: /home/me/.cache/lib/python3.11/extension.so(+0x1)[0x7f]; 50 MB/s")
    assert results.absences[0].reason == "it ended: extension.so(+0x1)[0x7f]; 50 MB/s"

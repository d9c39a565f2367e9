"""Results and their JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from benchmarks.errors import BenchError
from benchmarks.results import Absence, Results
from tests.benchmarks.makers import make_results

if TYPE_CHECKING:
    from pathlib import Path


def test_json_brings_back_what_it_was_made_of(tmp_path: Path) -> None:
    results = make_results(
        {
            "single": {"floor": [1.0, 2.0], "ours-trio": [3.0]},
            "samples": {"ours-trio": [[1.0, 2.0], [3.0]]},
            "curve": {"ours-trio": [{1.0: 5.0, 10.0: 6.0}]},
        }
    )
    results.about = {"form": "short", "machine": {"cores": 2}}
    results.miss("ipykernel", "probe", "no answer")
    file = tmp_path / "results.json"
    file.write_bytes(results.to_json())
    assert Results.from_json(file) == results


def test_json_has_medians_for_those_who_have_no_python() -> None:
    document = orjson.loads(make_results({"figure": {"floor": [3.0, 1.0, 2.0]}}).to_json())
    assert document["summaries"]["figure"]["floor"]["median"] == 2.0


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"format": 1}', b'{"format": 99, "about": {}}', b'{"format": 1, "about": 1}']
)
def test_a_file_that_is_no_result_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_bytes(content)
    with pytest.raises(BenchError, match=r"results\.json"):
        Results.from_json(file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="No such file"):
        Results.from_json(tmp_path / "missing.json")


def test_curves_and_numbers_are_kept_apart() -> None:
    results = make_results({"curve": {"floor": [{1.0: 2.0}, {1.0: 4.0}]}, "number": {"floor": [7.0]}})
    assert (results.summary("curve", "floor"), results.curve("curve", "floor")) == (None, {1.0: 3.0})
    assert results.curve("number", "floor") == {}


def test_the_same_reason_is_kept_once() -> None:
    results = Results()
    for _ in range(3):
        results.miss("floor", "probe", "no answer")
    assert results.absences == [Absence("floor", "probe", "no answer")]


def test_the_typical_spread_is_that_of_half_the_figures() -> None:
    results = make_results({"a": {"floor": [1.0, 1.0]}, "b": {"floor": [1.0, 1.2]}, "c": {"floor": [1.0, 3.0]}})
    assert results.typical_spread() == pytest.approx(18.18, abs=0.01)

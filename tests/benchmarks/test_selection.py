"""Names and patterns from the command line."""

from __future__ import annotations

import pytest

from benchmarks.errors import BenchError
from benchmarks.kernels import KERNELS, ours_at
from benchmarks.measures import PROBES
from benchmarks.model import Form
from benchmarks.selection import at_revision, select_kernels, select_probes, split


def names(patterns: list[str]) -> list[str]:
    return [kernel.name for kernel in select_kernels(patterns, KERNELS)]


def test_names_may_stand_between_commas() -> None:
    assert split(["a, b", "c", ""]) == ["a", "b", "c"]


def test_without_names_the_usual_kernels_run() -> None:
    assert set(names([])) == {kernel.name for kernel in KERNELS if not kernel.only_on_request}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("ours", ["ours-trio", "ours-asyncio", "ours-uvloop"]),
        ("akernel", ["akernel"]),
        ("*-trio", ["ours-trio", "async-kernel-trio"]),
        ("async-kernel", ["async-kernel"]),
        ("async-kernel*", ["async-kernel", "async-kernel-trio", "async-kernel-uvloop"]),
    ],
)
def test_a_kernel_is_named_by_itself_its_project_or_a_pattern(pattern: str, expected: list[str]) -> None:
    assert names([pattern]) == expected


def test_an_unknown_kernel_is_refused_with_a_hint() -> None:
    with pytest.raises(BenchError, match="no kernel 'ipykernl'; did you mean ipykernel"):
        names(["ipykernl"])


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["ours-trio", "ipykernel"], ["ours-trio", "ipykernel", "ours-trio@v1"]),
        (["ours"], ["ours-trio", "ours-asyncio", "ours-uvloop", "ours-trio@v1", "ours-asyncio@v1", "ours-uvloop@v1"]),
        (["ours-trio@v1"], ["ours-trio@v1"]),
        ([], []),
    ],
)
def test_who_names_a_kernel_of_ours_has_it_compared_with_its_revision(patterns: list[str], expected: list[str]) -> None:
    kernels = [*KERNELS, *ours_at("abc", "v1")]
    wanted = at_revision(patterns, "v1", kernels)
    assert ([kernel.name for kernel in select_kernels(wanted, kernels)] if wanted else []) == expected


def test_another_revision_has_names_of_its_own() -> None:
    kernels = ours_at("0123456789abcdef", "v1")
    assert [kernel.name for kernel in kernels] == ["ours-trio@v1", "ours-asyncio@v1", "ours-uvloop@v1"]
    assert {kernel.group for kernel in kernels} == {"ours@v1"}


def test_the_short_form_leaves_out_what_takes_long() -> None:
    short = select_probes([], PROBES, Form.short)
    assert select_probes([], PROBES, Form.long) == list(PROBES)
    assert short == [probe for probe in PROBES if not probe.long_only]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("prints_lost", ["prints"]),
        ("start", ["start", "import", "shutdown_busy"]),
        ("execute_*", ["execute_pass", "execute_value", "execute_await", "execute_rate"]),
        ("growth_queue", ["growth_queue"]),
    ],
)
def test_a_measure_is_named_by_itself_its_family_or_its_figures(pattern: str, expected: list[str]) -> None:
    found = [probe.name for probe in select_probes([pattern], PROBES, Form.short)]
    if pattern == "start":
        assert found[:1] == expected[:1]
    assert set(found) >= set(expected)


def test_an_unknown_measure_is_refused_with_a_hint() -> None:
    with pytest.raises(BenchError, match="no measure 'execute_pas'; did you mean execute_pass"):
        select_probes(["execute_pas"], PROBES, Form.short)


def test_a_name_that_is_like_nothing_is_sent_to_the_list() -> None:
    with pytest.raises(BenchError, match="--list shows them all"):
        select_probes(["zzzzzz"], PROBES, Form.short)


def test_figures_and_probes_have_names_of_their_own() -> None:
    figures = [figure.name for probe in PROBES for figure in probe.figures]
    assert len(figures) == len(set(figures))
    assert len({probe.name for probe in PROBES}) == len(PROBES)

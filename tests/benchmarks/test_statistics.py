"""Figures from readings."""

from __future__ import annotations

import pytest

from benchmarks.statistics import Ratio, Summary, merge_curves, percentile, ratio, shape, summarize


def test_a_figure_is_the_median_of_its_rounds_with_the_extremes_beside_it() -> None:
    assert summarize([3.0, 1.0, 2.0]) == Summary(2.0, 1.0, 3.0, 3.0, None, None, (3.0, 1.0, 2.0))


def test_samples_stand_for_their_round_by_their_median() -> None:
    summary = summarize([[1.0, 2.0, 90.0], [4.0, 4.0, 4.0]])
    assert (summary.rounds, summary.median, summary.maximum) == ((2.0, 4.0), 3.0, 90.0)


def test_percentiles_are_of_the_samples_of_all_rounds() -> None:
    summary = summarize([[float(n) for n in range(50)], [float(n) for n in range(50, 101)]])
    assert (summary.p95, summary.p99) == (95.0, 99.0)


def test_few_samples_have_no_percentiles() -> None:
    assert summarize([[1.0] * 19]).p99 is None
    assert summarize([[1.0] * 20]).p99 == 1.0


def test_a_round_without_samples_does_not_count() -> None:
    assert summarize([[], [5.0]]).rounds == (5.0,)


@pytest.mark.parametrize("readings", [[], [[]]])
def test_nothing_cannot_be_summarized(readings: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="nothing"):
        summarize(readings)


@pytest.mark.parametrize(("rank", "expected"), [(0, 1.0), (50, 2.5), (100, 4.0), (25, 1.75)])
def test_percentiles_are_interpolated(rank: float, expected: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], rank) == expected


@pytest.mark.parametrize(("samples", "rank"), [([], 50), ([1.0], 101), ([1.0], -1)])
def test_a_percentile_needs_samples_and_a_rank(samples: list[float], rank: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(samples, rank)


def test_a_ratio_is_of_medians_and_spreads_over_paired_rounds() -> None:
    assert ratio(summarize([1.0, 2.0, 4.0]), summarize([2.0, 2.0, 2.0])) == Ratio(1.0, 0.5, 2.0)


def test_noise_that_both_share_does_not_widen_a_ratio() -> None:
    assert ratio(summarize([1.0, 10.0, 3.0]), summarize([2.0, 20.0, 6.0])) == Ratio(0.5, 0.5, 0.5)


def test_there_is_no_ratio_to_zero() -> None:
    assert ratio(summarize([1.0]), summarize([0.0])) is None


def test_curves_are_merged_point_by_point() -> None:
    assert merge_curves([{10: 1.0, 1: 5.0}, {1: 7.0, 10: 3.0}, {1: 6.0}]) == {1: 6.0, 10: 2.0}


@pytest.mark.parametrize(
    ("exponent", "expected"),
    [(0.0, "flat"), (0.1, "flat"), (0.5, "rising"), (1.0, "linear"), (2.0, "steeper than linear")],
)
def test_the_shape_of_a_curve_is_its_slope(exponent: float, expected: str) -> None:
    assert shape({10.0**n: 3.0 * 10.0 ** (n * exponent) for n in range(6)}) == expected


def test_what_a_constant_cost_hides_decides() -> None:
    assert shape({x: 1000 + x for x in (1.0, 10.0, 100.0, 1000.0, 10_000.0, 100_000.0)}) == "linear"


def test_a_curve_within_noise_is_flat() -> None:
    assert shape({1.0: 1.0, 10.0: 1.4, 100.0: 1.1, 1000.0: 1.9}) == "flat"


def test_what_becomes_less_is_falling() -> None:
    assert shape({1.0: 2000.0, 10.0: 1900.0, 50.0: 500.0}) == "falling"


def test_a_high_start_does_not_make_a_curve_rise() -> None:
    assert shape({10.0: 5.6, 100.0: 0.9, 1000.0: 0.7, 10_000.0: 1.25}) == "flat"


@pytest.mark.parametrize("curve", [{}, {1.0: 1.0, 100.0: 2.0}, {1.0: 1.0, 2.0: 2.0, 4.0: 9.0}])
def test_a_short_curve_has_no_shape(curve: dict[float, float]) -> None:
    assert shape(curve) == "too short to tell"

"""Bins of about equal shares between two tails, whatever ties the values have."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipemon.baseline.bins import Values, cut, shares
from pipemon.units import le

DRAW = np.random.default_rng(3)
numbers = st.floats(-1e200, 1e200) | st.floats(-1000, 1000) | st.integers(-5, 5).map(float)
few = st.lists(numbers, min_size=1, max_size=200)


@st.composite
def tied(draw: st.DrawFn) -> list[float]:
    """Thousands of values of which many are equal, as counts and clipped ratios are."""
    places = draw(st.lists(numbers, min_size=1, max_size=12))
    times = draw(st.lists(st.integers(1, 3000), min_size=len(places), max_size=len(places)))
    return np.repeat(places, times).tolist()


@given(few | tied())
def test_bounds_rise_and_no_bin_between_the_tails_is_empty(given_values: list[float]) -> None:
    values = np.array(given_values)
    bounds = cut(values)
    assert np.isfinite(bounds).all()
    assert all(low < high for low, high in pairwise(bounds))
    assert len({le(bound) for bound in bounds}) == len(bounds)
    found = shares(values, bounds)
    assert len(found) == len(bounds) + 1
    assert sum(found) == pytest.approx(1)
    assert min(found[1:-1]) > 0


@given(few | tied())
def test_there_are_ten_bins_at_most_or_one_beside_each_heavy_tie(given_values: list[float]) -> None:
    assert 2 <= len(cut(np.array(given_values))) <= 2 * 10 + 1 + 1


@given(tied())
def test_beside_a_value_as_heavy_as_two_bins_there_is_a_third_of_a_bin_at_most(given_values: list[float]) -> None:
    values = np.array(given_values)
    bounds = np.array(cut(values))
    bin_of = np.searchsorted(bounds, values)
    for value, times in zip(*np.unique(values, return_counts=True), strict=True):
        if times >= max(100, 0.2 * len(values)):
            beside = values[bin_of == np.searchsorted(bounds, value)]
            assert np.count_nonzero(beside != value) <= 0.1 * len(values) / 3


@pytest.mark.parametrize(
    "values",
    [
        DRAW.normal(size=50_000),
        DRAW.lognormal(3, 1, 50_000),
        DRAW.normal(-28, 6, 5000),
        1e-9 * DRAW.random(5000),
        1e9 + DRAW.random(5000),
    ],
)
def test_without_ties_there_are_ten_even_bins_and_two_tails(values: Values) -> None:
    found = shares(values, cut(values))
    assert len(found) == 12
    assert found[1:-1] == pytest.approx([0.1] * 10, abs=0.011)
    assert (found[0], found[-1]) == pytest.approx((0.001, 0.001), abs=0.0003)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5.0] * 100, (4.0, 5.0)),
        ([0.37] * 100, (0.3699, 0.37)),
        ([0.0] * 9999 + [1e9], (-1.0, 0.0)),
        ([0.0] * 70 + [1.0] * 30, (-1.0, 0.0, 1.0)),
        ([1.0, 2.0, 3.0, 4.0] * 50, (0.0, 1.0, 2.0, 3.0, 4.0)),
        ([3.3], (3.2, 3.3)),
        ([], ()),
    ],
)
def test_a_constant_and_few_whole_numbers_have_a_bin_each(values: list[float], expected: tuple[float, ...]) -> None:
    assert cut(np.array(values)) == expected


def test_what_is_not_zero_in_a_feature_that_mostly_is_has_bins_too() -> None:
    values = np.where(np.arange(10_000) < 9500, 0.0, np.random.default_rng(3).exponential(size=10_000))
    found = shares(values, cut(values))
    assert found == pytest.approx((0, 0.95, 0.025, 0.024, 0.001), abs=0.0025)


def test_a_tie_at_the_edge_leaves_a_tail_beyond_it() -> None:
    clipped = np.clip(np.random.default_rng(3).normal(0.9, 0.2, 10_000), 0, 1)
    bounds = cut(clipped)
    assert bounds[-2] < 1.0 == bounds[-1]
    assert shares(np.array([1.0, 1.001]), bounds)[-2:] == (0.5, 0.5)


def test_of_few_values_there_are_fewer_bins() -> None:
    draw = np.random.default_rng(3)
    assert [len(cut(draw.normal(size=size))) - 1 for size in (4, 12, 25, 50, 500)] == [1, 2, 5, 10, 10]


def test_bounds_have_as_few_digits_as_the_shares_allow() -> None:
    assert max(len(le(bound).strip("-")) for bound in cut(np.random.default_rng(3).normal(size=50_000))) <= 4


def test_bounds_are_the_same_in_any_order_of_the_values() -> None:
    values = np.random.default_rng(3).gamma(2, size=3000)
    assert cut(values) == cut(values[::-1].copy())


def test_a_share_counts_values_up_to_its_bound_as_the_histogram_does() -> None:
    assert shares(np.array([0.5, 1.0, 1.5, 2.0]), (1.0, 1.5)) == (0.5, 0.25, 0.25)

"""What the ready-made features of arrays and lists of numbers mean."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipemon import DeclarationError, Feature
from pipemon.features import embedding_norm, maximum, mean, minimum, share_missing, share_of, std

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [([1, 2, 6], 3.0), ([1.0, None, 3.0], 2.0), (np.array([[1.0, np.inf], [2.0, np.nan]]), 1.5), (4, 4.0)],
)
def test_mean_is_of_the_finite_numbers(numbers: object, expected: float) -> None:
    assert mean().extractor(numbers) == expected


@given(NUMBERS)
def test_mean_spread_and_extremes_are_those_of_the_standard_library(numbers: list[float]) -> None:
    assert mean().extractor(numbers) == pytest.approx(statistics.fmean(numbers), rel=1e-9, abs=1e-9)
    assert std().extractor(numbers) == pytest.approx(statistics.pstdev(numbers), rel=1e-6, abs=1e-6)
    assert minimum().extractor(numbers) == min(numbers)
    assert maximum().extractor(numbers) == max(numbers)


@given(NUMBERS)
def test_what_is_not_finite_changes_nothing(numbers: list[float]) -> None:
    dirty = [math.nan, *numbers, math.inf, -math.inf, None]
    for feature in (mean(), std(), minimum(), maximum()):
        assert feature.extractor(dirty) == pytest.approx(feature.extractor(numbers), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("feature", [mean(), std(), minimum(), maximum(), embedding_norm(), share_missing()])
def test_of_no_numbers_each_is_missing(feature: Feature) -> None:
    assert math.isnan(feature.extractor([]))  # type: ignore[arg-type]
    assert math.isnan(feature.extractor(np.zeros((0, 3))))  # type: ignore[arg-type]


@pytest.mark.parametrize("feature", [mean(), std(), minimum(), maximum(), embedding_norm()])
def test_of_nothing_finite_each_is_missing(feature: Feature) -> None:
    assert math.isnan(feature.extractor([math.nan, math.inf]))  # type: ignore[arg-type]


def test_complex_numbers_are_refused_not_halved() -> None:
    with pytest.raises(TypeError, match="complex"):
        mean().extractor(np.array([1 + 2j]))


@pytest.mark.parametrize(
    ("entries", "share"),
    [
        ([1, None, math.nan, 2], 0.5),
        ([1], 0.0),
        (np.full(2, np.nan), 1.0),
        (np.array([1, 2]), 0.0),
        (np.array(["2026-01-01", "NaT"], dtype="datetime64[D]"), 0.5),
        (["a", None], 0.5),
        (["a", math.nan], 0.5),
        (["nan", "b"], 0.0),
        (["a", [1, 2], np.zeros(3), None], 0.25),
        ({"age": 30, "name": None}, 0.5),
        (pd.Series([1.0, None]), 0.5),
        (pd.Series(["a", pd.NA, None, "b"], dtype=object), 0.5),
        (pd.DataFrame({"a": [1.0, None], "b": ["x", None]}), 0.5),
    ],
)
def test_share_missing_is_of_all_entries(entries: object, share: float) -> None:
    assert share_missing().extractor(entries) == share


@pytest.mark.parametrize(
    ("value", "entries", "share"),
    [
        (0, [0, 1, 0, 2], 0.5),
        (0, np.array([[0.0, 1.0], [-0.0, np.nan]]), 0.5),
        ("no", ["yes", "no", None], 1 / 3),
        ("1", [1, "1"], 0.5),
        (1, ["1", "2"], 0.0),
        (True, [True, False, None, True], 0.5),
    ],
)
def test_share_of_a_value_is_of_all_entries(value: Any, entries: object, share: float) -> None:
    assert share_of(value).extractor(entries) == pytest.approx(share)


def test_share_of_is_named_after_the_value() -> None:
    assert share_of(0).name == "share_of_0"
    assert share_of("two words", name="clipped").name == "clipped"
    with pytest.raises(DeclarationError, match="feature name 'share_of_two words'"):
        share_of("two words")


@pytest.mark.parametrize("value", [math.nan, None])
def test_share_of_what_equals_nothing_is_share_missing(value: Any) -> None:
    with pytest.raises(DeclarationError, match="share_missing"):
        share_of(value)


@pytest.mark.parametrize(
    ("vector", "norm"), [([3, 4], 5.0), (np.zeros(8), 0.0), (np.full(4, 0.5, np.float32), 1.0), ([[3, 0], [0, 4]], 5.0)]
)
def test_a_norm_is_the_root_of_the_sum_of_squares(vector: object, norm: float) -> None:
    assert embedding_norm().extractor(vector) == norm


def test_a_vector_of_half_precision_does_not_overflow() -> None:
    assert embedding_norm().extractor(np.full(4, 60_000, np.float16)) == pytest.approx(120_000, rel=1e-3)

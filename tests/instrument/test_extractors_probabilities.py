"""What the ready-made features of a classifier's probabilities mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipemon import Feature
from pipemon.features import confidence, entropy, margin

ALL: tuple[Callable[..., Feature], ...] = (confidence, entropy, margin)
WEIGHTS = st.lists(st.integers(0, 1000), min_size=2, max_size=20).filter(any)


@pytest.mark.parametrize(
    ("probabilities", "sure", "unsure", "gap"),
    [
        ([1.0, 0.0, 0.0], 1.0, 0.0, 1.0),
        ([0.25] * 4, 0.25, 1.0, 0.0),
        ([0.5, 0.25, 0.25], 0.5, 1.5 / math.log2(3), 0.25),
        (np.array([[0.5, 0.5], [1.0, 0.0]]), 0.75, 0.5, 0.5),
        (0.5, 0.5, 1.0, 0.0),
        (0.0, 1.0, 0.0, 1.0),
        (np.float32(1), 1.0, 0.0, 1.0),
        (np.array([[1.0], [0.5]]), 0.75, 0.5, 0.5),
        (np.array([0, 1, 0]), 1.0, 0.0, 1.0),
    ],
)
def test_they_tell_how_sure_a_classifier_is(probabilities: object, sure: float, unsure: float, gap: float) -> None:
    assert confidence().extractor(probabilities) == pytest.approx(sure)
    assert entropy().extractor(probabilities) == pytest.approx(unsure)
    assert margin().extractor(probabilities) == pytest.approx(gap)


@given(WEIGHTS)
def test_they_stay_in_their_ranges(weights: list[int]) -> None:
    p = np.array(weights) / sum(weights)
    highest, second = sorted(p)[-1], sorted(p)[-2]
    assert confidence().extractor(p) == pytest.approx(highest)
    assert margin().extractor(p) == pytest.approx(highest - second)
    assert 0 <= entropy().extractor(p) <= 1 + 1e-12  # type: ignore[operator]


@given(WEIGHTS, st.randoms())
def test_the_order_of_classes_does_not_matter(weights: list[int], random: Any) -> None:
    p = [weight / sum(weights) for weight in weights]
    mixed = random.sample(p, len(p))
    for feature in ALL:
        assert feature().extractor(mixed) == pytest.approx(feature().extractor(p))


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=20), st.floats(-1000, 1000))
def test_logits_are_those_of_softmax_whatever_is_added_to_all(scores: list[float], shift: float) -> None:
    p = np.exp(scores) / np.exp(scores).sum()
    for feature in ALL:
        found = feature(logits=True).extractor(np.array(scores) + shift)
        assert found == pytest.approx(feature().extractor(p), rel=1e-6, abs=1e-9)


@given(st.floats(-30, 30))
def test_one_logit_alone_is_that_of_the_logistic_function(score: float) -> None:
    p = 1 / (1 + math.exp(-score))
    assume(p < 1)
    for feature in ALL:
        assert feature(logits=True).extractor(score) == pytest.approx(feature().extractor(p), rel=1e-6, abs=1e-9)


def test_masked_classes_have_no_probability() -> None:
    assert confidence(logits=True).extractor([0.0, -math.inf, 0.0]) == 0.5
    assert entropy(logits=True).extractor([0.0, -math.inf]) == 0.0


@pytest.mark.parametrize("feature", ALL)
@pytest.mark.parametrize(
    "given", [[2.0, -1.0], [0.9, 0.8], [0.6, 0.6], [0.1, 0.1], [math.nan, 1.0], 1.5, -0.1, [], [[0.5, 0.5], [3, 4]]]
)
def test_what_is_no_distribution_is_missing(feature: Callable[..., Feature], given: object) -> None:
    assert math.isnan(feature().extractor(given))  # type: ignore[arg-type]


def test_a_sum_that_rounding_put_off_one_is_put_right() -> None:
    assert confidence().extractor([0.505, 0.505]) == 0.5


def test_half_precision_is_precise_enough() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(1000)).astype(np.float16)
    assert entropy().extractor(p) == pytest.approx(entropy().extractor(p.astype(float)))
    assert math.isfinite(entropy().extractor(p))  # type: ignore[arg-type]

"""What holds for every ready-made feature: a batch is its items, and nothing is kept, changed or warned of."""

from __future__ import annotations

import copy
import gc
import math
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from pipemon import features
from pipemon.features import Category, Feature

VECTORS = arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6).flatmap(
    lambda shape: arrays.arrays(np.float64, shape, elements=st.floats(width=32))
)
DISTRIBUTIONS = st.tuples(st.integers(1, 5), st.integers(2, 6), st.integers(0, 2**32)).map(
    lambda drawn: np.random.default_rng(drawn[2]).dirichlet(np.ones(drawn[1]), drawn[0])
)
IMAGES = st.tuples(
    st.integers(1, 4), st.integers(3, 8), st.integers(3, 8), st.sampled_from([(), (1,), (3,), (4,)])
).flatmap(lambda drawn: arrays.arrays(st.sampled_from([np.uint8, np.uint16]), (*drawn[:3], *drawn[3])))
SAMPLES = arrays.arrays(np.int16, st.tuples(st.integers(1, 5), st.integers(1, 9)))
NUMBERS = arrays.arrays(np.float64, st.integers(1, 9))
CODES = arrays.arrays(np.int64, st.integers(1, 9), elements=st.integers(0, 5))

BATCHES: dict[str, tuple[Feature, st.SearchStrategy[NDArray[Any]]]] = {
    "audio_seconds": (features.audio_seconds(8_000), SAMPLES),
    "level_dbfs": (features.level_dbfs(), SAMPLES),
    "level_dbfs of floats": (features.level_dbfs(), VECTORS),
    "snr_db": (features.snr_db(100), SAMPLES),
    "length": (features.length(), VECTORS),
    "value": (features.value(), NUMBERS),
    "value of integers": (features.value(), CODES),
    "mean": (features.mean(), VECTORS),
    "mean of numbers": (features.mean(), NUMBERS),
    "std": (features.std(), VECTORS),
    "minimum": (features.minimum(), VECTORS),
    "maximum": (features.maximum(), VECTORS),
    "share_missing": (features.share_missing(), VECTORS),
    "share_of": (features.share_of(0), VECTORS),
    "embedding_norm": (features.embedding_norm(), VECTORS),
    "confidence": (features.confidence(), DISTRIBUTIONS),
    "confidence of logits": (features.confidence(logits=True), VECTORS),
    "entropy": (features.entropy(), DISTRIBUTIONS),
    "entropy of logits": (features.entropy(logits=True), VECTORS),
    "margin": (features.margin(), DISTRIBUTIONS),
    "margin of one probability": (features.margin(), NUMBERS),
    "brightness": (features.brightness(), IMAGES),
    "contrast": (features.contrast(), IMAGES),
    "sharpness": (features.sharpness(), IMAGES),
    "resolution": (features.resolution(), IMAGES),
    "label": (features.label(range(3)), CODES),
    "top_class": (features.top_class(["a", "b"]), VECTORS),
}


def numbers_of(feature: Feature, batch: Any) -> NDArray[Any]:
    """What a batch is recorded as."""
    assert feature.many is not None
    found = feature.many(batch)
    return feature.index_many(found) if isinstance(feature, Category) else np.asarray(found, dtype=float)


def number_of(feature: Feature, item: Any) -> float:
    """What an item is recorded as."""
    found: Any = feature.extractor(item)
    if isinstance(feature, Category):
        return feature.index(found)
    return math.nan if found is None else float(found)


def assert_same(found: NDArray[Any], expected: list[float]) -> None:
    assert found.shape == (len(expected),)
    # What is not finite is missing, whichever way it isn't.
    expected_finite = np.where(np.isfinite(expected), expected, np.nan)
    np.testing.assert_allclose(np.where(np.isfinite(found), found, np.nan), expected_finite, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", BATCHES)
@settings(max_examples=25)
@given(data=st.data())
def test_a_batch_is_its_items(name: str, data: st.DataObject) -> None:
    feature, batches = BATCHES[name]
    batch = data.draw(batches)
    each = [number_of(feature, item) for item in batch]
    assert_same(numbers_of(feature, batch), each)
    assert_same(numbers_of(feature, list(batch)), each)
    assert_same(numbers_of(feature, [None, *batch]), [math.nan, *each])


@pytest.mark.parametrize("name", BATCHES)
@settings(max_examples=10)
@given(data=st.data())
def test_items_of_a_list_may_differ_in_shape(name: str, data: st.DataObject) -> None:
    feature, batches = BATCHES[name]
    items = [*data.draw(batches), *data.draw(batches)]
    assert_same(numbers_of(feature, items), [number_of(feature, item) for item in items])


@pytest.mark.parametrize("name", BATCHES)
def test_an_empty_batch_has_no_numbers(name: str) -> None:
    assert numbers_of(BATCHES[name][0], []).shape == (0,)


def test_a_large_batch_is_looked_at_in_parts_and_none_is_left_out() -> None:
    batch = np.random.default_rng(0).normal(size=(7, 100_000))
    np.testing.assert_allclose(numbers_of(features.mean(), batch), batch.mean(axis=1))
    np.testing.assert_allclose(numbers_of(features.mean(), list(batch)), batch.mean(axis=1))


def test_items_of_a_list_may_differ_in_type() -> None:
    white = [np.full((4, 4), 255, np.uint8), np.full((4, 4), 65_535, np.uint16), np.ones((4, 4))]
    np.testing.assert_allclose(numbers_of(features.brightness(), white), [1, 1, 1])


def test_an_array_of_arrays_is_a_list_of_them() -> None:
    ragged = np.empty(3, dtype=object)
    ragged[:] = [np.ones(2), None, np.zeros(3)]
    np.testing.assert_array_equal(numbers_of(features.mean(), ragged), [1, np.nan, 0])
    np.testing.assert_array_equal(numbers_of(features.audio_seconds(1), ragged), [2, np.nan, 3])


def test_time_is_the_longest_axis_of_each_item_of_a_batch() -> None:
    np.testing.assert_array_equal(numbers_of(features.audio_seconds(8_000), np.zeros((4, 2, 8_000))), [1, 1, 1, 1])


def test_a_data_frames_items_are_its_rows() -> None:
    frame = pd.DataFrame({"age": [30.0, None, 20.0], "name": ["a", None, "c"]})
    np.testing.assert_array_equal(numbers_of(features.share_missing(), frame), [0, 1, 0])
    np.testing.assert_array_equal(numbers_of(features.mean(), frame[["age"]]), [30, np.nan, 20])
    np.testing.assert_array_equal(numbers_of(features.value(), frame["age"]), [30, np.nan, 20])


def test_texts_are_no_values_whatever_they_spell() -> None:
    np.testing.assert_array_equal(
        numbers_of(features.value(), ["3", None, 4, [5], 6.5]), [np.nan, np.nan, 4, np.nan, 6.5]
    )


ITEMS: dict[str, tuple[Callable[..., Feature], Any]] = {
    "audio_seconds": (partial(features.audio_seconds, 8_000), np.zeros(9)),
    "brightness": (features.brightness, np.zeros((4, 4, 3), np.uint8)),
    "confidence": (features.confidence, np.array([0.25, 0.75])),
    "contrast": (features.contrast, np.zeros((4, 4))),
    "dtype": (features.dtype, np.zeros(9)),
    "embedding_norm": (features.embedding_norm, np.array([1e200, 1e200])),
    "entropy": (features.entropy, np.array([0.0, 1.0])),
    "has_capitals": (features.has_capitals, "A text of its own"),
    "has_fillers": (features.has_fillers, "um, a text of its own"),
    "has_punctuation": (features.has_punctuation, "A text, of its own."),
    "label": (partial(features.label, ["a"]), "a label of its own"),
    "language": (partial(features.language, ["en"]), "en-GB of its own"),
    "length": (features.length, [1, 2]),
    "level_dbfs": (features.level_dbfs, np.zeros(9, np.float32)),
    "margin": (partial(features.margin, logits=True), np.array([-np.inf, np.inf])),
    "maximum": (features.maximum, np.array([np.nan])),
    "mean": (features.mean, np.array([np.inf, np.nan])),
    "minimum": (features.minimum, np.array([np.inf])),
    "resolution": (features.resolution, np.zeros((4, 4, 3))),
    "shape": (partial(features.shape, [(9,)]), np.zeros(9)),
    "share_missing": (features.share_missing, ["a", None, 3]),
    "share_of": (partial(features.share_of, 0), np.array(["a", "b"])),
    "share_out_of_vocabulary": (partial(features.share_out_of_vocabulary, ["a"]), "a text of its own"),
    "sharpness": (features.sharpness, np.full((4, 4), np.inf)),
    "snr_db": (partial(features.snr_db, 100), np.zeros(9, np.float32)),
    "std": (features.std, np.array([1e300, -1e300])),
    "tokens": (partial(features.tokens, str.split), "a text of its own"),
    "top_class": (partial(features.top_class, ["a"]), np.array([0.25, 0.75])),
    "value": (features.value, 123456.789),
    "words": (features.words, "a text of its own"),
}


def test_every_ready_made_feature_is_looked_at_here() -> None:
    assert sorted(ITEMS) == sorted(set(features.__all__) - {"Category", "Feature", "by"})


@pytest.mark.parametrize("name", ITEMS)
def test_an_extractor_keeps_changes_and_warns_of_nothing(name: str) -> None:
    make, item = ITEMS[name]
    feature = make()
    before = copy.deepcopy(item)
    if isinstance(item, np.ndarray):
        item.flags.writeable = False
    gc.collect()
    references = sys.getrefcount(item)
    number_of(feature, item)
    if feature.many is not None:
        numbers_of(feature, [item, item])
    gc.collect()
    assert sys.getrefcount(item) == references
    np.testing.assert_array_equal(np.asarray(item), np.asarray(before))


@pytest.mark.parametrize("name", ITEMS)
def test_an_input_is_named_after_its_parameter_unless_a_name_is_given(name: str) -> None:
    make, _ = ITEMS[name]
    assert (make().name, make().prefix) == ("share_of_0" if name == "share_of" else name, True)
    assert (make(name="mine").name, make(name="mine").prefix) == ("mine", False)

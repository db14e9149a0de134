"""What a Category may be, and what the ready-made ones mean."""

from __future__ import annotations

import enum
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipemon import DeclarationError
from pipemon.features import Category, Feature, dtype, label, language, shape, top_class


class Intent(enum.Enum):
    REFUND = "refund"
    INVOICE = "invoice"


class Broken:
    def __str__(self) -> str:
        raise RuntimeError


def category_of(feature: Category, value: Any) -> str | None:
    """What a value counts as; None where it is missing."""
    place = feature.index(feature.extractor(value))
    return None if math.isnan(place) else (*feature.categories, "other")[int(place)]


SOME = Category("some", lambda value: value, categories=("refund", "True", "3"))


@pytest.mark.parametrize(
    ("value", "counts_as"),
    [
        ("refund", "refund"),
        (np.str_("refund"), "refund"),
        (np.array("refund"), "refund"),
        (Intent.REFUND, "refund"),
        (Intent.INVOICE, "other"),
        (True, "True"),
        (np.bool_(True), "True"),
        (False, "other"),
        (3, "3"),
        (np.int8(3), "3"),
        (3.5, "other"),
        ("Refund", "other"),
        (["refund"], "other"),
        (np.array(["refund"]), "other"),
        (np.zeros((2, 0)), "other"),
        (Broken(), "other"),
        ("\ud800", "other"),
    ],
)
def test_a_value_counts_as_the_category_it_prints_as_or_as_other(value: object, counts_as: str) -> None:
    assert category_of(SOME, value) == counts_as


@pytest.mark.parametrize(
    "value", [None, "", math.nan, np.float32("nan"), np.datetime64("NaT"), pd.NA, pd.NaT, np.array(None)]
)
def test_nothing_is_missing_and_not_other(value: object) -> None:
    assert category_of(SOME, value) is None


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers(), max_size=2))


@given(st.lists(st.one_of(VALUES, st.sampled_from(["refund", 3, True, 1, 1.0]))))
def test_many_places_are_the_places_of_each(values: list[object]) -> None:
    np.testing.assert_array_equal(SOME.index_many(values), [SOME.index(value) for value in values])


@pytest.mark.parametrize(
    "values",
    [
        np.array([3, 4, 3]),
        np.array([True, False]),
        np.array(["refund", "", "x"]),
        np.array([3.0, np.nan, -0.0, 0.0], np.float32),
        np.array(["refund", None, 3], dtype=object),
        np.array([], dtype=int),
        pd.Series(["refund", None, "x"]),
        pd.Series(["refund", "x"], dtype="category"),
    ],
)
def test_many_places_are_the_places_of_each_in_an_array(values: Any) -> None:
    found = SOME.index_many(values)
    assert found.shape == (len(values),)
    np.testing.assert_array_equal(found, [SOME.index(value) for value in values])


def test_minus_zero_is_another_text_than_zero() -> None:
    zero = Category("zero", str, categories=("0.0",))
    np.testing.assert_array_equal(zero.index_many(np.array([-0.0, 0.0, -0.0])), [1, 0, 1])


@pytest.mark.parametrize(
    ("categories", "sentence"),
    [
        ((), "categories must be 1 to 50 texts, not 0"),
        ([str(number) for number in range(51)], "categories must be 1 to 50 texts, not 51"),
        ("refund", "categories must be a list of texts, not 'refund'"),
        (3, "categories must be a list of texts, not 3"),
        (["a", "a"], "category 'a' is declared twice"),
        (["a", ""], "category '' must not be empty"),
        (["a "], "category 'a ' must not .* white space"),
        (["a", "other"], "category 'other' stands for the values that are not declared"),
        (["a", 3], "category 3 is not a text"),
        (["a", None], "category None is not a text"),
        (["\ud800"], "is not a text"),
    ],
)
def test_categories_are_a_few_different_texts(categories: Any, sentence: str) -> None:
    with pytest.raises(DeclarationError, match=f"feature 'intent': .*{sentence}"):
        Category("intent", str, categories=categories)


def test_a_category_has_neither_unit_nor_bounds() -> None:
    with pytest.raises(DeclarationError, match="neither unit nor bounds"):
        Category("intent", str, unit="ratio", categories=("a",))
    with pytest.raises(DeclarationError, match="neither unit nor bounds"):
        Category("intent", str, bounds=[1], categories=("a",))
    with pytest.raises(DeclarationError, match=r"neither unit nor bounds; its categories are categories=\[\.\.\.\]"):
        Category("lang", str, ["en", "fr"])  # type: ignore[arg-type]


def test_a_category_is_checked_as_a_feature_is() -> None:
    assert isinstance(SOME, Feature)
    with pytest.raises(DeclarationError, match="sample"):
        Category("intent", str, sample=2, categories=("a",))


def test_fifty_categories_are_fine() -> None:
    assert len(label(range(50)).categories) == 50


@pytest.mark.parametrize(
    ("feature", "value", "counts_as"),
    [
        (label(["a", "b"]), "b", "b"),
        (label(range(3)), 2, "2"),
        (label(range(3)), np.int64(3), "other"),
        (label([True, False]), False, "False"),
        (label(Intent), Intent.INVOICE, "invoice"),
        (label(Intent), "invoice", "invoice"),
        (label(Intent), None, None),
    ],
)
def test_a_label_is_the_value_itself(feature: Category, value: object, counts_as: str | None) -> None:
    assert category_of(feature, value) == counts_as


@pytest.mark.parametrize(
    ("scores", "counts_as"),
    [([0.1, 0.9], "dog"), ([3.0, -1.0, 0.0], "cat"), ([0, 0, 1], "other"), ([], None), ([math.nan, 1.0], None)],
)
def test_the_top_class_is_named_by_its_place(scores: object, counts_as: str | None) -> None:
    assert category_of(top_class(["cat", "dog"]), scores) == counts_as


@pytest.mark.parametrize(
    ("value", "counts_as"),
    [
        ("en", "en"),
        ("EN", "en"),
        ("en-GB", "en"),
        ("pt_br", "pt-BR"),
        ("pt-PT", "other"),
        ("eng", "other"),
        (SimpleNamespace(language="en"), "en"),
        ({"language": "en-US"}, "en"),
        (SimpleNamespace(language=None), None),
        ("", None),
    ],
)
def test_a_language_is_a_tag_or_that_of_its_own_language(value: object, counts_as: str | None) -> None:
    assert category_of(language(["en", "pt-BR"]), value) == counts_as


def test_a_language_can_be_detected() -> None:
    feature = language(["en", "de"], detect=lambda text: "de" if "ü" in text else None, sample=0.1)
    assert category_of(feature, "für") == "de"
    assert category_of(feature, "42") is None
    assert feature.sample == 0.1


@pytest.mark.parametrize(
    ("value", "counts_as"),
    [
        (np.zeros(2, np.float32), "float32"),
        (np.zeros(2, ">f4"), "float32"),
        (np.array(["ab"]), "str"),
        (np.float64(1), "float64"),
        (np.zeros(2, complex), "other"),
        (SimpleNamespace(dtype="torch.bfloat16"), "bfloat16"),
        (pd.Series([1, 2]), "int64"),
        ([1, 2], "list"),
        ("text", "str"),
    ],
)
def test_dtype_is_that_of_the_entries(value: object, counts_as: str) -> None:
    assert category_of(dtype(), value) == counts_as


@pytest.mark.parametrize(
    ("value", "counts_as"),
    [
        (np.zeros((224, 224, 3)), "224x224x3"),
        (np.zeros((7, 80)), "*x80"),
        (np.zeros((0, 128)), "*x128"),
        (np.zeros((7, 81)), "other"),
        (np.zeros((7, 80, 1)), "other"),
        (np.float32(1), "scalar"),
        ([1, 2], "2"),
    ],
)
def test_a_shape_is_the_first_declared_one_that_fits(value: object, counts_as: str) -> None:
    feature = shape([(224, 224, 3), (None, 80), "*x128", (), "2"])
    assert category_of(feature, value) == counts_as


def test_a_shape_alone_is_no_list_of_shapes() -> None:
    with pytest.raises(DeclarationError, match="shape: categories must be a list of shapes, not '2x3'"):
        shape("2x3")

"""Ready-made categories: of which of a few declared kinds a value is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np

from pipemon.catalogue import OTHER
from pipemon.errors import DeclarationError
from pipemon.instrument.extractors.rows import Array, floats, of_batch, of_one
from pipemon.instrument.features import Category

COMMON_DTYPES = (
    "float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool",
    "object", "str", "bytes", "list",
)  # fmt: skip


def label(categories: Iterable[object], name: str | None = None, sample: float = 1.0) -> Category:
    """The value itself, one of `categories`: a text, an integer, a bool or a member of an enum. Cost: constant.

    `label(["refund", "invoice"])`, `label(range(10))`, `label([True, False])`, `label(Intent)` of an enum, whose
    values are then the categories. Of a part of the value: `Category("intent", lambda r: r.intent, categories=...)`.
    """
    return Category(
        name or "label", _itself, prefix=name is None, sample=sample, many=_itself, categories=_texts(categories)
    )


def top_class(categories: Iterable[object], name: str | None = None, sample: float = 1.0) -> Category:
    """The most likely class of a vector of probabilities or scores over the classes, `categories` in their order.

    One whose place is beyond the declared ones counts as other, so that the first of many classes can be watched;
    a vector with NaN, or an empty one, is missing. Cost: one pass.
    """
    names = _texts(categories)

    def named(place: float) -> str | None:
        return None if math.isnan(place) else names[int(place)] if place < len(names) else OTHER

    def extract(scores: Any) -> str | None:
        return named(of_one(_top, np.asarray(scores)))

    def many(batch: Any) -> list[str | None]:
        return [named(place) for place in of_batch(_top, batch, np.asarray)]

    return Category(name or "top_class", extract, prefix=name is None, sample=sample, many=many, categories=names)


def language(
    categories: Iterable[str],
    detect: Callable[[Any], str | None] | None = None,
    name: str | None = None,
    sample: float = 1.0,
) -> Category:
    """The language, one of `categories`: tags such as `en` or `pt-BR` (BCP 47).

    Takes a tag, or an object or mapping whose `language` is one; with `detect` (langdetect's or langid's function,
    say), what that returns for the value. Case does not count, `_` is `-`, and a tag that is not declared counts as
    its language alone if that is: `en-US` as `en`. Cost: constant without `detect`; lower `sample` with one.
    """
    declared = _texts(categories)
    by_tag = {_tag(category): category for category in declared}

    def extract(value: Any) -> str | None:
        found = detect(value) if detect is not None else _language_of(value)
        if found is None:
            return None
        tag = _tag(str(found))
        return by_tag.get(tag) or by_tag.get(tag.partition("-")[0]) or tag

    return Category(name or "language", extract, prefix=name is None, sample=sample, categories=declared)


def dtype(categories: Iterable[str] = COMMON_DTYPES, name: str | None = None) -> Category:
    """The type of an array's or tensor's entries, such as `float32`; of any other value its class: `list`, `str`.

    Cost: constant.
    """
    return Category(name or "dtype", _dtype, prefix=name is None, categories=_texts(categories))


def shape(categories: Iterable[str | Sequence[int | None]], name: str | None = None) -> Category:
    """The shape of an array or tensor, one of `categories`: `(224, 224, 3)` or `"224x224x3"`.

    None, or `*`, stands for any length: `shape([(None, 80), (None, 128)])` counts `*x80` and `*x128`. The first that
    fits counts. A scalar's shape, `()`, is `scalar`; a list's is its length alone. Cost: constant.
    """
    if isinstance(categories, str):
        raise DeclarationError(f"shape: categories must be a list of shapes, not {categories!r}")
    declared = tuple(one if isinstance(one, str) else _shape_text(one) for one in categories)
    patterns = [(one.split("x"), one) for one in declared]

    def extract(value: Any) -> str:
        lengths = getattr(value, "shape", None)
        text = _shape_text((len(value),) if lengths is None else lengths)
        parts = text.split("x")
        fits = (one for pattern, one in patterns if len(pattern) == len(parts) and all(map(_fits, pattern, parts)))
        return next(fits, text)

    return Category(name or "shape", extract, prefix=name is None, categories=declared)


def _top(array: Array) -> Array:
    scores = floats(array)
    return np.where(np.isnan(scores).any(axis=1), math.nan, scores.argmax(axis=1))


def _texts(categories: Any) -> tuple[str, ...]:
    """Return categories as texts; Category refuses what makes none."""
    if isinstance(categories, str) or not isinstance(categories, Iterable):
        return categories  # type: ignore[return-value]
    return tuple(
        str(one.value) if isinstance(one, Enum) else one if isinstance(one, str) else str(one) for one in categories
    )


def _itself(value: Any) -> Any:
    return value


def _language_of(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return value["language"] if isinstance(value, Mapping) else value.language


def _tag(text: str) -> str:
    return text.strip().replace("_", "-").casefold()


def _dtype(value: Any) -> str:
    found = getattr(value, "dtype", None)
    if found is None:
        return type(value).__name__
    plain = {"U": "str", "S": "bytes"}.get(getattr(found, "kind", ""))  # numpy's names have their lengths in them
    return plain or str(getattr(found, "name", found)).removeprefix("torch.")


def _shape_text(lengths: Iterable[int | None]) -> str:
    return "x".join("*" if length is None else str(length) for length in lengths) or "scalar"


def _fits(pattern: str, part: str) -> bool:
    return pattern in ("*", part)

"""Features of any value: the number itself, how many items it has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipemon.instrument.extractors.rows import Array, as_array
from pipemon.instrument.features import Feature


def length(name: str | None = None) -> Feature:
    """How many items there are: `len(...)`. The unit is `items`, or `name` if given. Cost: constant."""
    return Feature(
        name or "length",
        _length,
        unit=name or "items",
        prefix=name is None,
        many=_lengths,
        inline="pm_float(pm_len({value}))",
    )


def value(name: str | None = None, unit: str = "", bounds: Sequence[float] | None = None) -> Feature:
    """The number itself, in `unit`. Cost: constant."""
    return Feature(
        name or "value", _itself, unit=unit, bounds=bounds, prefix=name is None, many=_themselves, inline="{value}"
    )


def _length(items: Any) -> float:
    return float(len(items))


def _lengths(batch: Any) -> Array:
    array = as_array(batch)
    if array is not None and array.ndim > 1:
        return np.full(len(array), float(array.shape[1]))
    return np.array([math.nan if items is None else len(items) for items in batch], dtype=float)


def _itself(number: Any) -> object:
    return number


def _themselves(batch: Any) -> Array:
    """Return the numbers of a batch, NaN for what is none: a text is not, whatever it spells."""
    array = as_array(batch)
    if array is not None and array.ndim == 1 and array.dtype.kind in "biuf":
        return array  # whoever takes it makes a copy
    return np.array([_number(item) for item in (batch if array is None else array)], dtype=float)


def _number(item: Any) -> float:
    if isinstance(item, str | bytes) or getattr(item, "ndim", None):
        return math.nan
    try:
        return float(item)
    except (TypeError, ValueError, OverflowError):
        return math.nan

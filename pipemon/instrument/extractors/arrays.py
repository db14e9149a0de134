"""Features of arrays and lists of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipemon.errors import DeclarationError
from pipemon.instrument.extractors.rows import Array, by_rows, floats
from pipemon.instrument.features import Feature


def mean(
    name: str | None = None, unit: str = "", bounds: Sequence[float] | None = None, sample: float = 1.0
) -> Feature:
    """Mean of the finite numbers of an array or list, in `unit`; none: missing. Cost: one pass."""
    return by_rows("mean", _mean, name=name, unit=unit, bounds=bounds, sample=sample)


def std(name: str | None = None, unit: str = "", bounds: Sequence[float] | None = None, sample: float = 1.0) -> Feature:
    """Standard deviation of the finite numbers of an array or list, in `unit`; none: missing.

    The population's: the squared deviations' mean is over n, not n - 1, so of one number it is 0. Cost: two passes.
    """
    return by_rows("std", _std, name=name, unit=unit, bounds=bounds, sample=sample)


def minimum(
    name: str | None = None, unit: str = "", bounds: Sequence[float] | None = None, sample: float = 1.0
) -> Feature:
    """Least of the finite numbers of an array or list, in `unit`; none: missing. Cost: one pass."""
    return by_rows("minimum", _minimum, name=name, unit=unit, bounds=bounds, sample=sample)


def maximum(
    name: str | None = None, unit: str = "", bounds: Sequence[float] | None = None, sample: float = 1.0
) -> Feature:
    """Greatest of the finite numbers of an array or list, in `unit`; none: missing. Cost: one pass."""
    return by_rows("maximum", _maximum, name=name, unit=unit, bounds=bounds, sample=sample)


def share_missing(name: str | None = None, sample: float = 1.0) -> Feature:
    """Share of the entries that are None, NaN, NaT or pandas.NA, 0 to 1; no entries: missing.

    Takes an array, a list, or a mapping, whose values are the entries; they need not be numbers. Cost: one pass,
    a slow one for entries that are not numbers.
    """
    return by_rows("share_missing", _share_missing, name=name, unit="ratio", sample=sample, read=_entries)


def share_of(value: float | str, name: str | None = None, sample: float = 1.0) -> Feature:
    """Share of an array's or list's entries that equal `value`, 0 to 1; no entries: missing. Cost: one pass.

    Of clipped samples, of zeros in a vector of features, of one token or class among many. The name is
    `share_of_<value>`. Raises DeclarationError for NaN and None, which are `share_missing`, and where the value
    makes no name and none is given.
    """
    if value is None or value != value:  # noqa: PLR0124
        raise DeclarationError(f"share_of({value!r}): nothing equals it; write share_missing()")

    def rows(array: Array) -> Array:
        shares: Array = np.asarray(array == value, dtype=float).reshape(len(array), -1).mean(axis=1)
        return shares

    return by_rows(f"share_of_{value}", rows, name=name, unit="ratio", sample=sample, read=_plain)


def embedding_norm(name: str | None = None, sample: float = 1.0) -> Feature:
    """Length of a vector: its L2 norm, the root of the sum of squares, in `norm`. Cost: one pass.

    Of an array with several axes it is the norm of all entries. A vector with an entry that is not finite, or
    without entries, is missing.
    """
    return by_rows("embedding_norm", _norm, name=name, unit="norm", sample=sample)


def _mean(array: Array) -> Array:
    numbers = floats(array)
    finite = np.isfinite(numbers)
    return np.asarray(np.where(finite, numbers, 0.0).sum(axis=1) / finite.sum(axis=1))


def _std(array: Array) -> Array:
    numbers = floats(array)
    deviations = numbers - _mean(numbers)[:, np.newaxis]
    return np.sqrt(_mean(np.where(np.isfinite(numbers), deviations * deviations, math.nan)))


def _minimum(array: Array) -> Array:
    numbers = floats(array)
    least = np.where(np.isfinite(numbers), numbers, math.inf).min(axis=1)
    return np.where(np.isinf(least), math.nan, least)


def _maximum(array: Array) -> Array:
    return -_minimum(-floats(array))


def _norm(array: Array) -> Array:
    return np.asarray(np.linalg.norm(floats(array), axis=1))


def _share_missing(array: Array) -> Array:
    kind = array.dtype.kind
    if kind in "fc":
        missing = np.isnan(array)
    elif kind in "mM":
        missing = np.isnat(array)
    elif kind == "O":
        missing = np.array([_is_missing(entry) for entry in array.flat])
    else:
        return np.zeros(len(array))
    return np.asarray(missing.reshape(len(array), -1).mean(axis=1))


def _is_missing(entry: Any) -> bool:
    try:
        return entry is None or bool(entry != entry)  # noqa: PLR0124  only NaN and NaT do not equal themselves
    except TypeError:  # pandas.NA is neither true nor false
        return True
    except ValueError:  # an array
        return False


def _entries(value: Any) -> Array:
    """Return an item as an array whose missing entries can still be told: ["a", nan] has none among texts."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, list | tuple):
        return np.asarray(value)
    if not any(isinstance(entry, str) for entry in value):  # else the text "nan" would be taken for missing
        try:
            return np.asarray(value, dtype=float)
        except (TypeError, ValueError):
            pass
    entries = np.empty(len(value), dtype=object)
    for index, entry in enumerate(value):
        entries[index] = entry
    return entries


def _plain(value: Any) -> Array:
    """Return an item as an array whose entries are what they were: [1, "a"] would be all texts."""
    array = np.asarray(value)
    if array.dtype.kind == "U" and isinstance(value, list | tuple):
        return np.asarray(value, dtype=object)
    return array

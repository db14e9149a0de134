"""Features whose one formula serves an item and a whole batch alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from pipemon.instrument.features import Feature

if TYPE_CHECKING:
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[Any]"
Rows = Callable[[Array], Array]
"""A formula: items on axis 0, shape (n, ...), none of them empty; gives n numbers, NaN for missing."""

_BLOCK = 2**18
"""How many entries of a batch are looked at at once: what a formula allocates stays at a few megabytes."""


def by_rows(
    default: str,
    rows: Rows,
    *,
    name: str | None,
    unit: str,
    bounds: Sequence[float] | None = None,
    sample: float = 1.0,
    read: Callable[[Any], Array] = np.asarray,
) -> Feature:
    """Return the feature of a formula, called `name`, else `default` with the parameter before it.

    `read` makes an array of an item. An empty item is missing.
    """

    def extract(item: Any) -> float:
        return of_one(rows, read(item))

    def many(batch: Any) -> Array:
        return of_batch(rows, batch, read)

    return Feature(name or default, extract, unit, bounds, prefix=name is None, sample=sample, many=many)


def as_array(batch: Any) -> Array | None:
    """Return a batch that is an array, a tensor or a data frame as an array, None for a list of items."""
    return np.asarray(batch) if hasattr(batch, "__array__") else None


def floats(array: Array) -> Array:
    """Return items as rows of floats, shape (n, entries); None becomes NaN."""
    if array.dtype.kind == "c":
        raise TypeError("complex numbers have no order and no mean that a histogram could show")
    return np.asarray(array, dtype=float).reshape(len(array), -1)


def of_one(rows: Rows, item: Array) -> float:
    """Return the formula's number for one item."""
    if item.size == 0:
        return math.nan
    with np.errstate(all="ignore"):
        return float(rows(item[np.newaxis])[0])


def of_batch(rows: Rows, batch: Any, read: Callable[[Any], Array]) -> Array:
    """Return the formula's number for each item of a batch, whatever their shapes."""
    items: Any = as_array(batch)
    if items is None or items.dtype.kind == "O":
        items = [None if item is None else read(item) for item in (batch if items is None else items)]
        if any(item is None or (item.shape, item.dtype) != (items[0].shape, items[0].dtype) for item in items):
            return np.array([math.nan if item is None else of_one(rows, item) for item in items])
    found = np.full(len(items), math.nan)
    size = items[0].size if len(items) > 0 else 0
    if size:
        step = max(1, _BLOCK // size)
        with np.errstate(all="ignore"):
            for begin in range(0, len(items), step):
                block = items[begin : begin + step]
                found[begin : begin + step] = rows(np.stack(block) if isinstance(block, list) else block)
    return found

"""What a batch is: how many items it has, how to go through them, and which are unusable.

Nothing here reads what can be read only once: an iterator's items are the user's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sized
from typing import Any

import numpy as np

from pipemon.instrument.outcome import is_null


def count(batch: Any) -> int:
    """Count a batch's items: rows of an array or table, of a mapping of columns of one length, else `len`.

    None has none; what tells no length is one item.
    """
    if batch is None:
        return 0
    try:
        shape = getattr(batch, "shape", None)
        if isinstance(shape, tuple) and shape:
            return int(shape[0])
        columns = _columns(batch)
        return len(batch) if columns is None else columns
    except Exception:  # noqa: BLE001  lazy or odd containers may refuse
        return 1


def count_results(result: Any, came: int) -> int:
    """Count a result's items; a tuple of parts that each have as many items as came in has that many."""
    if isinstance(result, tuple) and len(result) != came and result and {count(part) for part in result} == {came}:
        return came
    return count(result)


def count_null(results: Any, rule: Callable[[Any], object] | None = None) -> int:
    """Count a batch's unusable results, by the rule or else as `is_null` tells.

    Of an array, tensor or column of floats these are the items that are all NaN; other numbers have none.
    """
    if results is None:
        return 0
    try:
        if rule is None:
            numbers = _numbers(results)
            if numbers is not None:
                return _count_nan(numbers)
            if isinstance(results, Mapping) or hasattr(results, "itertuples") or hasattr(results, "iter_rows"):
                return 0  # its items are rows: whether one is usable, only a rule can tell
        return sum(bool((rule or is_null)(each)) for each in items(results))
    except Exception:  # noqa: BLE001  what can't be gone through has no items to be null
        return int(is_null(results))


def items(batch: Any) -> Iterable[Any]:
    """Go through a batch's items; a data frame's are its rows. Nothing of what can be read only once."""
    rows: Any = batch if isinstance(batch, Sized) else ()
    if hasattr(batch, "itertuples"):  # pandas
        rows = batch.itertuples(index=False)
    elif hasattr(batch, "iter_rows"):  # polars
        rows = batch.iter_rows()
    return rows  # type: ignore[no-any-return]


def is_lazy(batch: Any) -> bool:
    """Tell whether it can be read only once."""
    return not isinstance(batch, Sized)


def _columns(batch: Any) -> int | None:
    """Return how long a mapping's columns are, None where it is none of columns of one length."""
    if not isinstance(batch, Mapping) or not batch:
        return None
    if not all(isinstance(column, Sized) and not isinstance(column, str) for column in batch.values()):
        return None
    lengths = {len(column) for column in batch.values()}
    return lengths.pop() if len(lengths) == 1 else None


def _numbers(results: Any) -> Any:
    """Return an array, tensor or column as an array of numbers, None for anything else."""
    if isinstance(results, np.ndarray):
        return results if results.dtype.kind in "biufc" else None
    shape = getattr(results, "shape", None)
    if not isinstance(shape, tuple) or not shape or not hasattr(results, "__array__") or hasattr(results, "itertuples"):
        return None
    array = np.asarray(results)
    return array if array.dtype.kind in "biufc" else None


def _count_nan(numbers: Any) -> int:
    if numbers.dtype.kind not in "fc" or numbers.ndim == 0:
        return int(is_null(numbers))
    missing = np.isnan(numbers)
    if numbers.ndim > 1:
        missing = missing.reshape(len(numbers), -1).all(axis=1) if numbers.size else missing[:0]
    return int(np.count_nonzero(missing))

"""How a call ended, and what counts as a null output."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from types import CoroutineType
from typing import Any

import numpy as np

from pipemon.instrument.log import log_once

OK, NULL, ERROR, CANCELLED, SKIPPED = "ok", "null", "error", "cancelled", "skipped"

PLAIN = (str, bytes, list, tuple, dict, set, frozenset, bytearray)


def of_exception(error: BaseException) -> str:
    """Cancellation, Ctrl-C, exit and a closed coroutine are no failure of the stage: none is an Exception."""
    return ERROR if isinstance(error, Exception) else CANCELLED


def is_null(result: Any) -> bool:
    """Tell whether a result is unusable.

    Unusable are None, NaN, an empty string, sequence, set or mapping, an array that is empty or all NaN, and
    whatever else has a `shape` with a zero in it (data frames, tensors). Other objects are never asked for
    their length: a lazy query would run.
    """
    if result is None:
        return True
    if isinstance(result, PLAIN):
        return not result
    if isinstance(result, float | np.floating):
        return math.isnan(result)
    if isinstance(result, np.ndarray):
        return _is_null_array(result)
    if isinstance(result, CoroutineType):
        advice = "%s gave a coroutine to a stage that is not async: put @stage directly on the async function"
        log_once(("coroutine", result.__qualname__), advice, result.__qualname__)
    try:
        if isinstance(result, Sequence | Set | Mapping):
            return len(result) == 0
        shape = getattr(result, "shape", None)
        return isinstance(shape, tuple) and 0 in shape
    except Exception:  # noqa: BLE001  a type that can't say whether it is empty is taken as a value
        return False


def _is_null_array(array: Any) -> bool:
    if array.size == 0:
        return True
    # One look at the first element spares the pass over all for nearly every array.
    return array.dtype.kind == "f" and bool(np.isnan(array.flat[0])) and bool(np.isnan(array).all())

"""Features of arrays and lists of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipemon.instrument.features import Feature


def mean(name: str | None = None, unit: str = "", bounds: Sequence[float] | None = None) -> Feature:
    """Mean of the finite numbers of an array or list, in `unit`; none: missing. Cost: one pass."""
    return Feature(name or "mean", _mean, unit=unit, bounds=bounds, prefix=name is None)


def share_missing() -> Feature:
    """Share of an array's or list's entries that are None or NaN, 0 to 1; no entries: missing. Cost: one pass."""
    return Feature("share_missing", _share_missing, unit="ratio", prefix=True)


def _mean(numbers: Any) -> float | None:
    array = np.asarray(numbers, dtype=float)
    finite = array[np.isfinite(array)]
    return float(finite.mean()) if finite.size else None


def _share_missing(numbers: Any) -> float | None:
    array = np.asarray(numbers, dtype=float)
    return float(np.isnan(array).mean()) if array.size else None

"""What was seen of one feature: its values in their order, at most so many, and how many looks found none."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipemon.baseline.bins import Values

MOST = 1_000_000
"""Values of a feature that are kept by default: 8 MB."""
LARGEST = 1e200
"""Larger values count as missing, as they do where they are exported."""


class Seen(NamedTuple):
    """Of one feature: `values`, shape (n,), in the order they came, and `missing`, how many looks found none.

    A category's values are their places among its names. Where there were more values than are kept, `values` are
    drawn from all of them and `first` are those that came first, one after the other; else both are the same.
    `times` are when those were, in Unix seconds; None where nobody knows.
    """

    values: Values
    missing: int
    first: Values
    times: Values | None = None


def are_there(values: Values) -> NDArray[np.bool_]:
    """Tell which of the values are some: NaN, infinite and larger ones than 1e200 are missing."""
    with np.errstate(invalid="ignore"):
        found: NDArray[np.bool_] = np.abs(values) <= LARGEST
    return found


class Watch:
    """Collects a feature's values, of which it keeps at most `most`, each with the same chance.

    Which are kept is drawn from a fixed seed: the same data make the same baseline.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._draw = np.random.default_rng(0)
        self._values: list[Values] = []
        self._chances: list[Values] = []
        self._kept = 0
        self._missing = 0
        self._first: Values | None = None

    def add(self, values: Values) -> None:
        """Add values, shape (n,); NaN, infinite and larger ones than 1e200 are missing."""
        usable = values[are_there(values)]
        self._missing += len(values) - len(usable)
        self._values.append(np.array(usable, dtype=np.float64))
        self._chances.append(self._draw.random(len(usable)))
        self._kept += len(usable)
        if self._kept > 2 * self._most:
            self._thin_out()

    def seen(self) -> Seen:
        """Return what was seen until now."""
        if self._kept > self._most:
            self._thin_out()
        values = np.concatenate([np.empty(0), *self._values])
        return Seen(values, self._missing, values if self._first is None else self._first)

    def _thin_out(self) -> None:
        values, chances = np.concatenate(self._values), np.concatenate(self._chances)
        if self._first is None:
            self._first = values[: self._most].copy()
        kept = np.sort(np.argpartition(chances, self._most)[: self._most])
        self._values, self._chances, self._kept = [values[kept]], [chances[kept]], self._most

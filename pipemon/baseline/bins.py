"""Where to cut a feature's values into bins: equal shares in the middle, tails beyond what was seen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, localcontext
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Values: TypeAlias = "NDArray[np.float64]"

BINS = 10
"""Bins between the tails."""
TAIL = 0.001
"""The share of the values that lies beyond each tail's bound."""
_LEAST = 0.25
"""A bin between the tails has at least this part of an even share: with fewer values no statistic holds."""
_FEWEST = 5
"""Values a bin, for the same reason."""
_SLACK = 0.05
"""How much of an even share a bound may move, to be a number of few digits; a tail's, of the tail five times that."""
_MARGIN, _TIGHT = 0.05, 0.001
"""How far beyond the outermost value a tail may begin, in widths of what lies between the tails; tight at a tie."""


class _Sorted(NamedTuple):
    """Values, shape (n,), as different ones, shape (d,), with their counts; `below[i]` is how many lie under i."""

    distinct: Values
    counts: NDArray[np.int64]
    below: NDArray[np.int64]

    @property
    def total(self) -> int:
        return int(self.below[-1])

    def mass(self, begin: int, end: int) -> int:
        """Return how many values lie between two cuts; cut i is right before the different value i."""
        return int(self.below[end] - self.below[begin])


def cut(values: Values, bins: int = BINS) -> tuple[float, ...]:
    """Return upper bounds for a histogram of finite values, shape (n,), rising; () for no values.

    `bins` of about equal shares lie between the 0.1% and 99.9% quantiles, and a tail beyond each. Where fewer than
    a thousand values are known, or a tie stands at the edge, the tail begins beyond the outermost value. A value
    that is a bin's share or more by itself has a bin of its own, so there may be fewer; a constant has one. No bin
    between the tails is empty. Bounds have as few digits as that leaves them; those of whole numbers are whole.
    """
    if not len(values):
        return ()
    distinct, counts = np.unique(values + 0.0, return_counts=True)  # no -0.0
    known = _Sorted(distinct, counts, np.concatenate(([0], np.cumsum(counts))))
    bins = max(1, min(bins, known.total // _FEWEST))
    first = int(np.searchsorted(known.below, TAIL * known.total, side="right")) - 1
    last = int(np.searchsorted(known.below, (1 - TAIL) * known.total, side="left"))
    slack = _SLACK * known.total / bins
    found = []
    for index in _cuts(known, first, last, bins):
        if index == 0:
            found.append(_below(known, first, last))
        elif index == len(distinct):
            found.append(_above(known, first, last))
        else:
            found.append(_between(known, index, 5 * _SLACK * TAIL * known.total if index in (first, last) else slack))
    return tuple(found)


def shares(values: Values, bounds: Sequence[float]) -> tuple[float, ...]:
    """Return the share of the values in each bucket, shape (len(bounds) + 1,); a value at a bound is below it."""
    counts = np.bincount(np.searchsorted(np.asarray(bounds), values), minlength=len(bounds) + 1)
    return tuple((counts / max(1, len(values))).tolist())


def _cuts(known: _Sorted, first: int, last: int, bins: int) -> list[int]:
    """Return where to cut: `first` and `last` part off the tails, what lies between has `bins`."""
    even = known.total / bins
    heavy = (first + np.flatnonzero(known.counts[first:last] >= even)).tolist()
    left = known.mass(first, last) - sum(int(known.counts[index]) for index in heavy)
    each = max(left / max(1, bins - len(heavy)), _LEAST * even)
    found = {first, last, *heavy, *(index + 1 for index in heavy)}
    begins, ends = [first, *(index + 1 for index in heavy)], [*heavy, last]
    for begin, end in zip(begins, ends, strict=True):
        if 0 < known.mass(begin, end) < _LEAST * even:
            # Too little for a bin: it belongs to the tail, or to the lesser of the ties beside it.
            lesser = begin == first or (end != last and known.counts[begin - 1] > known.counts[end])
            found.discard(begin if begin == first else end if end == last or lesser else begin)
        found.update(_even(known, begin, end, round(known.mass(begin, end) / each), each / 2))
    return sorted(found)


def _even(known: _Sorted, begin: int, end: int, parts: int, least: float) -> Iterator[int]:
    """Yield cuts between two others that leave about equal parts, none with fewer values than `least`."""
    before = begin
    for part in range(1, parts):
        wanted = known.below[begin] + known.mass(begin, end) * part / parts
        after = int(np.searchsorted(known.below, wanted))
        nearest = after if known.below[after] - wanted <= wanted - known.below[after - 1] else after - 1
        if min(known.mass(before, nearest), known.mass(nearest, end)) >= least:
            yield nearest
            before = nearest


def _between(known: _Sorted, index: int, slack: float) -> float:
    """Return a bound at a cut between two values, moved past so many others at most."""
    here = known.below[index]
    low = max(1, int(np.searchsorted(known.below, here - slack, side="left")))
    high = min(len(known.distinct) - 1, int(np.searchsorted(known.below, here + slack, side="right")) - 1)
    middle = known.distinct[index - 1] / 2 + known.distinct[index] / 2
    return _shortest(float(known.distinct[low - 1]), float(known.distinct[high]), float(middle))


def _below(known: _Sorted, first: int, last: int) -> float:
    """Return a bound under the least value."""
    least = float(known.distinct[0])
    low = min(least - _margin(known, first, last, 0), math.nextafter(least, -math.inf))
    return _shortest(low, least, least)


def _above(known: _Sorted, first: int, last: int) -> float:
    """Return a bound at the greatest value or over it."""
    greatest = float(known.distinct[-1])
    high = max(greatest + _margin(known, first, last, -1), math.nextafter(greatest, math.inf))
    return _shortest(greatest, high, greatest)


def _margin(known: _Sorted, first: int, last: int, edge: int) -> float:
    width = float(known.distinct[last - 1] - known.distinct[first])
    tie = known.counts[edge] > max(1.0, TAIL * known.total)
    margin = (_TIGHT if tie else _MARGIN) * (width or abs(float(known.distinct[edge])))
    whole = bool(np.all(known.distinct == np.floor(known.distinct)))
    return (1.0 if tie else max(1.0, margin)) if whole else margin


def _shortest(low: float, high: float, wanted: float) -> float:
    """Return the number of the fewest digits that is at least `low` and under `high`, of several nearest `wanted`."""
    with localcontext() as context:
        context.prec = 60
        exponent = max(Decimal(low).adjusted() if low else -400, Decimal(high).adjusted() if high else -400)
        for digits in range(17):
            step = Decimal(1).scaleb(exponent - digits)
            least = (Decimal(low) / step).to_integral_value(ROUND_CEILING)
            most = ((Decimal(high) / step).to_integral_value(ROUND_CEILING) - 1).to_integral_value(ROUND_FLOOR)
            nearest = (Decimal(wanted) / step).to_integral_value(ROUND_HALF_EVEN)
            found = float(min(max(nearest, least), most) * step)
            if least <= most and low <= found < high:
                return found + 0.0
    return low

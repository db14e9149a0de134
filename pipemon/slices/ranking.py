"""Slices of a score or of feedback, by how much would be won if each were served as well as the best."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

Z = 1.959964
"""The standard normal's 97.5th percentile: intervals are of 95%."""

FEWEST = 30
"""Observations under which a slice tells nothing: it is neither the best of its kind nor certain to be worse.

The rule of thumb under which a mean is not taken for normally distributed, and three such observations that happen to
be alike have no spread at all.
"""


@dataclass(frozen=True)
class Interval:
    """A value and between what it lies, with 95% confidence."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Slice:
    """A group's value of one measure, over `count` observations; `name` is as in `age=young`."""

    name: str
    count: float
    interval: Interval

    @property
    def kind(self) -> tuple[str, ...]:
        """By what it is a group: the keys of its name. Groups of one kind share the observations out."""
        return tuple(part.partition("=")[0] for part in self.name.split(","))


@dataclass(frozen=True)
class Ranked:
    """A slice among those of its kind.

    `share` is its share of their observations, `gap` how much worse than the best of them it is, 0 for the best
    itself; `weight` is share times gap: how much better the whole would be without that gap. `certain` tells that it
    and the best have at least `FEWEST` observations each, and intervals that do not overlap.
    """

    slice: Slice
    share: float
    gap: float
    certain: bool

    @property
    def weight(self) -> float:
        """Share times gap."""
        return self.share * self.gap


def wilson(bad: float, count: float) -> Interval:
    """Return the share `bad / count` with Wilson's score interval (Wilson 1927), which holds for few and for none.

    `count` is above 0.
    """
    share = bad / count
    spread = Z * sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    middle, scale = share + Z**2 / (2 * count), 1 + Z**2 / count
    return Interval(share, max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale))


def normal(mean: float, sd: float, count: float) -> Interval:
    """Return a mean with the normal interval of its standard error, sd / sqrt(count)."""
    error = Z * sd / sqrt(count)
    return Interval(mean, mean - error, mean + error)


def ranked(slices: Iterable[Slice], *, higher_is_better: bool = False) -> list[Ranked]:
    """Return slices, those of which the most is to be won first; a kind with a single slice has no gaps.

    The best of a kind is the one with the best value of at least `FEWEST` observations, or of any if none has them.
    """
    kinds: dict[tuple[str, ...], list[Slice]] = {}
    for each in slices:
        if each.count > 0:
            kinds.setdefault(each.kind, []).append(each)
    sign = -1.0 if higher_is_better else 1.0
    found = []
    for group in kinds.values():
        total = sum(each.count for each in group)
        enough = [each for each in group if each.count >= FEWEST] or group
        best = min(enough, key=lambda each: sign * each.interval.value)
        for each in group:
            gap = max(0.0, sign * (each.interval.value - best.interval.value))
            apart = each.interval.low > best.interval.high or each.interval.high < best.interval.low
            both = min(each.count, best.count) >= FEWEST
            found.append(Ranked(each, each.count / total, gap, certain=both and apart and gap > 0))
    return sorted(found, key=lambda each: (-each.weight, each.slice.name))

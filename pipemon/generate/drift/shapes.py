"""Made-up distributions that are as far from a baseline as is asked: what rule tests let a feature have."""

from __future__ import annotations

from collections.abc import Callable
from math import cbrt, sqrt

from pipemon.generate.drift.constants import Reference, quantile_of_bounds, quantile_of_core
from pipemon.generate.drift.quantiles import normal
from pipemon.generate.drift.statistics import SUMS
from pipemon.spec import distances
from pipemon.spec.distribution import widths
from pipemon.spec.signals import Statistic

Shares = tuple[float, ...]
_STEPS = 60


def distance(reference: Reference, statistic: Statistic, shares: Shares, count: float) -> float:
    """Return what the rules make of `count` values with these shares of the baseline's bins."""
    base = reference.baseline
    p = [reference.smoothed(share) for share in reference.shares]
    return distances.distance(statistic, shares, reference.shares, p, widths(base) if base.bounds else (), count)


def critical(reference: Reference, statistic: Statistic, count: float) -> float:
    """Return what a statistic of `count` values must exceed for the rules to call it more than chance: of the core."""
    base = reference.baseline
    chance = 1 / count + 1 / base.count
    if statistic in SUMS:
        value = chance * base.design_effect * (quantile_of_core(reference) or 0.0) / SUMS[statistic].times
        return sqrt(value) if SUMS[statistic].root else value
    return sqrt(chance * base.effect_on_sums) * quantile_of_bounds(reference, statistic)


def noticed(reference: Reference, statistic: Statistic, count: float) -> float:
    """Return from what distance on the rules call it more than chance what `moved` makes of `count` values.

    What moves into a rare bin is noticed by its count, whatever chi-squared says: of a small baseline later than by it,
    and where all but one of the bins are rare there is none.
    """
    if statistic not in SUMS or reference.parts[_rarest(reference)] == "core":
        return critical(reference, statistic, count)
    return distance(reference, statistic, _mixed(reference, _too_many(reference, count)), count)


def moved(reference: Reference, statistic: Statistic, value: float, count: float) -> Shares:
    """Return shares whose distance from the baseline is `value`: some of all bins has moved into the rarest at an end.

    The distance of all of it is the most that there is.
    """
    part = _crossing(lambda part: distance(reference, statistic, _mixed(reference, part), count), value)
    return _mixed(reference, part)


def _rarest(reference: Reference) -> int:
    return min((0, len(reference.shares) - 1), key=lambda index: reference.shares[index])


def _mixed(reference: Reference, part: float) -> Shares:
    to = _rarest(reference)
    return tuple((1 - part) * share + (part if index == to else 0.0) for index, share in enumerate(reference.shares))


def _too_many(reference: Reference, count: float) -> float:
    """Return what part of all must move into the rarest bin for `rare` to find its part more than chance explains."""
    base, part = reference.baseline, reference.parts[_rarest(reference)]

    def of_part(shares: Shares, number: float) -> float:
        found = sum(share for share, each in zip(shares, reference.parts, strict=True) if each == part)
        return found * number / base.design_effect

    others = of_part(reference.shares, base.count) + 1
    expected = others * count / base.count

    def score(moved: float) -> float:
        k = of_part(_mixed(reference, moved), count)
        if not k:
            return 0.0
        apart = cbrt(k) * (1 - 1 / (9 * k)) - cbrt(expected) * (1 - 1 / (9 * others))
        return 3 * apart / sqrt(1 / cbrt(k) + cbrt(expected) ** 2 / others)

    return _crossing(score, normal(reference.allowed(part)))


def moved_inside(reference: Reference, statistic: Statistic, value: float, count: float) -> Shares:
    """Return shares at such a distance, and none of it rare: some of the first bin of the core is in its last one."""
    core = [index for index, part in enumerate(reference.parts) if part == "core"]

    def mixed(part: float) -> Shares:
        found = list(reference.shares)
        found[core[0]], found[core[-1]] = (1 - part) * found[core[0]], found[core[-1]] + part * found[core[0]]
        return tuple(found)

    return mixed(_crossing(lambda part: distance(reference, statistic, mixed(part), count), value))


def _crossing(rising: Callable[[float], float], level: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > level else (middle, high)
    return (low + high) / 2

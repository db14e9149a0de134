"""Made-up distributions that are as far from a baseline as is asked: what rule tests let a feature have."""

from __future__ import annotations

from collections.abc import Callable
from math import log, log2, sqrt

from pipemon.generate.drift.constants import Reference, quantile_of_bounds, quantile_of_core, widths
from pipemon.generate.drift.statistics import SUMS
from pipemon.spec.signals import Statistic

Shares = tuple[float, ...]
_STEPS = 60


def distance(reference: Reference, statistic: Statistic, shares: Shares, count: float) -> float:
    """Return what the rules make of `count` values with these shares of the baseline's bins."""
    bins = len(shares)
    q = [(share * count + 0.5) / (count + 0.5 * bins) for share in shares]
    p = [reference.smoothed(share) for share in reference.shares]
    pairs = list(zip(q, p, strict=True))
    match statistic:
        case "psi":
            return sum((a - b) * log(a / b) for a, b in pairs)
        case "chi2":
            return sum((a - b) ** 2 / b for a, b in pairs)
        case "hellinger":
            return sqrt(sum((sqrt(a) - sqrt(b)) ** 2 for a, b in pairs) / 2)
        case "js":
            return sqrt(sum(a * log2(2 * a / (a + b)) + b * log2(2 * b / (a + b)) for a, b in pairs) / 2)
    apart, total = [], 0.0
    for live, base in zip(shares[:-1], reference.shares, strict=False):
        total += live - base
        apart.append(abs(total))
    if statistic == "ks":
        return max(apart)
    return sum(far * width for far, width in zip(apart, widths(reference.baseline), strict=True))


def critical(reference: Reference, statistic: Statistic, count: float) -> float:
    """Return what a statistic of `count` values must exceed for the rules to call it more than chance."""
    base = reference.baseline
    chance = (1 / count + 1 / base.count) * base.design_effect
    if statistic in SUMS:
        value = chance * (quantile_of_core(reference) or 0.0) / SUMS[statistic].times
        return sqrt(value) if SUMS[statistic].root else value
    return sqrt(chance) * quantile_of_bounds(reference, statistic)


def moved(reference: Reference, statistic: Statistic, value: float, count: float) -> Shares:
    """Return shares whose distance from the baseline is `value`: some of all bins has moved into the rarest at an end.

    The distance of all of it is the most that there is.
    """
    last = len(reference.shares) - 1
    to = min((0, last), key=lambda index: reference.shares[index])

    def mixed(part: float) -> Shares:
        return tuple(
            (1 - part) * share + (part if index == to else 0.0) for index, share in enumerate(reference.shares)
        )

    return mixed(_crossing(lambda part: distance(reference, statistic, mixed(part), count), value))


def _crossing(rising: Callable[[float], float], level: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > level else (middle, high)
    return (low + high) / 2

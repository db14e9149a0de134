"""How far shares are from others, in plain arithmetic: what the rules record, told beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, log2, sqrt

from pipemon.spec.signals import Statistic


def smoothed(shares: Sequence[float], count: float) -> list[float]:
    """Return the shares of `count` values with half a value more in each bin."""
    return [(share * count + 0.5) / (count + 0.5 * len(shares)) for share in shares]


def distance(
    statistic: Statistic,
    live: Sequence[float],
    base: Sequence[float],
    p: Sequence[float],
    widths: Sequence[float],
    count: float,
) -> float:
    """Return how far `count` live values with these shares are from those of `base`, which are `p` when smoothed.

    `widths` are how far the middles of the bins beside each bound are apart, for `wasserstein`.
    """
    pairs = list(zip(smoothed(live, count), p, strict=True))
    match statistic:
        case "psi":
            return sum((a - b) * log(a / b) for a, b in pairs)
        case "chi2":
            return sum((a - b) ** 2 / b for a, b in pairs)
        case "hellinger":
            return sqrt(sum((sqrt(a) - sqrt(b)) ** 2 for a, b in pairs) / 2)
        case "js":
            total = sum(a * log2(2 * a / (a + b)) + b * log2(2 * b / (a + b)) for a, b in pairs)
            # Of the same shares it is 0, and by rounding a little under it.
            return sqrt(max(0.0, total) / 2)
    apart, gap = [], 0.0
    for now, then in zip(live[:-1], base, strict=False):
        gap += now - then
        apart.append(abs(gap))
    if statistic == "ks":
        return max(apart)
    return sum(far * width for far, width in zip(apart, widths, strict=True))

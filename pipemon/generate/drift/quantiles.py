"""Quantiles of what is known of a statistic under no drift, in plain arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import asin, erfc, exp, lgamma, log, pi, sqrt
from statistics import NormalDist

_STEPS = 200


def normal(alpha: float) -> float:
    """Return the value that a standard normal exceeds with probability `alpha`."""
    return NormalDist().inv_cdf(1 - alpha)


@lru_cache(maxsize=1024)
def chi_squared(alpha: float, degrees: int) -> float:
    """Return the value that a chi-squared of `degrees` degrees of freedom exceeds with probability `alpha`."""
    high = float(degrees)
    while _chi_squared_above(high, degrees) > alpha:
        high *= 2
    return _crossing(lambda x: _chi_squared_above(x, degrees), alpha, high)


def _chi_squared_above(x: float, degrees: int) -> float:
    # Abramowitz and Stegun 26.4.4 and 26.4.5: a finite sum for whole degrees of freedom.
    odd = degrees % 2
    above = erfc(sqrt(x / 2)) if odd else exp(-x / 2)
    for d in range(1 if odd else 2, degrees, 2):
        above += exp(d / 2 * log(x / 2) - x / 2 - lgamma(d / 2 + 1)) if x else 0.0
    return above


def _crossing(falling: Callable[[float], float], level: float, high: float) -> float:
    low = 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > level else (low, middle)
    return (low + high) / 2


def kolmogorov(alpha: float) -> float:
    """Return the value that the largest deviation of a Brownian bridge exceeds with probability `alpha` at most.

    The first term of Kolmogorov's series, 2 exp(-2 x^2), which is above the rest of it (Smirnov 1948). Between
    few bins the largest deviation can only be smaller (Noether 1963).
    """
    return sqrt(log(2 / alpha) / 2)


def bridge_area(alpha: float, below: Sequence[float], widths: Sequence[float]) -> float:
    """Return the value that the sum of `widths` x |B| exceeds with probability `alpha`.

    B is a Brownian bridge at the shares `below`, to which the difference of two cumulative distributions tends
    (Donsker 1952). Where the sum is large, nearly all of B is on one side: it is that of `widths` x B, which is normal,
    and what the mean of its square is above that of this one is added to the square (from the moments of |X||Y| of two
    normals, Nabeya 1951). So it is exact for one bound, as of yes and no; for many even bins 0.766 at 1%, where the
    area under the bridge itself has 0.752 (Johnson and Killeen 1983).
    """
    deviations = [sqrt(f * (1 - f)) for f in below]
    of_sum = square = 0.0
    for f, s, w in zip(below, deviations, widths, strict=True):
        for g, t, v in zip(below, deviations, widths, strict=True):
            if s and t:
                r = min(1.0, (min(f, g) - f * g) / (s * t))
                of_sum += w * v * s * t * r
                square += w * v * s * t * 2 / pi * (sqrt(max(0.0, 1 - r * r)) + r * asin(r))
    return sqrt(of_sum * normal(alpha / 2) ** 2 + max(0.0, square - of_sum))

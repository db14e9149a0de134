"""What a histogram tells of the values that it counted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pipemon.baseline.summary import QUANTILES, rounded, rounded_mean, rounded_shares
from pipemon.spec.baseline import FeatureBaseline

Cumulative = Sequence[tuple[float, float]]
"""(Upper bound, how many values are at most that), sorted; the last bound is infinite."""


def feature_baseline(
    cumulative: Cumulative,
    total: float,
    *,
    unit: str = "",
    missing: float = 0.0,
    effects: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> FeatureBaseline:
    """Return the baseline of a feature with at least one value, whose sum is `total`.

    `effects` are the design effects of shares, of cumulative ones and of the spread. The mean and the shares are exact,
    the standard deviation and the quantiles interpolated.
    """
    bounds = tuple(bound for bound, _ in cumulative if math.isfinite(bound))
    counts = np.array([value for _, value in cumulative])
    count = float(counts[-1])
    below = np.maximum.accumulate(counts) / count
    quantiles: list[float] = np.interp(list(QUANTILES.values()), below[:-1], bounds).tolist() if bounds else []
    sd = spread(cumulative)
    return FeatureBaseline(
        rounded_mean(total / count, sd),
        rounded(sd),
        round(count),
        unit,
        bounds,
        rounded_shares(np.diff(below, prepend=0.0).tolist()),
        missing,
        effects[0],
        dict(zip(QUANTILES, map(rounded, quantiles), strict=False)),
        cumulative_design_effect=effects[1],
        spread_design_effect=effects[2],
    )


def spread(cumulative: Cumulative) -> float:
    """Return the standard deviation of values known by a histogram: (upper bound, cumulative count), sorted.

    Values are taken as even within a bucket, so each adds its width squared over 12 (the variance of an
    even distribution) to the squared distance of its middle from the mean. The two open buckets are taken
    to be as wide as their neighbours. Returns 0 for a single bucket or no value.
    """
    bounds = [bound for bound, _ in cumulative if math.isfinite(bound)]
    total_count = cumulative[-1][1] if cumulative else 0.0
    if len(bounds) < 2 or total_count <= 0:
        return 0.0
    first, last = bounds[1] - bounds[0], bounds[-1] - bounds[-2]
    edges = [bounds[0] - first, *bounds, bounds[-1] + last]
    counts = [value for _, value in cumulative]
    shares = [(b - a) / total_count for a, b in zip([0.0, *counts], counts, strict=False)]
    parts = [(share, (low + high) / 2, high - low) for share, low, high in zip(shares, edges, edges[1:], strict=False)]
    mean = sum(share * middle for share, middle, _ in parts)
    return math.sqrt(sum(share * ((middle - mean) ** 2 + width**2 / 12) for share, middle, width in parts))

"""What a value counts by its place among others, as that of a normal distribution."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from statistics import NormalDist
from typing import Literal

_EDGE = 1e-12
_NORMAL = NormalDist()


def normal_scores(shares: Sequence[float], power: Literal[1, 2]) -> list[float]:
    """Return the mean of x, or of x^2, over the part of the normal distribution that has each share, none of them 0."""
    cuts = [_NORMAL.inv_cdf(min(max(below, _EDGE), 1 - _EDGE)) for below in list(accumulate(shares))[:-1]]
    # The integrals of x and of x^2 - 1 over the normal density up to each cut, with the sign turned.
    at = [0.0, *(_NORMAL.pdf(x) * x ** (power - 1) for x in cuts), 0.0]
    return [(low - high) / share + (power - 1) for low, high, share in zip(at, at[1:], shares, strict=False)]

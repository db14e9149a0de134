"""What moved between two baselines: the population stability index of each feature, and whether chance explains it."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from pipemon.baseline.bins import Values
from pipemon.baseline.design_effect import chi_squared_quantile
from pipemon.spec.baseline import Baseline, FeatureBaseline

_NORMAL = NormalDist()
_FAR = 8.0
"""Standard deviations beyond which there is nothing."""
_INTERPOLATED = 0.02
"""What interpolation between other bins may add by itself."""
_TWO_SIDED = _NORMAL.inv_cdf(0.995)


class Moved(NamedTuple):
    """How a feature changed: `psi`, and what chance alone seldom exceeds: one time in a hundred.

    `rebinned` tells that the two have different bins, so that the new one's shares are interpolated; then nothing
    below 0.02 is told from chance.
    """

    name: str
    old: FeatureBaseline
    new: FeatureBaseline
    psi: float
    chance: float
    rebinned: bool

    @property
    def beyond_chance(self) -> bool:
        """Whether the change is more than chance explains."""
        return self.psi > self.chance or self.missing_beyond_chance

    @property
    def missing_beyond_chance(self) -> bool:
        """Whether the missing share changed by more, and by more than a thousandth: two proportions, pooled."""
        looks = [max(1.0, each.count) / max(1e-9, 1 - each.missing) for each in (self.old, self.new)]
        pooled = (looks[0] * self.old.missing + looks[1] * self.new.missing) / sum(looks)
        effect = max(self.old.design_effect, self.new.design_effect)
        variance = effect * pooled * (1 - pooled) * (1 / looks[0] + 1 / looks[1])
        chance = _TWO_SIDED * math.sqrt(variance)
        return abs(self.old.missing - self.new.missing) > max(chance, 0.001)


def compared(old: Baseline, new: Baseline) -> tuple[Moved, ...]:
    """Return how each feature moved that both have with its shares, the farthest first."""
    found = []
    for name in sorted({*old.features} & {*new.features}):
        one, other = old.features[name], new.features[name]
        shares = _alike(one, other)
        if shares is not None:
            rebinned = one.bins != other.bins
            spread = one.design_effect / max(1.0, one.count) + other.design_effect / max(1.0, other.count)
            chance = spread * chi_squared_quantile(max(1, len(shares[0]) - 1))
            psi = _psi(*shares, one.count, other.count)
            found.append(Moved(name, one, other, psi, max(chance, _INTERPOLATED * rebinned), rebinned))
    return tuple(sorted(found, key=lambda moved: -moved.psi))


def _alike(one: FeatureBaseline, other: FeatureBaseline) -> tuple[Values, Values] | None:
    """Return the shares of both in the same bins, or None where they have none."""
    if one.categories and other.categories:
        names = sorted({*one.categories, *other.categories})
        before, after = ([each.categories.get(name, 0.0) for name in names] for each in (one, other))
        return np.array(before), np.array(after)
    if not one.shares or not other.shares:
        return None
    if one.bounds == other.bounds:
        return np.array(one.shares), np.array(other.shares)
    below = np.interp(one.bounds, other.bounds, _scores(other), left=-_FAR, right=_FAR)
    return np.array(one.shares), np.diff([0.0, *(_NORMAL.cdf(score) for score in below), 1.0])


def _scores(feature: FeatureBaseline) -> list[float]:
    """Return at each bound the normal score of the share below: between bounds it runs straighter than the share."""
    edge = 0.5 / max(1.0, feature.count)
    return [_NORMAL.inv_cdf(min(max(share, edge), 1 - edge)) for share in np.cumsum(feature.shares)[:-1]]


def _psi(old: Values, new: Values, m: float, n: float) -> float:
    """Return the sum of (q - p) ln(q / p), half an observation added to each bin (Krichevsky and Trofimov 1981)."""
    bins = len(old)
    p, q = (old * m + 0.5) / (m + 0.5 * bins), (new * n + 0.5) / (n + 0.5 * bins)
    return float(np.sum((q - p) * np.log(q / p)))

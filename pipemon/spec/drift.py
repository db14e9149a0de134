"""What may be asked of drift: from what, by which statistic, and how far anything can be."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import cast

from pipemon.errors import nearest
from pipemon.spec.baseline import RHYTHMS, FeatureBaseline
from pipemon.spec.context import WaitsForBaselineError
from pipemon.spec.distances import distance, smoothed
from pipemon.spec.distribution import CORE, known_bins, widths
from pipemon.spec.fields import listed
from pipemon.spec.model import LAST_HOUR, Reference, Threshold
from pipemon.spec.reader import Mapping, Node, Scalar, kind, shown
from pipemon.spec.signals import AT_MOST_ONE, OF_NUMBERS, STATISTICS, Statistic
from pipemon.topology import FeatureShape
from pipemon.units import figure

LAST_WEEK = Reference("the same hours last week", RHYTHMS["weekly"], rhythm="weekly")
YESTERDAY = Reference("the same hours yesterday", RHYTHMS["daily"], rhythm="daily")
HOUR_BEFORE = "the hour before"
_BASELINE = "baseline"
_PAST = {
    "same hour last week": LAST_WEEK,
    "last week": LAST_WEEK,
    "same hour yesterday": YESTERDAY,
    "yesterday": YESTERDAY,
}
_MANY = 1e9
"""Values in a window, as many as can be thought of."""
AGAINST = (_BASELINE, LAST_HOUR.words, *_PAST)
"""What may stand after `against:`."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a drift; `at` is where, None for where it stands."""

    message: str
    rule: str = "comparison"
    at: Node | None = None


def past(beside: Mapping, last_hour: Reference, *, sudden: bool) -> tuple[Reference | None, Fault | None]:
    """Return the past that a drift is from, None for the baseline, and what is wrong with what is written of it."""
    node = beside.get("against")
    hour = Reference(HOUR_BEFORE, hold=last_hour.hold)
    if node is None:
        return (hour if sudden else None), None
    words = " ".join(node.text.split()) if isinstance(node, Scalar) else ""
    if words not in AGAINST:
        found = shown(words) if words else kind(node)
        hint = nearest(words, AGAINST) or f"; there are {listed(AGAINST, 'and')}"
        return None, Fault(f"against: what is {found}?{hint}", at=node)
    if words == LAST_HOUR.words and not sudden:
        return None, Fault("against: what is told by the last hour is sudden; add `pace: sudden`", at=node)
    return (hour if words == LAST_HOUR.words else _PAST.get(words)), None


def fault(
    statistic: str,
    feature: FeatureShape,
    learned: FeatureBaseline | None,
    against: Reference | None,
    no_baseline: str,
) -> Fault | None:
    """Return why a feature can't be compared so. Raises WaitsForBaselineError where what it takes is not there yet."""
    name = f"{feature.direction}.{feature.name}"
    if against is not None:
        if statistic == "wasserstein":
            return Fault("wasserstein is in standard deviations of a baseline, which the past has not; use psi or ks")
        if not feature.categories and not known_bins(feature, learned).bounds:
            why = "name `code:`, or learn a baseline with `pipemon baseline`"
            raise WaitsForBaselineError(f"not yet measurable: nobody knows the bins of {feature.name}; {why}")
        return None
    if learned is None or not learned.has_distribution:
        lacks = "which the baseline does not have" if learned is None else "with the shares of its bins"
        why = no_baseline or f"{lacks}; learn it again with `pipemon baseline`"
        raise WaitsForBaselineError(f"not yet measurable: waits for a baseline of {feature.name}, {why}")
    if statistic in OF_NUMBERS and learned.categories:
        return Fault(f"{name} counts categories, which {statistic} can't order; use psi")
    if statistic == "wasserstein" and not learned.sd:
        return Fault(f"{name} never varied in the baseline, so there is no scale for wasserstein; use psi", "baseline")
    if statistic == "wasserstein" and max(learned.shares) == 1:
        return Fault(
            f"all of {name} is in one bin of the baseline, which is no distance; use psi, or more bounds", "baseline"
        )
    shares = (*learned.categories.values(), *learned.shares)
    if statistic not in OF_NUMBERS and max(shares) < CORE:
        bins, instead = ("categories", "") if learned.categories else ("bins", "use ks or wasserstein, or ")
        return Fault(
            f"each of the {len(shares)} {bins} of {name} has under {CORE:.0%} of the baseline's values, which "
            f"{statistic} counts together as rare, so it could never fire; {instead}give it fewer {bins}",
            "baseline",
        )
    return None


def unreachable(threshold: Threshold, statistic: str, most: float, against: Reference | None) -> str:
    """Say why a threshold means nothing, or "": the statistic can't be above it, or always is.

    One that a backtest is to choose is none yet; `against` the hour before it can't.
    """
    bounded, high = statistic in AT_MOST_ONE, threshold.high
    if high is None:
        return (
            f"'auto' chooses no threshold of sudden drift, since the hour before stays as it was while it fires; "
            f"the usual one of {statistic} is {STATISTICS[cast(Statistic, statistic)]}"
            if against is not None and against.hold
            else ""
        )
    if not 0 < high < (1 if bounded else inf):
        return f"expected a number above 0{' and under 1' if bounded else ''}, found {high:g}"
    if high >= most:
        return f"{statistic} is never above {figure(most, 3)} with this baseline's bins, so {high:g} could never fire"
    return ""


def most(statistic: str, learned: FeatureBaseline | None) -> float:
    """Return the most that a statistic can be from a baseline: where all of very many values are in one bin."""
    assert learned is not None
    # A category that the baseline does not know is one more bin.
    shares = (*learned.categories.values(), 0.0) if learned.categories else learned.shares
    base = smoothed(shares, learned.count)
    apart = widths(learned) if learned.bounds else ()
    found = (
        distance(
            cast(Statistic, statistic), tuple(float(i == j) for j in range(len(shares))), shares, base, apart, _MANY
        )
        for i in range(len(shares))
    )
    return max(found)

"""`shift`: a level, or a spread, that has left its baseline's and stays away, told by cumulative sums of each step.

A value counts by its bin, as the normal score of the bin's place in the baseline, so that it is no matter how values
are distributed, nor how far out the farthest is: for the level the mean of x over the part of the normal distribution
that has the bin's share (van der Waerden 1952), for the spread that of x^2 (Klotz, Ann. Math. Statist. 33, 1962). Each
step, the mean of its scores is so many standard errors off the baseline's. Page's sums (1954) add up by how much
likelier that makes a shift than none, and alert above a limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import exp, floor, log10, sqrt
from typing import Literal

from pipemon.spec.baseline import FeatureBaseline
from pipemon.spec.context import WaitsForBaselineError
from pipemon.spec.cusum import step_of
from pipemon.spec.distances import smoothed
from pipemon.spec.model import Threshold, Timing
from pipemon.spec.normal_scores import normal_scores
from pipemon.topology import FeatureShape

Of = Literal["level", "spread"]
KINDS: Mapping[Of, str] = {"level": "the level", "spread": "the spread"}
"""What may have shifted of a number."""
LIMIT = 11.0
"""Above it a sum tells of a shift, where nobody says."""
MOST = 14.0
"""Where a sum stops, so that it is soon below its limit when all is well again."""
TRIFLE = 0.1
"""The least shift that is looked for, in standard deviations of the scores. Less than half of it does not add up."""
SLACKS = {"small": 0.0, "large": 0.75}
"""Half the shift that each pair of sums looks for, in standard errors of a step: so much, or half a TRIFLE if more."""
_LEAST = 4.0
"""The lowest limit: by chance above it once in 140 steps or so."""
_CERTAIN = 2.0


def scores(base: FeatureBaseline, of: Of) -> tuple[float, ...]:
    """Return what a value in each bin counts. Of the baseline's values the mean is 0 for the level, 1 for the spread.

    The level's have a variance of 1. Shares have half a value more in every bin, so that each has a place.
    """
    found = normal_scores(smoothed(base.shares, base.count), 1 if of == "level" else 2)
    mean = sum(share * score for share, score in zip(base.shares, found, strict=True))
    if of == "spread":
        return tuple(score / mean for score in found)
    sd = _deviation(base, [score - mean for score in found])
    return tuple((score - mean) / sd if sd else 0.0 for score in found)


def spread_deviation(base: FeatureBaseline) -> float:
    """Return the standard deviation of the scores for the spread, over the baseline's values."""
    return _deviation(base, [score - 1 for score in scores(base, "spread")])


def _deviation(base: FeatureBaseline, off: list[float]) -> float:
    return sqrt(sum(share * each**2 for share, each in zip(base.shares, off, strict=True)))


def allowance(base: FeatureBaseline) -> float:
    """Return what of a shift the baseline's own error explains, in standard deviations of the scores.

    It is off by the same in each step, which adds up. With L the limit, r its standard error and b what it is off, the
    sums of shifts by a TRIFLE pass L by chance exp(2 L (b - a) / TRIFLE) times as often. That is once, on average over
    baselines, with a = L r^2 / TRIFLE, which is taken; of small baselines two standard errors, which is less.
    """
    error = sqrt(base.effect_on_sums / base.count)
    return error * min(_CERTAIN, LIMIT * error / TRIFLE)


def run_length(limit: float) -> float:
    """Return after how many steps, on average, one of the sums is above `limit` where nothing moves.

    Siegmund's approximation (Sequential Analysis, 1985) for the sums of SLACKS' large shifts, of which both sides
    share the half. Those of small ones are above it more seldom, and mostly with them; what they add, the allowance
    for the baseline's error takes.
    """
    slack = SLACKS["large"]
    beyond = limit + 2 * slack * 1.166
    return (exp(beyond) - beyond - 1) / (2 * slack**2) / 2


def explained(threshold: Threshold, timing: Timing) -> Threshold:
    """Return a limit whose words tell how often chance makes it, in hours or days cut off to two digits."""
    assert threshold.high is not None
    hours = run_length(threshold.high) * step_of(timing) / 3600
    often, unit = (hours / 24, "days") if hours >= 48 else (hours, "hours")
    digit = 10.0 ** (floor(log10(often)) - 1)
    words = f"above {threshold.high:g}: by chance once in {round(floor(often / digit) * digit, 1):,g} {unit}"
    return replace(threshold, words=words)


def fault(of: Of, feature: FeatureShape, learned: FeatureBaseline | None, no_baseline: str) -> str:
    """Return why nothing can tell a shift of a feature, "" where it can. Raises WaitsForBaselineError."""
    name = f"{feature.direction}.{feature.name}"
    if feature.categories or (learned is not None and learned.categories):
        return f"{name} counts categories, which have no {of}; use drift"
    if learned is None or not learned.has_distribution:
        lacks = "which the baseline does not have" if learned is None else "with the shares of its bins"
        why = no_baseline or f"{lacks}; learn it again with `pipemon baseline`"
        raise WaitsForBaselineError(f"not yet measurable: waits for a baseline of {feature.name}, {why}")
    if not learned.sd or not any(scores(learned, "level")):
        return f"{name} never varied in the baseline, so nobody knows how far its {of} may be off by chance; use drift"
    if of == "spread" and spread_deviation(learned) < TRIFLE:
        return f"{name} has too few bins for its spread to be told from its level; use drift"
    return ""


def unreachable(threshold: Threshold) -> str:
    """Say why a limit means nothing, or ""."""
    high = threshold.high
    if high is None or threshold.reference is not None:
        return f"its limit is a number, such as {LIMIT:g}"
    if not _LEAST <= high < MOST:
        return f"expected {_LEAST:g} or more and under {MOST:g}, where the sums stop, found {high:g}"
    return ""

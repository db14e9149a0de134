"""`shift`: a mean that has left its baseline's and stays away, told by cumulative sums of what each step is off.

Each step, the mean of its values is so many standard errors off the baseline's. Page's sums (1954) add these up, less
SLACK and what the baseline itself may be off, and alert above a limit.
"""

from __future__ import annotations

from dataclasses import replace
from math import exp, floor, log10

from pipemon.spec.baseline import FeatureBaseline
from pipemon.spec.context import WaitsForBaselineError
from pipemon.spec.cusum import step_of
from pipemon.spec.model import Threshold, Timing
from pipemon.topology import FeatureShape
from pipemon.units import duration

SLACK = 0.5
"""What is taken from each step's score: half the shift, in standard errors, that is looked for."""
MOST = 16.0
"""Where a sum stops, so that it is soon below its limit when all is well again."""
_LEAST = 4.0
"""The lowest limit: by chance above it once in 170 steps or so."""


def run_length(limit: float) -> float:
    """Return after how many steps, on average, one of two sums is above `limit` where the mean does not move.

    Siegmund's approximation (Sequential Analysis, 1985), of which both sides share the half. Of limits of 4 and 5 it
    is 169 and 467, where the tables have 168 and 465.
    """
    beyond = limit + 1.166
    return (exp(2 * SLACK * beyond) - 2 * SLACK * beyond - 1) / (2 * SLACK**2) / 2


def explained(threshold: Threshold, timing: Timing) -> Threshold:
    """Return a limit whose words tell how often chance makes it, cut off to two digits."""
    assert threshold.high is not None
    steps = run_length(threshold.high)
    digit = 10 ** (floor(log10(steps)) - 1)
    step = duration(step_of(timing))
    words = f"above {threshold.high:g}, as chance makes it once in {floor(steps / digit) * digit:,} steps of {step}"
    return replace(threshold, words=words)


def fault(feature: FeatureShape, learned: FeatureBaseline | None, no_baseline: str) -> str:
    """Return why nothing can tell a shift of a feature, "" where it can. Raises WaitsForBaselineError."""
    name = f"{feature.direction}.{feature.name}"
    if feature.categories or (learned is not None and learned.categories):
        return f"{name} counts categories, which have no mean; use drift"
    if learned is None or not learned.has_distribution:
        lacks = "which the baseline does not have" if learned is None else "with the shares of its bins"
        why = no_baseline or f"{lacks}; learn it again with `pipemon baseline`"
        raise WaitsForBaselineError(f"not yet measurable: waits for a baseline of {feature.name}, {why}")
    if not learned.sd:
        return f"{name} never varied in the baseline, so nobody knows how far its mean may be off by chance; use drift"
    return ""


def unreachable(threshold: Threshold) -> str:
    """Say why a limit means nothing, or ""."""
    high = threshold.high
    if high is None or threshold.reference is not None:
        return "its limit is a number, such as 11"
    if not _LEAST <= high < MOST:
        return f"expected {_LEAST:g} or more and under {MOST:g}, where the sums stop, found {high:g}"
    return ""

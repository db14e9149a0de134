"""Whether a window has values enough for a verdict on drift, at the pace at which the baseline's came."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from pipemon.generate.drift.constants import LEAST, Reference
from pipemon.generate.drift.recent import LEAST as LEAST_RECENT
from pipemon.generate.drift.watched import references
from pipemon.spec.baseline import Baseline
from pipemon.spec.model import Condition, FailureMode, Spec
from pipemon.spec.signals import DRIFT
from pipemon.units import duration

_TAKES = {"daily": "a week with times", "weekly": "two weeks with times"}
"""What a baseline must be of to know how alike the same hours are."""


def too_little(spec: Spec, mode: FailureMode) -> Iterator[str]:
    """Yield what a failure mode will never tell at that pace, of baselines that say how long they took.

    A job that runs once a day has no window, and is left out.
    """
    for condition in mode.conditions if spec.schedule is None else ():
        if condition.signal == DRIFT and condition.feature is not None and mode.stage is not None:
            feature = condition.feature
            for each in references(spec, ((mode.stage, feature.direction, feature.name),)):
                if words := _words(mode, condition, each, _period(spec.baselines, each)):
                    yield f"{mode.name}: {words}"


def _period(baselines: tuple[Baseline, ...], reference: Reference) -> float:
    """Return how long a feature's reference took, in seconds, 0 where nobody knows."""
    those = (each for each in baselines if reference.baseline in each.features.values())
    return next((each.end - each.start for each in those if each.start), 0.0)


def _words(mode: FailureMode, condition: Condition, reference: Reference, period: float) -> str:
    base = reference.baseline
    if period <= 0 or not base.count:
        return ""
    rhythm = condition.against.rhythm if condition.against else ""
    effect, _ = base.effects_from(rhythm)
    least = reference.least if condition.against is None else LEAST_RECENT * effect
    least = max(least, condition.min_count)
    if (expected := base.count / period * mode.window) >= least:
        return ""
    name = f"{reference.direction}.{reference.feature}"
    some = f"{duration(mode.window)} has about {expected:,.0f} values of {name}, as often as they came in the baseline"
    takes = ceil(least / (base.count / period) / 3600) * 3600.0
    alike = (
        f", since {effect:.0f} of them tell as much as one independent value" if effect >= 1.5 and least > LEAST else ""
    )
    more = f"; a window of {duration(takes)} has as many"
    if alike and rhythm and rhythm not in base.seasonal_design_effects:
        more = f"; learned from {_TAKES[rhythm]}, the baseline tells what comes again from what is alike"
    return f"{some}: drift is unknown under {ceil(least):,}{alike}{more}"

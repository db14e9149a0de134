"""Whether a window has values enough for a verdict on drift, at the pace at which the baseline's came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import ceil, inf
from typing import cast

from pipemon.generate.drift.constants import Reference
from pipemon.generate.drift.recent import LEAST as LEAST_RECENT
from pipemon.generate.drift.shifts import ENOUGH, watched_for_shifts
from pipemon.generate.drift.watched import references
from pipemon.spec.baseline import Baseline, feature_key
from pipemon.spec.cusum import step_of
from pipemon.spec.model import Condition, FailureMode, Spec
from pipemon.spec.shift import Of
from pipemon.spec.signals import DRIFT, SHIFT
from pipemon.units import duration

_TAKES = {"daily": "a week with times", "weekly": "two weeks with times"}
"""What a baseline must be of to know how alike the same hours are."""
_ALIKE = 1.5
"""The design effect from which on it is told."""


def too_little(spec: Spec, mode: FailureMode) -> Iterator[str]:
    """Yield what a failure mode will never tell at that pace, of baselines that say how long they took.

    A job that runs once a day has no window, and is left out.
    """
    for condition in mode.conditions if spec.schedule is None else ():
        if condition.feature is not None and mode.stage is not None:
            place = (mode.stage, condition.feature.direction, condition.feature.name)
            told: Iterable[str] = ()
            if condition.signal == DRIFT:
                told = (_of_drift(spec, mode, condition, each) for each in references(spec, (place,)))
            elif condition.signal == SHIFT:
                watched = watched_for_shifts(spec)[cast(Of, condition.argument)]
                told = (_of_shift(spec, r) for r in watched if (r.stage, r.direction, r.feature) == place)
            yield from (f"{mode.name}: {words}" for words in told if words)


def _pace(spec: Spec, reference: Reference) -> float:
    """Return how many values a second a feature's reference had, infinite where nobody knows."""
    key = feature_key(reference.stage, reference.direction, reference.feature)
    took = next((b.end - b.start for b in spec.baselines if b.start and _has(b, key, reference)), 0.0)
    return reference.baseline.count / took if took > 0 and reference.baseline.count else inf


def _has(baseline: Baseline, key: str, reference: Reference) -> bool:
    found, base = baseline.features.get(key), reference.baseline
    return found is not None and (found.bins, found.count) == (base.bins, base.count)


def _of_drift(spec: Spec, mode: FailureMode, condition: Condition, reference: Reference) -> str:
    base, rhythm = reference.baseline, condition.against.rhythm if condition.against else ""
    effect, _ = base.effects_from(rhythm)
    least = reference.least if condition.against is None else LEAST_RECENT * effect
    pace, least = _pace(spec, reference), max(least, condition.min_count)
    more = f"a window of {duration(ceil(least / pace / 3600) * 3600.0)} has as many"
    if effect >= _ALIKE and rhythm and rhythm not in base.seasonal_design_effects:
        more = f"learned from {_TAKES[rhythm]}, the baseline tells what comes again from what is alike"
    some = _some(reference, mode.window, pace, least)
    return some and f"{some}: drift is unknown under {_least(least, effect)}; {more}"


def _of_shift(spec: Spec, reference: Reference) -> str:
    step, effect = step_of(spec.timing), reference.baseline.effect_on_sums
    seen = 1 - spec.timing.scrape_interval / step
    least = ENOUGH * effect / seen
    some = _some(reference, step, _pace(spec, reference), least)
    return some and f"{some}: a shift is unknown under {_least(least, effect)}; use drift, which has a longer window"


def _some(reference: Reference, window: float, pace: float, least: float) -> str:
    """Return how many values a window has, nothing where they are enough."""
    if pace * window >= least:
        return ""
    name = f"{reference.direction}.{reference.feature}"
    return f"{duration(window)} has about {pace * window:,.0f} values of {name}, as often as they came in the baseline"


def _least(least: float, effect: float) -> str:
    alike = f", since {effect:.0f} of them tell as much as one independent value" if effect >= _ALIKE else ""
    return f"{ceil(least):,}{alike}"

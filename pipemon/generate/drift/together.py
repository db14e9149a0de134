"""Which features of a stage have drifted at once, and how many: one broken sensor, or a world that changed."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

from pipemon.generate.drift.measure import drift_measure
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, text
from pipemon.generate.queries import key
from pipemon.generate.recordings import Measure, Recording, here
from pipemon.spec.model import Condition, FailureMode, Spec
from pipemon.spec.signals import DRIFT
from pipemon.topology import FeatureShape
from pipemon.units import duration

_FEATURE = ("direction", "feature")


def has_others(spec: Spec, mode: FailureMode) -> bool:
    """Tell whether a failure mode is of drift from the baseline, as others of its stage and window are."""
    return any(condition.signal == DRIFT for condition in mode.conditions) and len(counted(spec, mode)) > 1


def features_moved(spec: Spec, mode: FailureMode) -> Measure:
    """Return how many features of a stage have drifted from their baselines over a window, of those that are watched.

    A feature has where a failure mode's statistic is more than chance explains; whether it is beyond a threshold is
    not asked.
    """
    moved = spec.derived(("features moved", key(spec, mode.stage), mode.window), lambda _: _moved(spec, mode))
    return replace(moved, matchers=here(spec, mode.stage))


def _moved(spec: Spec, mode: FailureMode) -> Measure:
    """Return the same for a stage; the rules are those of all stages."""
    by = key(spec, mode.stage)
    labels, window = (*by, *_FEATURE), duration(mode.window)
    values = {
        found.value.name: found.value
        for other, condition in _alike(spec, mode)
        for found in (drift_measure(spec, other, condition),)
    }
    each: list[Expr] = [
        Call("label_replace", (Binary("> bool", value.series(), 0.0), "rule", name, "", ""))
        for name, value in values.items()
    ]
    either = reduce(lambda a, b: Binary("or", a, b), each)
    name = f"{'_'.join(labels)}:pipemon_feature_moved:max{window}"
    moved = Recording(name, Aggregate("max", labels, either), labels, tuple(values.values()))
    total = Aggregate("sum", by, moved.series())
    count = Recording(f"{'_'.join(by)}:pipemon_features_moved:sum{window}", total, by, (moved,))
    return Measure(count, here(spec, mode.stage), None, ())


def counted(spec: Spec, mode: FailureMode) -> list[tuple[FailureMode, Condition]]:
    """Return the features of a failure mode's stage that are counted, each with the first condition that watches it."""
    found: dict[FeatureShape | None, tuple[FailureMode, Condition]] = {}
    for other, condition in _alike(spec, mode):
        if other.stage == mode.stage:
            found.setdefault(condition.feature, (other, condition))
    return list(found.values())


def moved_query(spec: Spec, found: Measure) -> str:
    """Return the query for the features that moved, with `%s` for each label by which alerts are told apart."""
    place = tuple(Matcher(label, "=", "%s") for label in spec.told_apart_by)
    (moved,) = found.value.parts
    return text(Binary("==", Aggregate("max", _FEATURE, moved.series(*found.matchers, *place)), 1.0))


def _alike(spec: Spec, mode: FailureMode) -> list[tuple[FailureMode, Condition]]:
    """Return the conditions of drift from the baseline over a failure mode's window, of all stages."""
    return [
        (other, condition)
        for other in spec.measurable
        for condition in other.conditions
        if condition.signal == DRIFT and condition.against is None and other.window == mode.window
    ]

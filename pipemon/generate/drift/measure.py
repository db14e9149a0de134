"""A condition on drift: what is measured, which its alert, panel and rule tests read."""

from __future__ import annotations

from typing import cast

from pipemon.generate.drift.constants import Reference
from pipemon.generate.drift.distribution import distribution
from pipemon.generate.drift.statistics import Drift, drift
from pipemon.generate.drift.stepping_up import stepped_up
from pipemon.generate.drift.watched import design_effects, references
from pipemon.generate.promql import Aggregate, Matcher
from pipemon.generate.queries import key
from pipemon.generate.recordings import Measure, Recording, here
from pipemon.spec.baseline import FeatureBaseline
from pipemon.spec.distribution import bins_of
from pipemon.spec.model import Condition, FailureMode, Spec
from pipemon.spec.model import Reference as Past
from pipemon.spec.signals import DRIFT, Statistic
from pipemon.topology import FeatureShape

_FEATURE = ("direction", "feature")


def condition_references(spec: Spec, mode: FailureMode, condition: Condition) -> tuple[Reference, ...]:
    """Return the baselines of a condition's feature; of one that is compared with the past, a made-up one of tests."""
    assert mode.stage is not None
    assert condition.feature is not None
    if condition.against is not None:
        return (usual(spec, mode.stage, condition.feature, condition.against),)
    return references(spec, ((mode.stage, condition.feature.direction, condition.feature.name),), mode.window)


def usual(spec: Spec, stage: str, feature: FeatureShape, against: Past) -> Reference:
    """Return what tests have a feature be like in the past: all of its bins are as full as the others."""
    bins, (effect, of_sums) = bins_of(spec, stage, feature), design_effects(spec, stage, feature, against)
    if feature.categories:
        even = dict.fromkeys(feature.categories, 1 / len(feature.categories))
        base = FeatureBaseline(0.0, 0.0, 1.0, unit=feature.unit, categories=even, design_effect=effect)
    else:
        shares = (1 / (len(bins.bounds) + 1),) * (len(bins.bounds) + 1)
        base = FeatureBaseline(
            0.0,
            1.0,
            1.0,
            unit=feature.unit,
            bounds=bins.bounds,
            shares=shares,
            design_effect=effect,
            cumulative_design_effect=of_sums,
        )
    return Reference(stage, feature.direction, feature.name, base)


def rules_of(spec: Spec, mode: FailureMode, condition: Condition) -> Drift:
    """Return the rules of a condition's statistic: those of all features that are watched over as long, at once."""
    kind = condition_references(spec, mode, condition)[0].has_categories
    every = spec.derived(("rules of drift", mode.window), lambda _: _stepped_up_over(spec, mode.window))
    return every[kind, cast(Statistic, condition.argument)]


def _rules_over(spec: Spec, window: float) -> dict[tuple[bool, Statistic], Drift]:
    """Return the rules of each statistic that is asked over a window, of categories and of numbers."""
    together = references(spec, spec.derived("features of drift", _watched_over).get(window, ()), window)
    found: dict[tuple[bool, Statistic], Drift] = {}
    for mode in (each for each in spec.measurable if each.window == window):
        for condition in mode.conditions:
            if condition.signal == DRIFT and condition.against is None:
                kind = condition_references(spec, mode, condition)[0].has_categories
                statistic = cast(Statistic, condition.argument)
                if (kind, statistic) not in found:
                    these = tuple(each for each in together if each.has_categories == kind)
                    found[kind, statistic] = drift(distribution(spec, window, these), these, statistic)
    return found


def _watched_over(spec: Spec) -> dict[float, tuple[tuple[str, str, str], ...]]:
    """Return the features whose drift from the baseline is watched, each once, by the window."""
    found: dict[float, dict[tuple[str, str, str], None]] = {}
    for mode in spec.measurable:
        for each in mode.conditions:
            if each.signal == DRIFT and each.against is None:
                assert mode.stage is not None
                assert each.feature is not None
                feature = (mode.stage, each.feature.direction, each.feature.name)
                found.setdefault(mode.window, {})[feature] = None
    return {window: tuple(features) for window, features in found.items()}


def _stepped_up_over(spec: Spec, window: float) -> dict[tuple[bool, Statistic], Drift]:
    """Return the same rules; what is significant is said among all features."""
    found = _rules_over(spec, window)
    return {which: stepped_up(each, found.values()) for which, each in found.items()}


def drift_measure(spec: Spec, mode: FailureMode, condition: Condition) -> Measure:
    """Return how a condition is measured: by the version that is furthest from its own baseline.

    The value is 0 where chance explains it, and absent where too little is known.
    """
    assert condition.feature is not None
    found = rules_of(spec, mode, condition)
    by = (*key(spec, mode.stage), *_FEATURE)
    feature = condition.feature
    which = (
        *here(spec, mode.stage),
        Matcher("direction", "=", feature.direction),
        Matcher("feature", "=", feature.name),
    )
    value = _over_versions(found, found.significant, "max", by)
    count = _over_versions(found, found.distribution.usable, "max", by)
    return Measure(value, which, count, which)


def _over_versions(found: Drift, recording: Recording, op: str, by: tuple[str, ...]) -> Recording:
    metric = recording.name.partition(":")[2]
    return Recording(f"{'_'.join(by)}:{metric}", Aggregate(op, by, recording.series()), by, (recording,))

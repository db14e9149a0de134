"""Which features of a pipeline are watched for drift, and what each is compared with."""

from __future__ import annotations

from collections import Counter
from math import inf

from pipemon.generate.drift.constants import ALPHA, Reference, looks
from pipemon.spec.baseline import Baseline, FeatureBaseline, feature_key
from pipemon.spec.model import BENJAMINI_HOCHBERG, Spec
from pipemon.spec.model import Reference as Past
from pipemon.spec.signals import DRIFT
from pipemon.topology import FeatureShape
from pipemon.units import duration

Watched = tuple[str, str, str]
"""A stage, direction and feature."""


def watched(spec: Spec, signal: str = DRIFT) -> tuple[Watched, ...]:
    """Return the features that failure modes watch for drift, or by another signal, in the order of the file."""
    found = {
        (mode.stage, condition.feature.direction, condition.feature.name): None
        for mode in spec.measurable
        for condition in mode.conditions
        if condition.signal == signal and condition.feature is not None and mode.stage is not None
    }
    return tuple(found)


def usable(entry: FeatureBaseline | None) -> bool:
    """Tell whether a feature's baseline says how its values are distributed."""
    return entry is not None and entry.has_distribution


def design_effects(spec: Spec, stage: str, feature: FeatureShape, against: Past | None) -> tuple[float, float]:
    """Return by how much more than of independent values a feature's shares vary, and its cumulative ones.

    Against the same hours of earlier days, so much as they vary from these. 1 where nobody has measured it.
    """
    name, rhythm = feature_key(stage, feature.direction, feature.name), against.rhythm if against else ""
    known = [each.features[name].effects_from(rhythm) for each in spec.baselines if name in each.features]
    return max((single for single, _ in known), default=1.0), max((sums for _, sums in known), default=1.0)


def references(spec: Spec, features: tuple[Watched, ...], window: float = inf) -> tuple[Reference, ...]:
    """Return the baselines of features: one for each version that has one, and one for all that have none.

    The false alarms that a stage may raise are shared among its features: evenly (Bonferroni), or, where the file
    says so, the more the more of them have moved (Benjamini and Hochberg). A window is in seconds: short
    ones share them, too.
    """
    counts = spec.derived("features of drift, by stage", lambda _: Counter(stage for stage, _, _ in watched(spec)))
    shared = looks(spec, window)
    shorter = duration(window) if shared > 1 else ""
    found = []
    for stage, direction, feature in features:
        name = feature_key(stage, direction, feature)
        those = [
            (each.version_of(stage), entry) for each in spec.baselines if (entry := _entry(each, name)) is not None
        ]
        count = counts[stage]
        alpha = ALPHA / max(1, count) / shared
        ranks = ranks_of(count) if spec.multiple_testing == BENJAMINI_HOCHBERG else ()
        versions = tuple(version for version, _ in those if version)
        for version, entry in those:
            others = () if version else versions
            found.append(Reference(stage, direction, feature, entry, version, others, alpha, ranks, shorter))
    return tuple(found)


def ranks_of(count: int) -> tuple[int, ...]:
    """Return how many features are asked to have moved together: each number up to 8, then doublings, and all.

    Of one feature there is nothing to share.
    """
    doublings = (2**power for power in range(4, count.bit_length()) if 2**power < count)
    return (*range(1, min(count, 8) + 1), *doublings, *((count,) if count > 8 else ())) if count > 1 else ()


def _entry(baseline: Baseline, name: str) -> FeatureBaseline | None:
    entry = baseline.features.get(name)
    return entry if usable(entry) else None

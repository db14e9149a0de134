"""Thresholds that the baseline's own values are beyond: what was usual when all was well would fire all the time."""

from __future__ import annotations

from collections.abc import Iterator

from pipemon.spec.baseline import FeatureBaseline, feature_key
from pipemon.spec.model import Condition, FailureMode, Spec


def usual(spec: Spec, mode: FailureMode) -> Iterator[str]:
    """Yield what a failure mode would have fired on in the baseline, unless other conditions must hold as well."""
    for each in mode.conditions if mode.combine == "any" or len(mode.conditions) == 1 else ():
        threshold, feature = each.threshold, each.feature
        if threshold is None or threshold.reference or threshold.learned or feature is None or mode.stage is None:
            continue
        key = feature_key(mode.stage, feature.direction, feature.name)
        for learned in (baseline.features[key] for baseline in spec.baselines if key in baseline.features):
            value = _value(each, learned)
            low, high = threshold.low, threshold.high
            if value is not None and ((high is not None and value > high) or (low is not None and value < low)):
                said = f"{value:.4g}" if each.signal == "mean" and feature.unit != "ratio" else f"{100 * value:.3g}%"
                name = f"{each.signal} of {feature.direction}.{feature.name}"
                yield f"{mode.name}: {name} is {said} in the baseline, and {threshold.words} would fire all the time"
                break


def _value(condition: Condition, learned: FeatureBaseline) -> float | None:
    """Return a signal's value in the baseline, None where it says none."""
    match condition.signal:
        case "share" | "new_category":
            return learned.categories.get(dict(condition.labels).get("category", ""))
        case "missing_ratio":
            return learned.missing
        case "mean":
            return None if learned.categories else learned.mean
    return None

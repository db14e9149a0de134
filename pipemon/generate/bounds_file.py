"""`<pipeline>.bounds.json`: budgets, and thresholds as bucket bounds, for the service to read without YAML."""

from __future__ import annotations

import json
from collections.abc import Iterable

from pipemon.spec.latency import bound_share
from pipemon.spec.model import Condition, Spec
from pipemon.spec.signals import SIGNALS
from pipemon.units import duration


def bounds_file(spec: Spec) -> str:
    """Return the file's text; the same spec is the same bytes.

    A count of what lies beyond a threshold is exact only if the threshold is a bucket bound. Thresholds
    that move with the baseline are none: bounds stay as they are while versions come and go.
    """
    document = {
        "pipeline": spec.pipeline,
        "budget": spec.budget,
        "durations": durations(spec, None),
        "stages": {
            stage.name: {
                "budget": stage.budget,
                "durations": durations(spec, stage.name),
                "features": feature_bounds(spec, stage.name),
            }
            for stage in spec.stages
            if not stage.series
        },
    }
    return _written(document) + "\n"


def durations(spec: Spec, stage: str | None) -> list[float]:
    """Return the budget and the latency thresholds of a stage, or of the pipeline where `stage` is None."""
    budget = spec.budget if stage is None else spec.stage(stage).budget
    thresholds = _thresholds(condition for condition in _conditions(spec, stage) if condition.signal == "latency")
    return sorted({*thresholds, *([budget] if budget is not None else [])})


def feature_bounds(spec: Spec, stage: str) -> dict[str, list[float]]:
    """Return the thresholds of a stage's features by `<direction>.<feature>`."""
    found: dict[str, set[float]] = {}
    for condition in _conditions(spec, stage):
        feature, threshold = condition.feature, condition.threshold if not condition.reference else None
        of_values = SIGNALS[condition.signal].unit == "feature"
        if of_values and feature is not None and threshold is not None and not threshold.learned:
            found.setdefault(f"{feature.direction}.{feature.name}", set()).update(_thresholds([condition]))
    return {name: sorted(bounds) for name, bounds in sorted(found.items())}


def interpolated(spec: Spec) -> list[str]:
    """Return a sentence for each latency threshold that is not known to be a bucket bound.

    Without code a threshold above the largest bucket can't be told from others; it is not refused, since
    the service may well read the file.
    """
    found = []
    for mode in spec.measurable:
        for condition in mode.conditions:
            high = condition.threshold.high if condition.threshold and not condition.reference else None
            if condition.signal != "latency" or high is None or bound_share(spec, mode.stage, condition):
                continue
            where = f"{duration(high)} is no bucket bound of {mode.stage or 'the pipeline'}"
            how = f'add spec="{spec.pipeline}.bounds.json" to pipemon.Pipeline(...)'
            if mode.stage is not None and spec.stage(mode.stage).series:
                how = "if it is one, say so: `duration: {histogram: ..., bounds: [...]}`"
            elif not spec.code:
                where = f"whether {where.replace('is no', 'is a')} is not known without `code:`"
                how += ", and ask what runs with --url"
            found.append(f"{mode.name}: {where}, so {condition.argument} is interpolated; {how}")
    return found


def _conditions(spec: Spec, stage: str | None) -> list[Condition]:
    return [condition for mode in spec.measurable_at.get(stage, ()) for condition in mode.conditions]


def _thresholds(conditions: Iterable[Condition]) -> list[float]:
    ends = (
        end
        for each in conditions
        if each.threshold and not each.reference
        for end in (each.threshold.low, each.threshold.high)
    )
    return [end for end in ends if end is not None]


def _written(value: object, depth: int = 0) -> str:
    """Return JSON with objects over lines, and lists in one."""
    if not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    inner = "  " * (depth + 1)
    entries = (f"{inner}{json.dumps(name)}: {_written(entry, depth + 1)}" for name, entry in value.items())
    return "{\n" + ",\n".join(entries) + "\n" + "  " * depth + "}"

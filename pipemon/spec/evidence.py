"""How much must be seen before the value of a condition means anything."""

from __future__ import annotations

from dataclasses import replace

from pipemon.spec import thresholds
from pipemon.spec.arguments import Place
from pipemon.spec.fields import Report
from pipemon.spec.latency import bound_share
from pipemon.spec.model import Condition
from pipemon.spec.reader import Mapping, Node, Scalar, kind
from pipemon.spec.reads import Calibration
from pipemon.spec.signals import DRIFT, Signal

_MOST_CALLS = 1_000_000


def min_calls(report: Report, node: Node | None, signal: Signal, place: Place) -> int | None:
    """Return how many observations are asked for, if any; None leaves it to the threshold."""
    where = f"{place.name}: min_calls"
    if not signal.comparisons or not signal.by_calls:
        if node is not None:
            report.add(node, f"{where}: {signal.name} counts no calls; remove it", "comparison")
        return None
    if node is None:
        return None
    if isinstance(node, Scalar) and type(node.value) is int and 0 < node.value <= _MOST_CALLS:
        return node.value
    report.add(node, f"{where}: expected a whole number from 1 to {_MOST_CALLS:,}, found {kind(node)}", "type")
    return None


def believed(condition: Condition, signal: Signal, given: int | None, beside: Mapping, place: Place) -> Condition:
    """Return a condition with what must be seen before its value means anything: `given` calls, if that is written."""
    text, threshold = condition.argument, condition.threshold
    if place.spec.schedule is not None and place.stage is None and threshold is not None:
        # A batch job may be one run of the pipeline: one that is bad is all that there is.
        return replace(condition, min_count=given or 1)
    quantile = float(text[1:]) / 100 if signal.argument in ("quantile", "feature_quantile") else None
    if threshold is not None and threshold.reference is not None:
        least = thresholds.min_count(None, None, quantile, is_share=False)
        bad = thresholds.MIN_EVENTS if signal.unit == "ratio" and threshold.high is not None else 0
        return replace(condition, min_count=given or least, min_events=bad)
    if threshold is None or not signal.by_calls:
        return condition
    if isinstance(signal.reads, Calibration):
        return replace(condition, min_count=given or thresholds.calibration_count(threshold))
    if signal.name == DRIFT:
        # How many values it takes at least is the baseline's to say: the rules hold themselves to it.
        return replace(condition, min_count=given or 0)
    stage = place.stage.name if place.stage and place.stage in place.spec.stages else None
    known = place.stage is None or stage is not None
    over = bound_share(place.spec, stage, condition) if known else None
    is_share = signal.unit == "ratio" or over is not None
    if is_share and threshold.low is None and threshold.auto != "below":
        limit = over.allowed if over else threshold.high
        least = 0
        if thresholds.is_most(limit):
            least = thresholds.min_count(replace(threshold, high=limit), None, None, is_share=True)
        return replace(condition, min_count=given or least, min_events=thresholds.MIN_EVENTS)
    least = thresholds.min_count(threshold, thresholds.sd_steps(beside), quantile, is_share=is_share)
    return replace(condition, min_count=given or least)

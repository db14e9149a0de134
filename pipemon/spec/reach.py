"""Thresholds beyond a histogram's buckets, which no quantile would ever be seen to pass."""

from __future__ import annotations

from pipemon.spec.arguments import Place
from pipemon.spec.fields import Report
from pipemon.spec.model import Threshold
from pipemon.spec.reader import Node
from pipemon.spec.reads import Quantile
from pipemon.spec.signals import Signal
from pipemon.topology import FeatureShape
from pipemon.units import duration


def check_reach(
    report: Report, signal: Signal, threshold: Threshold, feature: FeatureShape | None, at: Node, place: Place
) -> None:
    """Refuse a quantile's threshold beyond the histogram's buckets: no quantile would ever be seen to pass it."""
    if not isinstance(signal.reads, Quantile) or (place.spec.reads_bounds and not signal.reads.bounds):
        return
    add = f'; add spec="{place.spec.pipeline}.bounds.json" to pipemon.Pipeline(...)'
    if signal.reads.bounds:
        bounds, add = signal.reads.bounds, ""
    elif feature is not None:
        bounds = feature.bounds
    else:
        bounds = place.spec.duration_bounds if place.stage is None else place.stage.duration_bounds
    if not bounds:
        return
    of = duration if feature is None else "{:g}".format
    high, low = threshold.high, threshold.low
    if high is not None and (high > bounds[-1] or (feature is not None and high == bounds[-1])):
        beyond = "above" if high > bounds[-1] else "at"
        message = f"{of(high)} is {beyond} the largest bucket ({of(bounds[-1])}) and could never fire{add}"
        report.add(at, f"{place.name}: {message}", "range")
    # Of the lowest bucket, nothing is known but its upper bound.
    elif low is not None and low <= bounds[0]:
        message = f"{of(low)} is not above the lowest bucket ({of(bounds[0])}) and could never fire{add}"
        report.add(at, f"{place.name}: {message}", "range")

"""Thresholds beyond a histogram's buckets, which no quantile would ever be seen to pass."""

from __future__ import annotations

from functools import partial

from pipemon.spec.arguments import Place
from pipemon.spec.fields import Report
from pipemon.spec.model import Threshold
from pipemon.spec.reader import Node
from pipemon.spec.reads import Quantile
from pipemon.spec.signals import Signal
from pipemon.topology import FeatureShape
from pipemon.units import duration, figure


def check_reach(
    report: Report, signal: Signal, threshold: Threshold, feature: FeatureShape | None, at: Node, place: Place
) -> None:
    """Refuse a quantile's threshold beyond the histogram's buckets: it would never be seen to be passed, or always."""
    if not isinstance(signal.reads, Quantile) or (place.spec.reads_bounds and not signal.reads.bounds):
        return
    add = f'; add spec="{place.spec.pipeline}.bounds.json" to pipemon.Pipeline(...)'
    if signal.reads.bounds:
        bounds, add = signal.reads.bounds, ""
    elif feature is not None:
        bounds = feature.bounds
    else:
        bounds = place.spec.duration_bounds if place.stage is None else place.stage.duration_bounds
        # What another service exports reads none of pipemon's files.
        add = "" if place.stage is not None and place.stage.series else add
    if not bounds:
        return
    of = duration if feature is None else partial(figure, digits=6)
    high, low, first, last = threshold.high, threshold.low, bounds[0], bounds[-1]
    message = ""
    if high is not None and (high > last or (feature is not None and high == last)):
        beyond = "above" if high > last else "at"
        message = f"{of(high)} is {beyond} the largest bucket ({of(last)}) and could never fire"
    # Of the lowest bucket, nothing is known but its upper bound.
    elif high is not None and high < first:
        message = f"{of(high)} is below the lowest bucket ({of(first)}) and would always fire"
    elif low is not None and low <= first:
        message = f"{of(low)} is not above the lowest bucket ({of(first)}) and could never fire"
    elif low is not None and low > last:
        message = f"{of(low)} is above the largest bucket ({of(last)}) and would always fire"
    if message:
        report.add(at, f"{place.name}: {message}{add}", "range")

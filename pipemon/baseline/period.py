"""Learns a baseline from a good period in Prometheus."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipemon import catalogue as c
from pipemon.errors import UnavailableError
from pipemon.generate.promql import Expr, Matcher, text
from pipemon.generate.queries import total
from pipemon.prometheus import Prometheus, Sample
from pipemon.spec.baseline import Baseline, FeatureBaseline, feature_key
from pipemon.spec.model import Spec

_BY = ("stage", "direction", "feature")


def learn(spec: Spec, prometheus: Prometheus, start: float, end: float) -> Baseline:
    """Return the mean and spread of every feature between two Unix times.

    Raises UnavailableError if Prometheus can't be asked, or has no values in that period.
    """
    window = end - start

    def ask(expr: Expr) -> list[Sample]:
        return prometheus.query(text(expr), time=end)

    def sums(sign: str) -> dict[str, float]:
        which = Matcher("sign", "=", sign)
        return _by_feature(ask(total(spec, c.FEATURE_SUM, _BY, window, which, function="increase")))

    positive, negative = sums("positive"), sums("negative")
    buckets = ask(total(spec, c.FEATURE_VALUE, (*_BY, "le"), window, function="increase", suffix="_bucket"))
    units = {
        feature_key(stage.name, feature.direction, feature.name): feature.unit
        for stage in spec.stages
        for feature in stage.features
    }
    found: dict[str, FeatureBaseline] = {}
    for name in sorted({_name(sample) for sample in buckets}):
        cumulative = sorted((float(s.labels["le"]), s.value) for s in buckets if _name(s) == name)
        count = cumulative[-1][1]
        if count > 0 and name in positive:
            mean = (positive[name] - negative.get(name, 0.0)) / count
            bounds = tuple(bound for bound, _ in cumulative if math.isfinite(bound))
            found[name] = FeatureBaseline(
                _rounded(mean), _rounded(spread(cumulative)), round(count), units.get(name, ""), bounds
            )
    if not found:
        raise UnavailableError(f"Prometheus has no values of {spec.pipeline}'s features in that period")
    return Baseline(spec.pipeline, round(start, 3), round(end, 3), found)


def spread(cumulative: Sequence[tuple[float, float]]) -> float:
    """Return the standard deviation of values known by a histogram: (upper bound, cumulative count), sorted.

    Values are taken as even within a bucket, so each adds its width squared over 12 (the variance of an
    even distribution) to the squared distance of its middle from the mean. The two open buckets are taken
    to be as wide as their neighbours. Returns 0 for a single bucket or no value.
    """
    bounds = [bound for bound, _ in cumulative if math.isfinite(bound)]
    total_count = cumulative[-1][1] if cumulative else 0.0
    if len(bounds) < 2 or total_count <= 0:
        return 0.0
    first, last = bounds[1] - bounds[0], bounds[-1] - bounds[-2]
    edges = [bounds[0] - first, *bounds, bounds[-1] + last]
    counts = [value for _, value in cumulative]
    shares = [(b - a) / total_count for a, b in zip([0.0, *counts], counts, strict=False)]
    parts = [(share, (low + high) / 2, high - low) for share, low, high in zip(shares, edges, edges[1:], strict=False)]
    mean = sum(share * middle for share, middle, _ in parts)
    return math.sqrt(sum(share * ((middle - mean) ** 2 + width**2 / 12) for share, middle, width in parts))


def _by_feature(samples: Sequence[Sample]) -> dict[str, float]:
    return {_name(sample): sample.value for sample in samples}


def _name(sample: Sample) -> str:
    return feature_key(*(sample.labels[label] for label in _BY))


def _rounded(value: float) -> float:
    return float(format(value, ".6g"))

"""Latency as PromQL: the share of calls over a bucket bound where the threshold is one, else a quantile."""

from __future__ import annotations

from pipemon.catalogue import Metric
from pipemon.generate.promql import Aggregate, Binary, Call, Matcher, one_of, select
from pipemon.generate.queries import duration, matchers, per, quantile, targets
from pipemon.generate.recordings import Measure, Part, Recording, Scope, own
from pipemon.spec.latency import bound_share, shared_bounds
from pipemon.spec.model import Condition, FailureMode
from pipemon.units import le


def latency(scope: Scope, mode: FailureMode, condition: Condition, calls: Recording) -> Measure:
    """Return how a latency is measured."""
    spec, by, place = scope.spec, scope.by, scope.place
    metric = duration(scope.stage)
    share = bound_share(spec, mode.stage, condition)
    if share is None:
        q = float(condition.argument.removeprefix("p")) / 100
        name = scope.name(metric.name, f"{condition.argument.replace('.', '_')}_rate")
        found = quantile(scope, metric, q)
        return Measure(Recording(name, found, by), place, calls, place, (Part(calls, place, "count"),))
    # One rule serves all failure modes of a level and a window.
    shared = shared_bounds(spec, mode.stage, scope.window)
    bounds = one_of("le", tuple(le(bound) for bound in shared))
    within = scope.counted(metric, bounds, more=("le",), suffix="_bucket")
    count = _with_bound(scope, metric, bounds)
    # Counted, not taken from 1: a share of exactly the threshold must not round to more.
    expr = per(Binary("-", count.series(*own(spec)), within.series()), count.series())
    name = scope.name(metric.name, "over_ratio_increase", "le")
    which = (*place, Matcher("le", "=", le(share.bound)))
    parts = (Part(within, which, "rest"), Part(count, which, "count"))
    return Measure(Recording(name, expr, within.labels, (within, count)), which, count, which, parts)


def _with_bound(scope: Scope, metric: Metric, bounds: Matcher) -> Recording:
    """Return the rule that counts the calls of those series that have a bound.

    While versions with other bounds roll out, calls that were never sorted by this one are not slow.
    """
    spec, by, window = scope.spec, (*scope.by, "le"), scope.window
    which = matchers(spec, metric)
    bucket = select(metric, (*which, bounds), suffix="_bucket", window=window, target_labels=targets(spec))
    # The buckets pick the series; this only keeps Prometheus from reading every pipeline's.
    count = select(metric, which[:1], suffix="_count", window=window, target_labels=targets(spec))
    none = Binary("*", Call("increase", (bucket,)), 0.0)
    counts = Binary("+", none, Call("increase", (count,)), group_left=True, ignoring=("le",))
    return Recording(scope.name(f"{metric.name}_count", "increase", "le"), Aggregate("sum", by, counts), by)

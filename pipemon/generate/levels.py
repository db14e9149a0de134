"""Values that are no share of calls: how much is going on, or how old the model is."""

from __future__ import annotations

from dataclasses import replace

from pipemon import catalogue as c
from pipemon.catalogue import Metric
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Recorded, select
from pipemon.generate.queries import live, matchers, per, targets, total
from pipemon.generate.recordings import Measure, Recording, Scope, own
from pipemon.spec import reads as r
from pipemon.spec.model import Spec


def rate(scope: Scope, counter: Metric) -> Measure:
    """Return a counter's rise per second. It is compared with the past only where it rose then, from its begin on."""
    name = scope.name(counter.name.removesuffix("_total"), "rate")
    rise: Expr = total(scope, counter)
    if not scope.offset:
        return Measure(Recording(name, rise, scope.by), scope.place, None, ())
    # Of a past that began within the window there is less than there was: nothing is above a multiple of that.
    begin, own_labels = scope.offset + scope.window, targets(scope.spec)
    then = select(counter, matchers(scope.spec, counter, scope.track), offset=begin, target_labels=own_labels)
    rise = Binary("and", rise, Aggregate("count", scope.by, then))
    return Measure(Recording(name, rise, scope.by), scope.place, scope.counted(counter), scope.place)


def items(scope: Scope, reads: r.Counted) -> Measure:
    """Return how many a batch pipeline's last run counted. It is compared with the past only where that had some."""
    counted = scope.counted(counter_of(scope.spec, scope.stage, reads))
    before = counted if scope.offset else None
    return Measure(counted, scope.place, before, scope.place if before else ())


def counter_of(spec: Spec, stage: str | None, reads: r.Counted) -> Metric:
    """Return what counts the items of a stage: of one that is not decorated, its calls."""
    return reads.undecorated if stage is not None and spec.stage(stage).series else reads.counter


def gauge(scope: Scope, metric: Metric) -> Measure:
    """Return what a gauge sums to over all replicas, on average over the window."""
    spec, by = scope.spec, scope.by
    series = select(metric, matchers(spec, metric), target_labels=targets(spec))
    now = Recording(f"{'_'.join(by)}:{metric.name}:sum", Aggregate("sum", by, series), by)
    # Of the sum, since a replica that has gone would weigh on a mean of its own for a window.
    mean = Call("avg_over_time", (Recorded(now.name, by, own(spec), scope.window),))
    return Measure(Recording(scope.name(metric.name, "avg"), mean, by, (now,)), scope.place, None, ())


def largest(scope: Scope, metric: Metric, exported: Metric) -> Measure:
    """Return the largest of a gauge of processes, of those that export `exported`, on average over the window."""
    spec, by = scope.spec, scope.by
    exports = select(exported, matchers(spec, exported), target_labels=targets(spec))
    here = Aggregate("group", (*by, *c.TARGET_LABELS), exports)
    # By itself it has neither pipeline nor stage: a process may have many.
    target, selected = (*spec.keep, *c.TARGET_LABELS), own(spec)[1:]
    process = select(metric, selected, window=scope.window, target_labels=targets(spec))
    theirs = Aggregate("max", target, Call("avg_over_time", (process,)))
    joined = Binary("*", here, theirs, on=target, group_left=True)
    name = scope.name(metric.name, "max_avg")
    return Measure(Recording(name, Aggregate("max", by, joined), by), scope.place, None, ())


def busy(scope: Scope, reads: r.Busy) -> Measure:
    """Return the time spent in calls, as a share of the time that the workers had."""
    spec, by, window = scope.spec, scope.by, scope.window
    spent = scope.spent(reads.durations)
    # Of the window, as what they were busy with is: replicas that have gone were there to do it.
    workers = Call("avg_over_time", (select(reads.workers, live(spec), window=window),))
    expr = per(spent.series(*own(spec)), Aggregate("sum", by, workers))
    name = scope.name(f"{reads.durations.name}_sum_per_workers", "ratio_rate")
    return Measure(Recording(name, expr, by, (spent,)), scope.place, None, ())


def age(scope: Scope, timestamp: Metric) -> Measure:
    """Return how long ago a time was, of the oldest version that is still called."""
    spec, by = scope.spec, scope.by
    trained = select(timestamp, matchers(spec, timestamp), target_labels=targets(spec))
    version = (*by, "version")
    # A version that nobody calls any more may be as old as it likes; a call now and then is enough.
    lately = max(scope.window, spec.timing.long_window)
    called = Aggregate("sum", version, Call("increase", (select(c.STAGE_CALLS, live(spec), window=lately),)))
    old = Binary("and", Binary("-", Call("time", ()), trained), Binary(">", called, 0.0), on=version)
    name = replace(scope, window=lately).name("pipemon_stage_model_age_seconds", "max_of_versions_called_increase")
    return Measure(Recording(name, Aggregate("max", by, old), by), scope.place, None, ())

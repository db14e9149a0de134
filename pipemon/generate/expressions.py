"""The expression of an alert: each condition on its recorded series, with enough traffic, combined."""

from __future__ import annotations

from functools import reduce

from pipemon import catalogue as c
from pipemon.generate.measures import Measure, key, matchers, measure
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, Raw, Recorded, select
from pipemon.spec.latency import bound_share
from pipemon.spec.model import Condition, FailureMode, Spec, Threshold


def alert_expr(spec: Spec, mode: FailureMode) -> Expr:
    """Return the expression that holds while the failure mode does; its series have the labels of `key`."""
    return reduce(
        lambda left, right: Binary("and" if mode.combine == "all" else "or", left, right),
        (condition_expr(spec, mode, condition) for condition in mode.conditions),
    )


def condition_expr(spec: Spec, mode: FailureMode, condition: Condition) -> Expr:
    """Return one condition: its comparison, and the low-traffic guard where it has one."""
    found = measure(spec, mode, condition)
    if found is None:
        return Raw(condition.argument)
    if condition.signal == "no_calls":
        # Both sides hold where a silent process can't be scraped either: one alert then, not two alike.
        return Binary("or", Binary("==", narrowed(spec, mode, found), 0.0), _absence(spec, mode), on=())
    threshold = limits(spec, mode, condition)
    value = narrowed(spec, mode, found)
    sides: list[Expr] = []
    if threshold.low is not None:
        sides.append(Binary("<", value, threshold.low))
    if threshold.high is not None:
        sides.append(Binary(">", value, threshold.high))
    compared = reduce(lambda left, right: Binary("or", left, right), sides)
    return compared if found.count is None else Binary("and", compared, _guard(spec, mode, found, condition))


def limits(spec: Spec, mode: FailureMode, condition: Condition) -> Threshold:
    """Return the threshold of what is compared: for a latency over a bound, the share that its quantile leaves."""
    assert condition.threshold is not None
    share = bound_share(spec, mode.stage, condition)
    return condition.threshold if share is None else Threshold(None, share.allowed, condition.threshold.words)


def narrowed(spec: Spec, mode: FailureMode, found: Measure) -> Expr:
    """Return a measure's one series with the labels of the alert and no more."""
    return _labelled(key(spec, mode.stage), found.value.series(*found.matchers))


def _guard(spec: Spec, mode: FailureMode, found: Measure, condition: Condition) -> Expr:
    assert found.count is not None
    by = key(spec, mode.stage)
    # `and` matches pipeline and stage by itself; only what it can't see is said.
    needed = tuple(matcher for matcher in found.count_matchers if matcher.label not in by)
    return Binary(">=", _labelled(by, found.count.series(*needed)), float(condition.min_count))


def _labelled(by: tuple[str, ...], series: Recorded) -> Expr:
    return series if series.labels == by else Aggregate("max", by, series)


def _absence(spec: Spec, mode: FailureMode) -> Expr:
    """Return what tells that a process is gone: no target up, or no series of its own."""
    if spec.targets:
        labels = tuple(Matcher(label, "=", value) for label, value in spec.targets)
        names = tuple(label for label, _ in spec.targets)
        up = select(c.UP, labels, target_labels=names)
        return Call("absent", (Binary("==", up, 1.0),))
    metric = c.PIPELINE_RUNS if mode.stage is None else c.STAGE_CALLS
    stage = () if mode.stage is None else (Matcher("stage", "=", mode.stage),)
    own = select(metric, (*matchers(spec, metric), *stage), target_labels=tuple(k for k, _ in spec.select))
    return Call("absent", (own,))

"""The expression of an alert: each condition on its recorded series, with enough traffic, combined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import reduce

from pipemon import catalogue as c
from pipemon.generate.last_run import never_succeeded, overdue
from pipemon.generate.measures import measure
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, Raw, Recorded, Selector, select
from pipemon.generate.queries import calls_total, key, matchers
from pipemon.generate.recordings import Measure, Recording
from pipemon.spec import reads as r
from pipemon.spec.expression import may_keep
from pipemon.spec.latency import bound_share
from pipemon.spec.model import ALL, Condition, FailureMode, Spec, Threshold
from pipemon.spec.signals import SIGNALS


def alert_expr(spec: Spec, mode: FailureMode) -> Expr:
    """Return the expression that holds while the failure mode does.

    Its series have the labels of `key`, but where `keeps_own_labels`.
    """
    # Rules and runbooks have the same.
    return spec.derived(("alert", mode), lambda spec: _alert_expr(spec, mode))


def _alert_expr(spec: Spec, mode: FailureMode) -> Expr:
    if len(mode.conditions) == 1 and mode.conditions[0].signal == "promql":
        return _alone(mode.conditions[0].argument)
    exprs = [condition_expr(spec, mode, condition) for condition in mode.conditions]
    if mode.combine == "any":
        # Every branch has the same labels, so that two that hold at once are one alert.
        return reduce(lambda a, b: Binary("or", a, b), (_as_any(spec, mode, expr) for expr in exprs))
    # What a person wrote has labels of its own: it is joined by none.
    exprs.sort(key=lambda expr: isinstance(expr, Raw))
    if isinstance(exprs[0], Raw):
        exprs[0] = _alone(exprs[0].text)
    return reduce(lambda a, b: Binary("and", a, b, on=() if isinstance(b, Raw) else None), exprs)


def keeps_own_labels(mode: FailureMode) -> bool:
    """Tell whether an alert's series have the labels that a person's expression gives them, and no others."""
    return mode.signals == {"promql"} and (len(mode.conditions) == 1 or mode.combine == "all")


def _alone(written: str) -> Expr:
    """Return a person's expression, without labels that the alert's own would make alike."""
    raw = Raw(written)
    return (
        Aggregate("max", ("pipeline", "stage"), raw, without=True) if may_keep(written, ("pipeline", "stage")) else raw
    )


def _as_any(spec: Spec, mode: FailureMode, expr: Expr) -> Expr:
    if not isinstance(expr, Raw):
        return expr
    return _placed(spec, mode, Aggregate("max", spec.told_apart_by, expr))


def _placed(spec: Spec, mode: FailureMode, expr: Expr) -> Expr:
    """Return an expression with the labels that say where, which it lost or never had."""
    stage = {"stage": mode.stage} if mode.stage is not None else {}
    for label, value in {"pipeline": spec.pipeline, **stage, **dict(spec.select)}.items():
        expr = Call("label_replace", (expr, label, value.replace("$", "$$"), "", ""))
    return expr


def condition_expr(spec: Spec, mode: FailureMode, condition: Condition) -> Expr:
    """Return one condition: its comparison, and the low-traffic guard where it has one."""
    found = measure(spec, mode, condition)
    if found is None:
        return Raw(condition.argument)
    if condition.signal == "no_calls":
        return _no_calls(spec, mode, found) if spec.schedule is None else _no_run(spec, mode, found)
    if condition.burns:
        return _burning(spec, mode, condition, found)
    threshold = limits(spec, mode, condition)
    value = narrowed(spec, mode, found)
    sides = [
        _compared(spec, mode, condition, found, value, op, end)
        for op, end in (("<", threshold.low), (">", threshold.high))
        if end is not None
    ]
    if is_low_until_full(spec, condition):
        sides[0] = Binary("and", sides[0], _was_there(spec, mode))
    compared = reduce(lambda left, right: Binary("or", left, right), sides)
    expr = reduce(lambda left, right: Binary("and", left, right), (compared, *guards(spec, mode, found, condition)))
    if found.reference is None or found.reference.count is None:
        return expr
    place = key(spec, mode.stage)
    counted = _labelled(place, found.reference.count.series(*found.reference.count_matchers))
    on = None if identity(spec, mode, found) == place else place
    return Binary("and", expr, Binary(">=", counted, float(condition.min_count)), on=on)


def is_low_until_full(spec: Spec, condition: Condition) -> bool:
    """Tell whether a value is told that is low after a start for as long as the window: calls per second."""
    low = condition.threshold is not None and condition.threshold.low is not None
    return low and spec.schedule is None and isinstance(SIGNALS[condition.signal].reads, r.Rate)


def _was_there(spec: Spec, mode: FailureMode) -> Expr:
    """Return the places whose calls were counted a window ago, so that the window is full."""
    metric = calls_total(mode.stage)
    stage = () if mode.stage is None else (Matcher("stage", "=", mode.stage),)
    selected = tuple(label for label, _ in spec.select)
    then = select(metric, (*matchers(spec, metric), *stage), offset=mode.window, target_labels=selected)
    return Aggregate("group", key(spec, mode.stage), then)


def _burning(spec: Spec, mode: FailureMode, condition: Condition, found: Measure) -> Expr:
    """Return whether the budget burns too fast over a long window, and over a short one still does.

    The bad events of the long one must be enough to mean something; the short one lets the alert resolve soon.
    """
    assert spec.objective is not None
    windows, sides = (found, *found.beside), []
    for index, burn in enumerate(condition.burns):
        long, short = windows[2 * index], windows[2 * index + 1]
        limit = round(burn.factor * (1 - spec.objective.target), 12)
        both = (Binary(">", narrowed(spec, mode, each), limit) for each in (long, short))
        sides.append(reduce(lambda a, b: Binary("and", a, b), (*both, *guards(spec, mode, long, condition))))
    return reduce(lambda a, b: Binary("or", a, b), sides)


def _compared(
    spec: Spec, mode: FailureMode, condition: Condition, found: Measure, value: Expr, op: str, end: float
) -> Expr:
    """Return a comparison with a number, or with what the measure refers to."""
    if found.reference is None:
        return Binary(op, value, end)
    by, limit = key(spec, mode.stage), moving_limit(spec, mode, condition, found.reference, end)
    if identity(spec, mode, found) == by:
        return Binary(op, value, limit)
    return Binary(op, value, limit, on=by, group_left=True)


def moving_limit(spec: Spec, mode: FailureMode, condition: Condition, reference: Measure, end: float) -> Expr:
    """Return an end of what is good as of what a measure refers to: a multiple of it, or so far from it.

    A multiple of bad events takes them to have been as many as must be seen now: of none, any are a multiple.
    """
    then = narrowed(spec, mode, reference)
    if condition.threshold is not None and condition.threshold.adds:
        return Binary("-", then, -end) if end < 0 else Binary("+", then, end)
    multiple = Binary("*", end, then)
    if not counts_as_some(condition) or reference.count is None:
        return multiple
    calls = _labelled(key(spec, mode.stage), reference.count.series(*reference.count_matchers))
    least = Binary("/", end * condition.min_events, calls)
    return Binary("or", Binary(">", multiple, least), least)


def counts_as_some(condition: Condition) -> bool:
    """Tell whether what a condition is a multiple of is taken to rest on as many bad events as its value must."""
    # All slices have at least the bad events of each.
    return bool(condition.min_events) and condition.reference not in (None, ALL)


def identity(spec: Spec, mode: FailureMode, found: Measure) -> tuple[str, ...]:
    """Return the labels of an alert: those that say where, and a canary's version."""
    version = ("version",) if "version" in found.value.labels else ()
    return (*key(spec, mode.stage), *version)


def limits(spec: Spec, mode: FailureMode, condition: Condition) -> Threshold:
    """Return the threshold of what is compared: for a latency over a bound, the share that its quantile leaves."""
    assert condition.threshold is not None
    share = bound_share(spec, mode.stage, condition)
    return condition.threshold if share is None else Threshold(None, share.allowed, condition.threshold.words)


def narrowed(spec: Spec, mode: FailureMode, found: Measure) -> Expr:
    """Return a measure's one series with the labels of the alert and no more."""
    return _labelled(identity(spec, mode, found), found.value.series(*found.matchers))


def guards(spec: Spec, mode: FailureMode, found: Measure, condition: Condition) -> Iterator[Expr]:
    """Yield what must be seen before a condition's value means anything: bad events, observations, or both."""
    by = identity(spec, mode, found)

    def series(recording: Recording, matchers: tuple[Matcher, ...]) -> Recorded:
        # `and` matches pipeline and stage by itself; only what it can't see is said.
        return recording.series(*(matcher for matcher in matchers if matcher.label not in by))

    if condition.min_events:
        part = found.parts[0]
        events: Expr = _labelled(by, series(part.recording, part.matchers))
        if part.of == "rest":
            assert found.count is not None
            slow = Binary("-", series(found.count, found.count_matchers), part.recording.series())
            events = Aggregate("max", by, slow)
        yield Binary(">=", events, float(condition.min_events))
    if condition.min_count and found.count is not None:
        yield Binary(">=", _labelled(by, series(found.count, found.count_matchers)), float(condition.min_count))


def _labelled(by: tuple[str, ...], series: Recorded) -> Expr:
    return series if series.labels == by else Aggregate("max", by, series)


def _no_run(spec: Spec, mode: FailureMode, found: Measure) -> Expr:
    """Return what tells that runs do not end well in time, or that the last one did not call a stage."""
    late = Binary("or", overdue(spec), never_succeeded(spec), on=())
    if mode.stage is None:
        return late
    # Each with the stage, so that two that hold at once are one alert.
    late = Binary("or", _placed(spec, mode, overdue(spec)), _placed(spec, mode, never_succeeded(spec)), on=())
    return Binary("or", Binary("==", narrowed(spec, mode, found), 0.0), late)


def _no_calls_by_link(spec: Spec, mode: FailureMode, found: Measure) -> Expr:
    """Return what tells silence of devices whose link comes and goes: the pipeline's own series are the heartbeat.

    No calls are silence where the device is heard, and was a window ago. Not heard is silence where that lasts
    for longer than a cut may.
    """
    calls, whole = found.value.series(*found.matchers), key(spec, None)
    metric, selected = calls_total(mode.stage), tuple(label for label, _ in spec.select)
    beat = select(metric, matchers(spec, metric), target_labels=selected)
    lately = replace(beat, window=spec.link)
    silent: Expr = Binary("==", calls, 0.0)
    for heard in (beat, replace(beat, offset=mode.window)):
        silent = Binary("and", silent, Aggregate("group", whole, heard), on=whole)
    if spec.told_apart_by:
        known = Call("max_over_time", (replace(calls, window=spec.link + spec.timing.long_window),))
        # One stage may be gone while others of the device are heard.
        here = key(spec, mode.stage)
        away = Binary("unless", known, Aggregate("group", here, Call("present_over_time", (lately,))), on=here)
        silent = Binary("or", silent, Binary("*", 0.0, away))
    if spec.targets and not (mode.stage is not None and spec.stage(mode.stage).series):
        up = replace(_up(spec), window=spec.link)
        gone = Call("absent", (Binary("==", Call("max_over_time", (up,)), 1.0),))
        silent = Binary("or", silent, _placed(spec, mode, gone), on=())
    stage = () if mode.stage is None else (Matcher("stage", "=", mode.stage),)
    own = select(metric, (*matchers(spec, metric), *stage), window=spec.link, target_labels=selected)
    return Binary("or", silent, Call("absent_over_time", (own,)), on=())


def _up(spec: Spec, *more: Matcher) -> Selector:
    """Return what Prometheus says of the pipeline's targets."""
    labels = (*(Matcher(label, "=", value) for label, value in spec.targets), *more)
    return select(c.UP, labels, target_labels=tuple(matcher.label for matcher in labels))


def _no_target_there(spec: Spec, mode: FailureMode) -> Expr:
    """Return the places that have targets, of which none answers: silence for as long as Prometheus knows them."""
    chosen = (Matcher(label, "=", value) for label, value in spec.select if label not in dict(spec.targets))
    # Where `up` has no such labels, it tells of no place.
    up = _up(spec, *chosen, *(Matcher(label, "!=", "") for label in spec.told_apart_by))
    place = spec.told_apart_by
    down = Binary("unless", Aggregate("group", place, up), Aggregate("group", place, Binary("==", up, 1.0)))
    return _placed(spec, mode, Binary("*", 0.0, down))


def _no_calls(spec: Spec, mode: FailureMode, found: Measure) -> Expr:
    """Return what tells silence: no calls, a place that was there an hour ago or has no target that answers, no
    target at all, or no series.

    The last two know no place: they count where nothing else tells already, so that one alert is left.
    """
    if spec.link:
        return _no_calls_by_link(spec, mode, found)
    calls = found.value.series(*found.matchers)
    silent: Expr = Binary("==", calls, 0.0)
    if spec.told_apart_by:
        # absent() can't tell which cluster is gone while another lives.
        lately = Call("max_over_time", (replace(calls, window=spec.timing.long_window),))
        silent = Binary("or", silent, Binary("*", 0.0, Binary("unless", lately, found.value.series())))
    # Who exports series of its own is another target.
    if spec.targets and not (mode.stage is not None and spec.stage(mode.stage).series):
        if spec.told_apart_by:
            silent = Binary("or", silent, _no_target_there(spec, mode))
        gone = _placed(spec, mode, Call("absent", (Binary("==", _up(spec), 1.0),)))
        silent = Binary("or", silent, gone, on=())
    metric = calls_total(mode.stage)
    stage = () if mode.stage is None else (Matcher("stage", "=", mode.stage),)
    own = select(metric, (*matchers(spec, metric), *stage), target_labels=tuple(k for k, _ in spec.select))
    return Binary("or", silent, Call("absent", (own,)), on=())

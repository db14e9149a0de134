"""Each signal as PromQL: the value, the traffic behind it, and the recording rules that both are read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipemon import catalogue as c
from pipemon.catalogue import Metric
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, Recorded, Window, one_of, select, span
from pipemon.spec.latency import bound_share
from pipemon.spec.model import Condition, FailureMode, Spec
from pipemon.units import le


@dataclass(frozen=True)
class Recording:
    """A recording rule; `labels` are those of the series that it makes, `parts` the rules that it reads."""

    name: str
    expr: Expr
    labels: tuple[str, ...]
    parts: tuple[Recording, ...] = ()

    def series(self, *matchers: Matcher) -> Recorded:
        """Return the recorded series that `matchers` pick."""
        return Recorded(self.name, self.labels, matchers)


@dataclass(frozen=True)
class Part:
    """A count that a value is made of: `of` says which, as a share of the observations behind it.

    `value`: value x count; `rest`: (1 - value) x count; `count`: the observations themselves; `calls`: these
    and the calls that were skipped.
    """

    recording: Recording
    matchers: tuple[Matcher, ...]
    of: Literal["value", "rest", "count", "calls"]


@dataclass(frozen=True)
class Measure:
    """A condition's value and the count of what it was measured on, with the matchers of its one series."""

    value: Recording
    matchers: tuple[Matcher, ...]
    count: Recording | None
    count_matchers: tuple[Matcher, ...]
    parts: tuple[Part, ...] = ()


def key(spec: Spec, stage: str | None) -> tuple[str, ...]:
    """Return the labels of every alert and panel query: the kept ones, `pipeline` and, within one, `stage`."""
    return (*spec.keep, "pipeline") if stage is None else (*spec.keep, "pipeline", "stage")


def matchers(spec: Spec, metric: Metric) -> tuple[Matcher, ...]:
    """Return what goes into every selector of `metric`: the pipeline, the selection, and no shadow calls."""
    track = (Matcher("track", "!=", "shadow"),) if "track" in metric.labels else ()
    return (Matcher("pipeline", "=", spec.pipeline), *track, *(Matcher(k, "=", v) for k, v in spec.select))


def _live(spec: Spec) -> tuple[Matcher, ...]:
    """The matchers of what is joined to a selection: what is selected there finds no other partner here."""
    return matchers(spec, c.STAGE_CALLS)[:2]


def total(
    spec: Spec,
    metric: Metric,
    by: tuple[str, ...],
    window: Window,
    *more: Matcher,
    function: str = "rate",
    suffix: str = "",
) -> Aggregate:
    """Return `sum by (by) (rate(metric[window]))` over all replicas, versions and live tracks."""
    targets = tuple(k for k, _ in spec.select)
    series = select(metric, (*matchers(spec, metric), *more), suffix=suffix, window=window, target_labels=targets)
    return Aggregate("sum", by, Call(function, (series,)))


def per(above: Expr, below: Expr, on: tuple[str, ...] | None = None) -> Binary:
    """Return `above / below` where there is traffic: no series, rather than NaN or Inf, where there is none."""
    return Binary("/", above, Binary(">", below, 0.0), on, group_left=on is not None)


def _not_skipped(spec: Spec, by: tuple[str, ...], window: Window, function: str, *more: Matcher) -> Expr:
    """Return the calls that a stage did not decline.

    They are what shares are of: a declined call can neither fail nor return nothing, so a stage that skips
    nine in ten and fails the tenth fails always. An exporter that counts no skips has none.
    """
    calls = total(spec, c.STAGE_CALLS, by, window, *more, function=function)
    skipped = select(c.STAGE_SKIPPED, (*_live(spec), *more), window=window)
    ran = Binary("-", calls, Aggregate("sum", by, Call(function, (skipped,))))
    return Binary("or", ran, calls)


def unaccounted(spec: Spec, by: tuple[str, ...], window: Window, function: str, *more: Matcher) -> Expr:
    """Return how many items came in and did not come out in any way, or came out and never in.

    Each is counted when its call ends, so that none in flight is taken for lost.
    """
    left: Expr = total(spec, c.STAGE_ITEMS_IN, by, window, *more, function=function)
    for way in (c.STAGE_ITEMS_OUT, c.STAGE_ITEMS_NULL, c.STAGE_ITEMS_FAILED, c.STAGE_ITEMS_DROPPED):
        series = select(way, (*_live(spec), *more), window=window)
        left = Binary("-", left, Aggregate("sum", by, Call(function, (series,))))
    return Call("abs", (left,))


def failures_ratio(spec: Spec, by: tuple[str, ...], window: Window, *more: Matcher) -> Expr:
    """Return the share of calls, or of runs where `by` has no stage, that raised."""
    if "stage" in by:
        return per(total(spec, c.STAGE_FAILURES, by, window, *more), _not_skipped(spec, by, window, "rate", *more))
    return per(total(spec, c.PIPELINE_FAILURES, by, window), total(spec, c.PIPELINE_RUNS, by, window))


def nulls_ratio(spec: Spec, by: tuple[str, ...], window: Window, *more: Matcher) -> Expr:
    """Return the share of calls that returned nothing usable."""
    return per(total(spec, c.STAGE_NULL_OUTPUTS, by, window, *more), _not_skipped(spec, by, window, "rate", *more))


def missing_ratio(spec: Spec, by: tuple[str, ...], window: Window, *more: Matcher) -> Expr:
    """Return the share of looks at a feature that found nothing; `by` has `direction` and `feature`."""
    return per(total(spec, c.FEATURE_MISSING, by, window, *more), total(spec, c.FEATURE_OBSERVED, by, window, *more))


def feature_mean(spec: Spec, by: tuple[str, ...], window: Window, *more: Matcher) -> Expr:
    """Return a feature's mean. Signed sums are two counters, since a falling sum would read as a reset."""
    positive = total(spec, c.FEATURE_SUM, by, window, *more, Matcher("sign", "=", "positive"))
    negative = total(spec, c.FEATURE_SUM, by, window, *more, Matcher("sign", "=", "negative"))
    count = total(spec, c.FEATURE_VALUE, by, window, *more, suffix="_count")
    return per(Binary("-", positive, negative), count)


def feedback_ratio(spec: Spec, by: tuple[str, ...], window: Window, *more: Matcher) -> Expr:
    """Return feedback per call, by signal: the signal label is kept beside `by`."""
    signals = total(spec, c.FEEDBACK, (*by, "signal"), window, *more)
    return per(signals, _not_skipped(spec, by, window, "rate"), on=by)


def duration(stage: str | None) -> Metric:
    """Return the duration histogram of a stage, or of the pipeline where `stage` is None."""
    return c.PIPELINE_DURATION if stage is None else c.STAGE_DURATION


def quantile(spec: Spec, metric: Metric, by: tuple[str, ...], window: Window, q: float, *more: Matcher) -> Expr:
    """Return an interpolated quantile of a duration histogram, in seconds."""
    return Call("histogram_quantile", (q, total(spec, metric, (*by, "le"), window, *more, suffix="_bucket")))


def _counted(
    spec: Spec, by: tuple[str, ...], metric: Metric, window: float, *more: Matcher, suffix: str = ""
) -> Recording:
    """Return the rule that counts a metric's events over a window: what ratios and guards are made of."""
    name = f"{'_'.join(by)}:{metric.name.removesuffix('_total')}{suffix}:increase{span(window)}"
    return Recording(name, total(spec, metric, by, window, *more, function="increase", suffix=suffix), by)


def calls_total(stage: str | None) -> Metric:
    """Return the counter of a stage's calls, or of the pipeline's runs where `stage` is None."""
    return c.PIPELINE_RUNS if stage is None else c.STAGE_CALLS


def ran_increase(spec: Spec, stage: str | None, window: float) -> Recording:
    """Return the rule that counts what shares are of: calls that were not skipped, or runs."""
    if stage is None:
        return calls_increase(spec, stage, window)
    by = key(spec, stage)
    name = f"{'_'.join(by)}:pipemon_stage_calls_not_skipped:increase{span(window)}"
    return Recording(name, _not_skipped(spec, by, window, "increase"), by)


def calls_increase(spec: Spec, stage: str | None, window: float) -> Recording:
    """Return the rule that counts calls, or runs, over a window (in seconds)."""
    return _counted(spec, key(spec, stage), calls_total(stage), window)


def _sums(spec: Spec, by: tuple[str, ...], window: float) -> Recording:
    targets = tuple(k for k, _ in spec.select)
    own = matchers(spec, c.FEATURE_SUM)

    def signed(sign: str, which: tuple[Matcher, ...]) -> Expr:
        series = select(c.FEATURE_SUM, (*which, Matcher("sign", "=", sign)), window=window, target_labels=targets)
        return Aggregate("sum", by, Call("increase", (series,)))

    # What is selected on the left is all that finds a partner on the right.
    unselected = tuple(matcher for matcher in own if matcher.label not in dict(spec.select))
    name = f"{'_'.join(by)}:pipemon_feature_sum:increase{span(window)}"
    return Recording(name, Binary("-", signed("positive", own), signed("negative", unselected)), by)


def here(spec: Spec, stage: str | None) -> tuple[Matcher, ...]:
    """Return the matchers of a recorded series of a stage, or of the pipeline where `stage` is None."""
    place = () if stage is None else (Matcher("stage", "=", stage),)
    return (*_own(spec), *place)


def _own(spec: Spec) -> tuple[Matcher, ...]:
    selected = tuple(Matcher(label, "=", value) for label, value in spec.select)
    return (Matcher("pipeline", "=", spec.pipeline), *selected)


def measure(spec: Spec, mode: FailureMode, condition: Condition) -> Measure | None:
    """Return how a condition is measured, or None for `promql`, which says it itself."""
    by, window, place = key(spec, mode.stage), mode.window, here(spec, mode.stage)
    calls = ran_increase(spec, mode.stage, window)

    def share(name: str, above: Recording, which: tuple[Matcher, ...], below: Recording = calls) -> Measure:
        on = None if above.labels == below.labels else below.labels
        expr = per(above.series(*_own(spec)), below.series(), on)
        value = Recording(f"{'_'.join(above.labels)}:{name}{span(window)}", expr, above.labels, (above, below))
        counted = which if on is None else place
        return Measure(value, which, below, counted, (Part(above, which, "value"), Part(below, counted, "count")))

    match condition.signal:
        case "no_calls":
            # A stage that declines its calls is being called.
            every = calls_increase(spec, mode.stage, window)
            return Measure(every, place, None, (), (Part(every, place, "calls"),))
        case "error_ratio" if mode.stage is None:
            failures = _counted(spec, by, c.PIPELINE_FAILURES, window)
            return share("pipemon_pipeline_failures_per_runs:ratio_increase", failures, place)
        case "error_ratio":
            failures = _counted(spec, by, c.STAGE_FAILURES, window)
            return share("pipemon_stage_failures_per_calls:ratio_increase", failures, place)
        case "null_ratio":
            nulls = _counted(spec, by, c.STAGE_NULL_OUTPUTS, window)
            return share("pipemon_stage_null_outputs_per_calls:ratio_increase", nulls, place)
        case "feedback":
            signals = _counted(spec, (*by, "signal"), c.FEEDBACK, window)
            which = (*place, Matcher("signal", "=", condition.argument))
            return share("pipemon_feedback_per_stage_calls:ratio_increase", signals, which)
        case "mean" | "missing_ratio":
            assert condition.feature is not None
            feature = condition.feature
            which = (*place, Matcher("direction", "=", feature.direction), Matcher("feature", "=", feature.name))
            labels = (*by, "direction", "feature")
            if condition.signal == "mean":
                count = _counted(spec, labels, c.FEATURE_VALUE, window, suffix="_count")
                return share("pipemon_feature_value:mean_increase", _sums(spec, labels, window), which, count)
            missing, observed = (_counted(spec, labels, m, window) for m in (c.FEATURE_MISSING, c.FEATURE_OBSERVED))
            return share("pipemon_feature_missing_per_observed:ratio_increase", missing, which, observed)
        case "unaccounted_ratio":
            items = _counted(spec, by, c.STAGE_ITEMS_IN, window)
            name = f"{'_'.join(by)}:pipemon_stage_items_unaccounted:increase{span(window)}"
            lost = Recording(name, unaccounted(spec, by, window, "increase"), by)
            return share("pipemon_stage_items_unaccounted_per_items_in:ratio_increase", lost, place, items)
        case "latency":
            return _latency(spec, mode, condition, calls)
        case "throughput" | "in_progress" | "load" | "cpu" | "age":
            return Measure(_level(spec, mode, condition.signal), place, None, ())
        case _:
            return None


def _level(spec: Spec, mode: FailureMode, signal: str) -> Recording:
    """Return the rule of a value that is no share of calls: how much is going on, or how old the model is."""
    by, window = key(spec, mode.stage), mode.window
    level, targets = "_".join(by), tuple(k for k, _ in spec.select)
    match signal:
        case "throughput":
            metric = calls_total(mode.stage)
            name = f"{metric.name.removesuffix('_total')}:rate{span(window)}"
            return Recording(f"{level}:{name}", total(spec, metric, by, window), by)
        case "in_progress":
            metric = c.PIPELINE_IN_PROGRESS if mode.stage is None else c.STAGE_IN_PROGRESS
            series = select(metric, matchers(spec, metric), target_labels=targets)
            now = Recording(f"{level}:{metric.name}:sum", Aggregate("sum", by, series), by)
            # Of the sum, since a replica that has gone would weigh on a mean of its own for a window.
            mean = Call("avg_over_time", (Recorded(now.name, by, _own(spec), window),))
            return Recording(f"{level}:{metric.name}:avg{span(window)}", mean, by, (now,))
        case "load":
            busy = total(spec, c.STAGE_DURATION, by, window, suffix="_sum")
            workers = select(c.STAGE_WORKERS, _live(spec))
            expr = per(busy, Aggregate("sum", by, workers))
            name = f"{level}:pipemon_stage_duration_seconds_sum_per_workers:ratio_rate{span(window)}"
            return Recording(name, expr, by)
        case "cpu":
            return Recording(f"{level}:{c.STAGE_CPU.name}:rate{span(window)}", total(spec, c.STAGE_CPU, by, window), by)
        case _:
            trained = select(c.STAGE_TRAINED, matchers(spec, c.STAGE_TRAINED), target_labels=targets)
            version = (*by, "version")
            # A version that nobody calls any more may be as old as it likes.
            called = Aggregate("sum", version, Call("increase", (select(c.STAGE_CALLS, _live(spec), window=window),)))
            age = Binary("and", Binary("-", Call("time", ()), trained), Binary(">", called, 0.0), on=version)
            name = f"{level}:pipemon_stage_model_age_seconds:max_of_versions_called_increase{span(window)}"
            return Recording(name, Aggregate("max", by, age), by)


def _latency(spec: Spec, mode: FailureMode, condition: Condition, calls: Recording) -> Measure:
    by, window, place = key(spec, mode.stage), mode.window, here(spec, mode.stage)
    metric = duration(mode.stage)
    share = bound_share(spec, mode.stage, condition)
    if share is None:
        q = float(condition.argument.removeprefix("p")) / 100
        name = f"{'_'.join(by)}:{metric.name}:{condition.argument.replace('.', '_')}_rate{span(window)}"
        value = Recording(name, quantile(spec, metric, by, window, q), by)
        return Measure(value, place, calls, place, (Part(calls, place, "count"),))
    bounds = one_of("le", tuple(le(bound) for bound in _bounds(spec, mode)))
    within = _counted(spec, (*by, "le"), metric, window, bounds, suffix="_bucket")
    count = _with_bound(spec, (*by, "le"), metric, window, bounds)
    # Counted, not taken from 1: a share of exactly the threshold must not round to more.
    expr = per(Binary("-", count.series(*_own(spec)), within.series()), count.series())
    name = f"{'_'.join(within.labels)}:{metric.name}:over_ratio_increase{span(window)}"
    which = (*place, Matcher("le", "=", le(share.bound)))
    parts = (Part(within, which, "rest"), Part(count, which, "count"))
    return Measure(Recording(name, expr, within.labels, (within, count)), which, count, which, parts)


def _with_bound(spec: Spec, by: tuple[str, ...], metric: Metric, window: float, bounds: Matcher) -> Recording:
    """Return the rule that counts the calls of those series that have a bound.

    While versions with other bounds roll out, calls that were never sorted by this one are not slow.
    """
    targets = tuple(k for k, _ in spec.select)
    own = matchers(spec, metric)
    bucket = select(metric, (*own, bounds), suffix="_bucket", window=window, target_labels=targets)
    # The buckets pick the series; this only keeps Prometheus from reading every pipeline's.
    count = select(metric, own[:1], suffix="_count", window=window, target_labels=targets)
    none = Binary("*", Call("increase", (bucket,)), 0.0)
    counts = Binary("+", none, Call("increase", (count,)), group_left=True, ignoring=("le",))
    return Recording(f"{'_'.join(by)}:{metric.name}_count:increase{span(window)}", Aggregate("sum", by, counts), by)


def _bounds(spec: Spec, mode: FailureMode) -> tuple[float, ...]:
    """The latency bounds that any failure mode of the same level and window reads: one rule serves them all."""
    shares = (
        bound_share(spec, other.stage, condition)
        for other in spec.measurable
        for condition in other.conditions
        if condition.signal == "latency"
        and other.window == mode.window
        and (other.stage is None) == (mode.stage is None)
    )
    return tuple(sorted({share.bound for share in shares if share is not None}))

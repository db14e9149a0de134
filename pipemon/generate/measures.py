"""Each signal as PromQL: the value, the traffic behind it, and the recording rules that both are read from."""

from __future__ import annotations

from dataclasses import dataclass

from pipemon import catalogue as c
from pipemon.catalogue import Metric
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, Recorded, Window, one_of, select, span
from pipemon.spec.latency import bound_share
from pipemon.spec.model import Condition, FailureMode, Spec
from pipemon.units import le


@dataclass(frozen=True)
class Recording:
    """A recording rule; `labels` are those of the series that it makes."""

    name: str
    expr: Expr
    labels: tuple[str, ...]

    def series(self, *matchers: Matcher) -> Recorded:
        """Return the recorded series that `matchers` pick."""
        return Recorded(self.name, self.labels, matchers)


@dataclass(frozen=True)
class Measure:
    """A condition's value and the count of what it was measured on, with the matchers of its one series."""

    value: Recording
    matchers: tuple[Matcher, ...]
    count: Recording | None
    count_matchers: tuple[Matcher, ...]


def key(spec: Spec, stage: str | None) -> tuple[str, ...]:
    """Return the labels of every alert and panel query: the kept ones, `pipeline` and, within one, `stage`."""
    return (*spec.keep, "pipeline") if stage is None else (*spec.keep, "pipeline", "stage")


def matchers(spec: Spec, metric: Metric) -> tuple[Matcher, ...]:
    """Return what goes into every selector of `metric`: the pipeline, the selection, and no shadow calls."""
    track = (Matcher("track", "!=", "shadow"),) if "track" in metric.labels else ()
    return (Matcher("pipeline", "=", spec.pipeline), *track, *(Matcher(k, "=", v) for k, v in spec.select))


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


def failures_ratio(spec: Spec, by: tuple[str, ...], window: Window, *more: Matcher) -> Expr:
    """Return the share of calls, or of runs where `by` has no stage, that raised."""
    if "stage" in by:
        return per(total(spec, c.STAGE_FAILURES, by, window, *more), total(spec, c.STAGE_CALLS, by, window, *more))
    return per(total(spec, c.PIPELINE_FAILURES, by, window), total(spec, c.PIPELINE_RUNS, by, window))


def nulls_ratio(spec: Spec, by: tuple[str, ...], window: Window, *more: Matcher) -> Expr:
    """Return the share of calls that returned nothing usable."""
    return per(total(spec, c.STAGE_NULL_OUTPUTS, by, window, *more), total(spec, c.STAGE_CALLS, by, window, *more))


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
    return per(signals, total(spec, c.STAGE_CALLS, by, window), on=by)


def duration(stage: str | None) -> Metric:
    """Return the duration histogram of a stage, or of the pipeline where `stage` is None."""
    return c.PIPELINE_DURATION if stage is None else c.STAGE_DURATION


def over_ratio(spec: Spec, metric: Metric, by: tuple[str, ...], window: Window, *bounds: Matcher) -> Expr:
    """Return the share of calls slower than a bucket bound, by `le`: exact, unlike an interpolated quantile."""
    within = total(spec, metric, (*by, "le"), window, *bounds, suffix="_bucket")
    count = total(spec, metric, by, window, suffix="_count")
    return Binary("-", 1.0, per(within, count, on=by))


def quantile(spec: Spec, metric: Metric, by: tuple[str, ...], window: Window, q: float, *more: Matcher) -> Expr:
    """Return an interpolated quantile of a duration histogram, in seconds."""
    return Call("histogram_quantile", (q, total(spec, metric, (*by, "le"), window, *more, suffix="_bucket")))


def _name(labels: tuple[str, ...], metric: str, operations: str, window: float) -> str:
    return f"{'_'.join(labels)}:{metric}:{operations}{span(window)}"


def calls_increase(spec: Spec, stage: str | None, window: float) -> Recording:
    """Return the rule that counts calls, or runs, over a window."""
    by = key(spec, stage)
    metric = c.PIPELINE_RUNS if stage is None else c.STAGE_CALLS
    name = _name(by, metric.name.removesuffix("_total"), "increase", window)
    return Recording(name, total(spec, metric, by, window, function="increase"), by)


def measure(spec: Spec, mode: FailureMode, condition: Condition) -> Measure | None:
    """Return how a condition is measured, or None for `promql`, which says it itself."""
    by, window = key(spec, mode.stage), mode.window
    stage = () if mode.stage is None else (Matcher("stage", "=", mode.stage),)
    here = (Matcher("pipeline", "=", spec.pipeline), *stage)
    calls = calls_increase(spec, mode.stage, window)
    of_feature = (*by, "direction", "feature")

    def recording(labels: tuple[str, ...], metric: str, operations: str, expr: Expr) -> Recording:
        return Recording(_name(labels, metric, operations, window), expr, labels)

    match condition.signal:
        case "no_calls":
            return Measure(calls, here, None, ())
        case "error_ratio":
            name = "pipemon_pipeline_failures_per_runs" if mode.stage is None else "pipemon_stage_failures_per_calls"
            return Measure(recording(by, name, "ratio_rate", failures_ratio(spec, by, window)), here, calls, here)
        case "null_ratio":
            value = recording(by, "pipemon_stage_null_outputs_per_calls", "ratio_rate", nulls_ratio(spec, by, window))
            return Measure(value, here, calls, here)
        case "feedback":
            expr = feedback_ratio(spec, by, window)
            value = recording((*by, "signal"), "pipemon_feedback_per_stage_calls", "ratio_rate", expr)
            return Measure(value, (*here, Matcher("signal", "=", condition.argument)), calls, here)
        case "latency":
            metric = duration(mode.stage)
            share = bound_share(spec, mode.stage, condition)
            if share is None:
                q = float(condition.argument.removeprefix("p")) / 100
                operations = f"{condition.argument.replace('.', '_')}_rate"
                return Measure(
                    recording(by, metric.name, operations, quantile(spec, metric, by, window, q)),
                    here,
                    calls,
                    here,
                )
            bounds = one_of("le", tuple(le(bound) for bound in _bounds(spec, mode)))
            value = recording((*by, "le"), metric.name, "over_ratio_rate", over_ratio(spec, metric, by, window, bounds))
            return Measure(value, (*here, Matcher("le", "=", le(share.bound))), calls, here)
        case "mean" | "missing_ratio":
            assert condition.feature is not None
            feature = condition.feature
            which = (
                *here,
                Matcher("direction", "=", feature.direction),
                Matcher("feature", "=", feature.name),
            )
            if condition.signal == "mean":
                value = recording(
                    of_feature, "pipemon_feature_value", "mean_rate", feature_mean(spec, of_feature, window)
                )
                looked_at = total(spec, c.FEATURE_VALUE, of_feature, window, function="increase", suffix="_count")
                count = recording(of_feature, "pipemon_feature_value_count", "increase", looked_at)
            else:
                expr = missing_ratio(spec, of_feature, window)
                value = recording(of_feature, "pipemon_feature_missing_per_observed", "ratio_rate", expr)
                looked_at = total(spec, c.FEATURE_OBSERVED, of_feature, window, function="increase")
                count = recording(of_feature, "pipemon_feature_observed", "increase", looked_at)
            return Measure(value, which, count, which)
        case _:
            return None


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

"""Queries of what a pipeline exports: sums over all replicas, and the shares and means that panels show."""

from __future__ import annotations

from math import inf

from pipemon import catalogue as c
from pipemon.catalogue import Metric
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, Window, select
from pipemon.spec.model import Spec

ALL_VALUES = Matcher("le", "=", "+Inf")
"""A histogram's bucket that counts them all: where bounds are negative there is no `_count`."""

OF_ALL_SLICES = Matcher("slice", "=", "")
"""Feedback is counted once for all, and once more in each slice that it belongs to."""


def key(spec: Spec, stage: str | None) -> tuple[str, ...]:
    """Return the labels of every alert and panel query: the kept ones, `pipeline` and, within one, `stage`."""
    return (*spec.keep, "pipeline") if stage is None else (*spec.keep, "pipeline", "stage")


def matchers(spec: Spec, metric: Metric, track: str = "") -> tuple[Matcher, ...]:
    """Return what goes into every selector of `metric`: the pipeline, the selection, and `track` or no shadow calls."""
    tracks = (Matcher("track", "=", track) if track else Matcher("track", "!=", "shadow"),)
    return (
        Matcher("pipeline", "=", spec.pipeline),
        *(tracks if "track" in metric.labels else ()),
        *(Matcher(k, "=", v) for k, v in spec.select),
    )


def targets(spec: Spec) -> tuple[str, ...]:
    """Return the labels of scrape targets that a selector may name: the selected ones."""
    return tuple(label for label, _ in spec.select)


def live(spec: Spec, track: str = "") -> tuple[Matcher, ...]:
    """Return the matchers of what is joined to a selection: what is selected there finds no other partner here."""
    return matchers(spec, c.STAGE_CALLS, track)[:2]


def total(
    spec: Spec,
    metric: Metric,
    by: tuple[str, ...],
    window: Window,
    *more: Matcher,
    function: str = "rate",
    suffix: str = "",
    offset: float = 0.0,
    track: str = "",
) -> Aggregate:
    """Return `sum by (by) (rate(metric[window]))` over all replicas, versions and live tracks."""
    which = (*matchers(spec, metric, track), *more)
    series = select(metric, which, suffix=suffix, window=window, offset=offset, target_labels=targets(spec))
    return Aggregate("sum", by, Call(function, (series,)))


def per(above: Expr, below: Expr, on: tuple[str, ...] | None = None) -> Binary:
    """Return `above / below` where there is traffic: no series, rather than NaN or Inf, where there is none."""
    return Binary("/", above, Binary(">", below, 0.0), on, group_left=on is not None)


def not_skipped(
    spec: Spec,
    by: tuple[str, ...],
    window: Window,
    function: str,
    *more: Matcher,
    offset: float = 0.0,
    track: str = "",
) -> Expr:
    """Return the calls that a stage did not decline.

    They are what shares are of: a declined call can neither fail nor return nothing, so a stage that skips
    nine in ten and fails the tenth fails always. An exporter that counts no skips has none.
    """
    calls = total(spec, c.STAGE_CALLS, by, window, *more, function=function, offset=offset, track=track)
    return less_skipped(spec, calls, by, window, function, *more, offset=offset, track=track)


def less_skipped(
    spec: Spec,
    calls: Expr,
    by: tuple[str, ...],
    window: Window,
    function: str,
    *more: Matcher,
    offset: float = 0.0,
    track: str = "",
) -> Expr:
    """Return calls less those that were declined."""
    skipped = select(c.STAGE_SKIPPED, (*live(spec, track), *more), window=window, offset=offset)
    ran = Binary("-", calls, Aggregate("sum", by, Call(function, (skipped,))))
    return Binary("or", ran, calls)


def unaccounted(spec: Spec, came: Expr, by: tuple[str, ...], window: Window, function: str, *more: Matcher) -> Expr:
    """Return how many of the items that `came` in did not come out in any way, or came out and never in.

    Each is counted when its call ends, so that none in flight is taken for lost.
    """
    left = came
    for way in (c.STAGE_ITEMS_OUT, c.STAGE_ITEMS_NULL, c.STAGE_ITEMS_FAILED, c.STAGE_ITEMS_DROPPED):
        series = select(way, (*live(spec), *more), window=window)
        left = Binary("-", left, Aggregate("sum", by, Call(function, (series,))))
    return Call("abs", (left,))


def failures_ratio(spec: Spec, by: tuple[str, ...], window: Window, *more: Matcher) -> Expr:
    """Return the share of calls, or of runs where `by` has no stage, that raised."""
    if "stage" in by:
        return per(total(spec, c.STAGE_FAILURES, by, window, *more), not_skipped(spec, by, window, "rate", *more))
    return per(total(spec, c.PIPELINE_FAILURES, by, window), total(spec, c.PIPELINE_RUNS, by, window))


def nulls_ratio(spec: Spec, by: tuple[str, ...], window: Window, *more: Matcher) -> Expr:
    """Return the share of calls that returned nothing usable."""
    return per(total(spec, c.STAGE_NULL_OUTPUTS, by, window, *more), not_skipped(spec, by, window, "rate", *more))


def missing_ratio(spec: Spec, by: tuple[str, ...], window: Window, *more: Matcher) -> Expr:
    """Return the share of looks at a feature that found nothing; `by` has `direction` and `feature`."""
    return per(total(spec, c.FEATURE_MISSING, by, window, *more), total(spec, c.FEATURE_OBSERVED, by, window, *more))


def feature_mean(spec: Spec, by: tuple[str, ...], window: Window, *more: Matcher) -> Expr:
    """Return a feature's mean. Signed sums are two counters, since a falling sum would read as a reset."""
    positive = total(spec, c.FEATURE_SUM, by, window, *more, Matcher("sign", "=", "positive"))
    negative = total(spec, c.FEATURE_SUM, by, window, *more, Matcher("sign", "=", "negative"))
    count = total(spec, c.FEATURE_VALUE, by, window, *more, ALL_VALUES, suffix="_bucket")
    return per(Binary("-", positive, negative), count)


def feedback_ratio(spec: Spec, by: tuple[str, ...], window: Window, *more: Matcher) -> Expr:
    """Return feedback per call, by signal: the signal label is kept beside `by`."""
    signals = total(spec, c.FEEDBACK, (*by, "signal"), window, *more, OF_ALL_SLICES)
    return per(signals, not_skipped(spec, by, window, "rate"), on=by)


def duration(stage: str | None) -> Metric:
    """Return the duration histogram of a stage, or of the pipeline where `stage` is None."""
    return c.PIPELINE_DURATION if stage is None else c.STAGE_DURATION


def quantile(
    spec: Spec,
    metric: Metric,
    by: tuple[str, ...],
    window: Window,
    q: float,
    *more: Matcher,
    offset: float = 0.0,
    track: str = "",
) -> Expr:
    """Return an interpolated quantile of a histogram, in its unit, and nothing where there was none."""
    buckets = total(spec, metric, (*by, "le"), window, *more, suffix="_bucket", offset=offset, track=track)
    return interpolated(metric, q, buckets)


def interpolated(metric: Metric, q: float, buckets: Expr) -> Expr:
    """Return a quantile of a histogram's buckets: no series, rather than NaN, where they are empty."""
    # What is NaN compares false with any number; values of features may be negative, durations are not.
    return Binary(">=", Call("histogram_quantile", (q, buckets)), -inf if metric is c.FEATURE_VALUE else 0.0)


def calls_total(stage: str | None) -> Metric:
    """Return the counter of a stage's calls, or of the pipeline's runs where `stage` is None."""
    return c.PIPELINE_RUNS if stage is None else c.STAGE_CALLS

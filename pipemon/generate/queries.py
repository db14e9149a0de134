"""Queries of what a pipeline exports: sums over all replicas, and the shares and means that panels show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Self

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


@dataclass(frozen=True)
class Sums:
    """What is added up, and when: over all replicas and versions, one sum for each value of the labels `by`.

    It looks back over `window`, as of `offset` seconds ago; at one `track` only, or at all but shadow calls.
    """

    spec: Spec
    by: tuple[str, ...]
    window: Window
    offset: float = 0.0
    track: str = ""

    def also_by(self, *labels: str) -> Self:
        """Return the same, told apart by more labels."""
        return replace(self, by=(*self.by, *labels))


def total(sums: Sums, metric: Metric, *more: Matcher, function: str = "rate", suffix: str = "") -> Aggregate:
    """Return `sum by (by) (rate(metric[window]))`."""
    which, own = (*matchers(sums.spec, metric, sums.track), *more), targets(sums.spec)
    series = select(metric, which, suffix=suffix, window=sums.window, offset=sums.offset, target_labels=own)
    return Aggregate("sum", sums.by, Call(function, (series,)))


def per(above: Expr, below: Expr, on: tuple[str, ...] | None = None) -> Binary:
    """Return `above / below` where there is traffic: no series, rather than NaN or Inf, where there is none."""
    return Binary("/", above, Binary(">", below, 0.0), on, group_left=on is not None)


def not_skipped(sums: Sums, *more: Matcher) -> Expr:
    """Return the calls a second that a stage did not decline.

    They are what shares are of: a declined call can neither fail nor return nothing, so a stage that skips
    nine in ten and fails the tenth fails always. An exporter that counts no skips has none.
    """
    return less_skipped(sums, total(sums, c.STAGE_CALLS, *more), *more)


def less_skipped(sums: Sums, calls: Expr, *more: Matcher, function: str = "rate") -> Expr:
    """Return calls less those that were declined."""
    which = (*live(sums.spec, sums.track), *more)
    skipped = select(c.STAGE_SKIPPED, which, window=sums.window, offset=sums.offset)
    ran = Binary("-", calls, Aggregate("sum", sums.by, Call(function, (skipped,))))
    return Binary("or", ran, calls)


def unaccounted(sums: Sums, came: Expr) -> Expr:
    """Return how many of the items that `came` in did not come out in any way, or came out and never in.

    Each is counted when its call ends, so that none in flight is taken for lost.
    """
    left = came
    for way in (c.STAGE_ITEMS_OUT, c.STAGE_ITEMS_NULL, c.STAGE_ITEMS_FAILED, c.STAGE_ITEMS_DROPPED):
        series = select(way, live(sums.spec), window=sums.window)
        left = Binary("-", left, Aggregate("sum", sums.by, Call("increase", (series,))))
    return Call("abs", (left,))


def failures_ratio(sums: Sums, *more: Matcher) -> Expr:
    """Return the share of calls, or of runs where `by` has no stage, that raised."""
    if "stage" in sums.by:
        return per(total(sums, c.STAGE_FAILURES, *more), not_skipped(sums, *more))
    return per(total(sums, c.PIPELINE_FAILURES), total(sums, c.PIPELINE_RUNS))


def nulls_ratio(sums: Sums, *more: Matcher) -> Expr:
    """Return the share of calls that returned nothing usable."""
    return per(total(sums, c.STAGE_NULL_OUTPUTS, *more), not_skipped(sums, *more))


def missing_ratio(sums: Sums, *more: Matcher) -> Expr:
    """Return the share of looks at a feature that found nothing; `by` has `direction` and `feature`."""
    return per(total(sums, c.FEATURE_MISSING, *more), total(sums, c.FEATURE_OBSERVED, *more))


def feature_mean(sums: Sums, *more: Matcher) -> Expr:
    """Return a feature's mean. Signed sums are two counters, since a falling sum would read as a reset."""
    positive = total(sums, c.FEATURE_SUM, *more, Matcher("sign", "=", "positive"))
    negative = total(sums, c.FEATURE_SUM, *more, Matcher("sign", "=", "negative"))
    return per(Binary("-", positive, negative), total(sums, c.FEATURE_VALUE, *more, ALL_VALUES, suffix="_bucket"))


def feedback_ratio(sums: Sums, *more: Matcher) -> Expr:
    """Return feedback per call, by signal: the signal label is kept beside `by`."""
    signals = total(sums.also_by("signal"), c.FEEDBACK, *more, OF_ALL_SLICES)
    return per(signals, not_skipped(sums), on=sums.by)


def duration(stage: str | None) -> Metric:
    """Return the duration histogram of a stage, or of the pipeline where `stage` is None."""
    return c.PIPELINE_DURATION if stage is None else c.STAGE_DURATION


def quantile(sums: Sums, metric: Metric, q: float, *more: Matcher) -> Expr:
    """Return an interpolated quantile of a histogram, in its unit, and nothing where there was none."""
    return interpolated(metric, q, total(sums.also_by("le"), metric, *more, suffix="_bucket"))


def interpolated(metric: Metric, q: float, buckets: Expr) -> Expr:
    """Return a quantile of a histogram's buckets: no series, rather than NaN, where they are empty."""
    # What is NaN compares false with any number; values of features may be negative, durations are not.
    return Binary(">=", Call("histogram_quantile", (q, buckets)), -inf if metric is c.FEATURE_VALUE else 0.0)


def calls_total(stage: str | None) -> Metric:
    """Return the counter of a stage's calls, or of the pipeline's runs where `stage` is None."""
    return c.PIPELINE_RUNS if stage is None else c.STAGE_CALLS

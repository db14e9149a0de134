"""What is read at a moment: how far counters went over some seconds, what gauges say, which alerts there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, isfinite, nan
from typing import Literal, TypeVar

from pipemon import catalogue as c
from pipemon.prometheus import Sample

STAGE_BUCKET, PIPELINE_BUCKET = f"{c.STAGE_DURATION.name}_bucket", f"{c.PIPELINE_DURATION.name}_bucket"
FEATURE_BUCKET = f"{c.FEATURE_VALUE.name}_bucket"

COUNTERS: dict[str, tuple[str, ...]] = {
    metric.name: metric.labels
    for metric in (
        c.PIPELINE_RUNS, c.PIPELINE_FAILURES, c.STAGE_CALLS, c.STAGE_FAILURES, c.STAGE_NULL_OUTPUTS, c.STAGE_SKIPPED,
        c.FEATURE_SUM, c.FEATURE_OBSERVED, c.FEATURE_MISSING, c.FEEDBACK,
    )
} | {
    STAGE_BUCKET: (*c.STAGE_DURATION.labels, "le"),
    PIPELINE_BUCKET: (*c.PIPELINE_DURATION.labels, "le"),
    FEATURE_BUCKET: c.FEATURE_VALUE.labels,
}  # fmt: skip
"""The counters that are read, with the labels that they are summed by. Of features' buckets, the +Inf one alone."""

GAUGES: dict[str, tuple[str, ...]] = {
    metric.name: metric.labels
    for metric in (
        c.PIPELINE_IN_PROGRESS, c.PIPELINE_BUDGET, c.STAGE_IN_PROGRESS, c.STAGE_BUDGET, c.STAGE_UPSTREAM,
        c.FEATURE_INFO,
    )
}  # fmt: skip

Key = tuple[str, ...]
"""A series: its name, then the values of its labels in the order of COUNTERS or GAUGES."""

AlertState = Literal["firing", "pending", "would fire"]


@dataclass(frozen=True)
class Alert:
    """An alert, or what would be one; `since` is Unix time. `stage` is "" for the whole pipeline."""

    pipeline: str
    stage: str
    failure_mode: str
    severity: str
    state: AlertState
    since: float | None = None


@dataclass(frozen=True)
class Reading:
    """Increases of counters over `seconds` up to the Unix time `at`, and values of gauges, each summed by its labels.

    `seconds` is 0 where there is only one scrape yet. `alerts` are None where nobody evaluates rules. `samples` are
    all series of a page, the counters as increases; none of a Prometheus. `totals` are the same as the page has
    them. `seen` are the pipelines and stages that a Prometheus had in the last hour, with those that are gone by now;
    None of a page.
    """

    at: float
    seconds: float
    increases: Mapping[Key, float]
    gauges: Mapping[Key, float]
    alerts: tuple[Alert, ...] | None = None
    samples: tuple[Sample, ...] = ()
    totals: tuple[Sample, ...] = ()
    seen: frozenset[tuple[str, str]] | None = None

    def of_last_run(self) -> Reading:
        """Return what there is of a batch job: all that its last run counted, over no time."""
        counted = summed(self.totals, COUNTERS) if self.totals else self.increases
        return replace(self, seconds=0.0, increases=counted, samples=self.totals)

    def series(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """Return the labels and values of the series of a name that have these labels; never a shadow call's."""
        return [
            (own, value)
            for own, value in self._rows.get((name, labels.get("stage")), ())
            if own.get("track") != "shadow" and all(own.get(label) == wanted for label, wanted in labels.items())
        ]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of those series, 0 where there are none."""
        return sum(value for _, value in self.series(name, **labels))

    def quantile(self, name: str, quantile: float, **labels: str) -> float:
        """Return a quantile of a histogram, linear within its bucket; NaN without observations.

        In the last bucket it is infinite: longer than the longest bound.
        """
        buckets: dict[float, float] = {}
        for own, value in self.series(name, **labels):
            bound = float(own["le"])
            buckets[bound] = buckets.get(bound, 0.0) + value
        return _quantile(sorted(buckets.items()), quantile)

    @cached_property
    def _rows(self) -> dict[tuple[str, str | None], list[tuple[dict[str, str], float]]]:
        """The series of each name, and of each name at each stage: a cascade may be long."""
        found: dict[tuple[str, str | None], list[tuple[dict[str, str], float]]] = {}
        for table, labels in ((self.increases, COUNTERS), (self.gauges, GAUGES)):
            for (name, *values), value in table.items():
                own = dict(zip(labels[name], values, strict=True))
                for stage in {None, own.get("stage")}:
                    found.setdefault((name, stage), []).append((own, value))
        return found


def _quantile(buckets: list[tuple[float, float]], quantile: float) -> float:
    if not buckets or buckets[-1][1] <= 0:
        return nan
    rank = quantile * buckets[-1][1]
    low, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank and count > below:
            return inf if bound == inf else low + (bound - low) * (rank - below) / (count - below)
        low, below = bound, max(count, below)
    return inf


def summed(samples: Iterable[Sample], labels: Mapping[str, tuple[str, ...]]) -> dict[Key, float]:
    """Return the series whose names `labels` has, summed by the labels that it gives for each."""
    found: dict[Key, float] = {}
    for sample in samples:
        name = sample.labels["__name__"]
        if name not in labels or not isfinite(sample.value):
            continue
        if name == FEATURE_BUCKET and sample.labels.get("le") != "+Inf":
            continue
        key = (name, *(sample.labels.get(label, "") for label in labels[name]))
        found[key] = found.get(key, 0.0) + sample.value
    return found


Series = TypeVar("Series")


def increases(before: Mapping[Series, float], after: Mapping[Series, float]) -> dict[Series, float]:
    """Return how far each counter went; from zero where it is new or began again."""
    steps = {key: value - before.get(key, 0.0) for key, value in after.items()}
    return {key: step if step >= 0 else after[key] for key, step in steps.items()}

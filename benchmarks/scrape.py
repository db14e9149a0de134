"""What a scrape costs: pipemon's own and that of the same series in plain prometheus_client."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry, Metric, exposition
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.samples import Sample

import pipemon
from benchmarks.measure import Effort, Row, nanoseconds, ratio, take_turns

STAGES = 50
FEATURES = 10
BETWEEN = 20
"""Calls of each stage between two scrapes."""

Labels = tuple[tuple[str, str], ...]


def rows(effort: Effort) -> list[Row]:
    switch: Any = prometheus_client
    switch.disable_created_metrics()  # pipemon has no such series
    try:
        return _rows(effort)
    finally:
        switch.enable_created_metrics()


def _rows(effort: Effort) -> list[Row]:
    registry = CollectorRegistry()
    pipeline = pipemon.Pipeline("bench", version="1", registry=registry)
    found = [pipemon.Feature(f"number_{n}", _plus(n), unit="items") for n in range(FEATURES)]
    half = FEATURES // 2
    stages = [
        pipeline.stage(f"stage_{n}", after=None, inputs={"number": found[:half]}, output=found[half:])(_same)
        for n in range(STAGES)
    ]

    def call(times: int) -> None:
        for stage in stages:
            for number in range(times):
                stage(float(number % 300))

    call(max(1, effort.many // STAGES))
    plain = same_series(registry.collect())
    check_same(registry.collect(), plain.collect())
    rows = []
    for name, text in (("text", exposition.generate_latest), ("OpenMetrics", openmetrics.generate_latest)):
        rows.append(_row(name, text, registry, plain, call, effort))
    return rows


def _row(
    name: str,
    text: Callable[[CollectorRegistry], bytes],
    registry: CollectorRegistry,
    plain: CollectorRegistry,
    call: Callable[[int], None],
    effort: Effort,
) -> Row:
    series = sum(len(metric.samples) for metric in plain.collect())
    variants = {
        "calls": lambda: call(BETWEEN),
        "pipemon": lambda: text(registry),
        "plain": lambda: text(plain),
    }
    times = take_turns(variants, max(1, effort.rounds // 2))
    own, other = (nanoseconds(times[each], 1) / 1e6 for each in ("pipemon", "plain"))
    return Row(
        f"Scrape ({name}) of {STAGES} stages with {FEATURES} features each, against prometheus_client with the same "
        "series",
        ratio(times["pipemon"], times["plain"]),
        at_most=1.2,
        detail=f"{series} series: {own:.0f} ms against {other:.0f} ms",
    )


def same_series(metrics: Iterable[Metric]) -> CollectorRegistry:
    """Return a registry in which prometheus_client's own metrics have the same samples."""
    registry = CollectorRegistry()
    for metric in metrics:
        names = [name for name in (metric.samples[0].labels if metric.samples else ("none",)) if name != "le"]
        if metric.type == "histogram":
            _histogram(metric, names, registry)
            continue
        kind: Any = prometheus_client.Counter if metric.type == "counter" else prometheus_client.Gauge
        family = kind(metric.name, metric.documentation, names, registry=registry)
        for sample in metric.samples:
            if sample.name.endswith("_created"):
                continue
            (family.labels(**sample.labels) if names else family).inc(sample.value)
    return registry


def _histogram(metric: Metric, names: list[str], registry: CollectorRegistry) -> None:
    children: dict[Labels, list[Sample]] = {}
    for sample in metric.samples:
        children.setdefault(tuple((n, sample.labels[n]) for n in names), []).append(sample)
    bounds = sorted({float(sample.labels["le"]) for sample in metric.samples if "le" in sample.labels})
    family = prometheus_client.Histogram(
        metric.name, metric.documentation, names, registry=registry, buckets=bounds or [1.0]
    )
    for labels, samples in children.items():
        child: Any = family.labels(**dict(labels))
        before = 0.0
        for sample in samples:
            if sample.name.endswith("_sum"):
                child._sum.inc(sample.value)
            elif "le" in sample.labels:
                child._buckets[bounds.index(float(sample.labels["le"]))].inc(sample.value - before)
                before = sample.value


def check_same(one: Iterable[Metric], other: Iterable[Metric]) -> None:
    """Raise AssertionError unless both have the same series."""
    first, second = (
        {(s.name, frozenset(s.labels.items())) for metric in metrics for s in metric.samples}
        for metrics in (one, other)
    )
    assert first == second, f"only one of them has {sorted(first ^ second, key=str)[:5]}"


def _plus(more: int) -> Callable[[float], float]:
    return lambda number: number + more


def _same(number: float) -> float:
    return number

"""What pipemon is compared with: prometheus_client by hand, autometrics, the OpenTelemetry SDK, and two clock reads.

Except for autometrics and the clock reads, each exports of a call what a stage does: calls, failures, null outputs,
calls in progress, a latency histogram, and a histogram of one input and one output feature.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import autometrics
from autometrics.settings import get_settings
from autometrics.tracker import TrackerType, get_tracker, init_tracker, set_tracker
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Function = Callable[..., Any]

LABELS = {"pipeline": "bench", "stage": "split", "version": "1", "track": "stable"}
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
LENGTHS = (0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0, 50.0, 80.0, 120.0, 200.0, 500.0, 1000.0)


def timed(function: Function) -> Function:
    spent = [0.0]

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        begun = perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[0] += perf_counter() - begun

    return wrapper


def with_autometrics(function: Function) -> tuple[Function, Callable[[], None], Callable[[], None]]:
    """Latency and count alone, which is what autometrics exports.

    The two functions choose its tracker: the one on prometheus_client, and on OpenTelemetry, its default.
    """
    autometrics.init(tracker="prometheus")
    quick, usual = get_tracker(), init_tracker(TrackerType.OPENTELEMETRY, get_settings())
    return autometrics.autometrics(function), lambda: set_tracker(quick), lambda: set_tracker(usual)


class ByHand:
    """The series that a careful person exports with prometheus_client, each child bound once."""

    def __init__(self) -> None:
        registry = CollectorRegistry()

        def counter(name: str) -> Counter:
            return Counter(f"hand_{name}", name, list(LABELS), registry=registry).labels(**LABELS)

        def histogram(name: str, bounds: tuple[float, ...]) -> Histogram:
            return Histogram(f"hand_{name}", name, list(LABELS), registry=registry, buckets=bounds).labels(**LABELS)

        self.calls, self.failures, self.null_outputs = map(counter, ("calls", "failures", "null_outputs"))
        self.items_in, self.items_out, self.items_null = map(counter, ("items_in", "items_out", "items_null"))
        self.in_progress = Gauge("hand_in_progress", "calls", list(LABELS), registry=registry).labels(**LABELS)
        self.seconds = histogram("seconds", SECONDS)
        self.first_item = histogram("first_item_seconds", SECONDS)
        self.input = histogram("input", LENGTHS)
        self.output = histogram("output", LENGTHS)

    def ended(self, begun: float) -> None:
        self.seconds.observe(perf_counter() - begun)
        self.in_progress.dec()
        self.calls.inc()

    def returned(self, text: str, result: list[str]) -> None:
        if not result:
            self.null_outputs.inc()
        self.input.observe(len(text))
        self.output.observe(len(result))


def by_hand(function: Function) -> Function:
    series = ByHand()

    @functools.wraps(function)
    def wrapper(text: str) -> Any:
        series.in_progress.inc()
        begun = perf_counter()
        try:
            result = function(text)
        except Exception:
            series.failures.inc()
            raise
        finally:
            series.ended(begun)
        series.returned(text, result)
        return result

    return wrapper


def batch_by_hand(function: Function) -> Function:
    """A loop of `observe` over the batch and over the results: arrays of numbers, shape (n,)."""
    series = ByHand()

    @functools.wraps(function)
    def wrapper(batch: Any) -> Any:
        series.in_progress.inc()
        begun = perf_counter()
        try:
            results = function(batch)
        except Exception:
            series.failures.inc()
            raise
        finally:
            series.ended(begun)
        series.items_in.inc(len(batch))
        for item in batch.tolist():
            series.input.observe(item)
        for result in results.tolist():
            if result != result:  # noqa: PLR0124  NaN
                series.items_null.inc()
            else:
                series.items_out.inc()
                series.output.observe(result)
        return results

    return wrapper


def stream_by_hand(function: Function) -> Function:
    series = ByHand()

    @functools.wraps(function)
    def wrapper(text: str) -> Iterator[Any]:
        series.in_progress.inc()
        begun = perf_counter()
        waited = busy = 0.0
        items = iter(function(text))
        try:
            while True:
                at = perf_counter()
                try:
                    item = next(items)
                except StopIteration:
                    return
                finally:
                    busy += perf_counter() - at
                if not waited:
                    waited = perf_counter() - begun
                    series.first_item.observe(waited)
                if item:
                    series.items_out.inc()
                else:
                    series.items_null.inc()
                series.output.observe(len(item))
                yield item
        except Exception:
            series.failures.inc()
            raise
        finally:
            series.seconds.observe(busy)
            series.in_progress.dec()
            series.calls.inc()
            series.input.observe(len(text))

    return wrapper


def with_opentelemetry(function: Function) -> Function:
    """The same updates by the SDK, with a reader that asks for nothing meanwhile."""
    meter = MeterProvider(metric_readers=[InMemoryMetricReader()]).get_meter("bench")
    calls, failures, nulls = map(meter.create_counter, ("calls", "failures", "null_outputs"))
    in_progress = meter.create_up_down_counter("in_progress")
    seconds = meter.create_histogram("seconds", explicit_bucket_boundaries_advisory=SECONDS)
    text_length = meter.create_histogram("input", explicit_bucket_boundaries_advisory=LENGTHS)
    length = meter.create_histogram("output", explicit_bucket_boundaries_advisory=LENGTHS)

    @functools.wraps(function)
    def wrapper(text: str) -> Any:
        in_progress.add(1, LABELS)
        begun = perf_counter()
        try:
            result = function(text)
        except Exception:
            failures.add(1, LABELS)
            raise
        finally:
            seconds.record(perf_counter() - begun, LABELS)
            in_progress.add(-1, LABELS)
            calls.add(1, LABELS)
        if not result:
            nulls.add(1, LABELS)
        text_length.record(len(text), LABELS)
        length.record(len(result), LABELS)
        return result

    return wrapper

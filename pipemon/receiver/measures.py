"""What the receiver exports of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pipemon import catalogue as c
from pipemon.receiver.payload import Notification

REASONS = ("unauthorized", "malformed", "too_large", "unavailable")
KINDS = ("annotate", "end_annotation", "annotate_action", "rollback", "retrain")
RESULTS = ("done", "failed", "skipped", "retried")


class Measures(Collector):
    """Counts of one receiver, each at zero from the start; `length` tells that of its queue."""

    def __init__(self, length: Callable[[], int]) -> None:
        self._length = length
        self._received = dict.fromkeys(("firing", "resolved"), 0)
        self._refused = dict.fromkeys(REASONS, 0)
        self._actions: dict[tuple[str, ...], int] = {(kind, result): 0 for kind in KINDS for result in RESULTS}
        self._committed = 0
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def received(self, told: Notification) -> None:
        """Count the alerts of a notification that was not refused."""
        for status, number in Counter(alert.status for alert in told.alerts).items():
            self._received[status] += number

    def committed(self, told: Notification) -> None:
        """Count the alerts of a notification that is on disk."""
        self._committed += len(told.alerts)

    def refused(self, reason: str) -> None:
        """Count a notification that was refused for one of REASONS."""
        self._refused[reason] += 1

    def action(self, kind: str, result: str) -> None:
        """Count an attempt of one of KINDS that ended as one of RESULTS."""
        self._actions[kind, result] += 1

    def text(self) -> bytes:
        """Return them in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield each family."""
        yield _counter(c.RECEIVER_RECEIVED, {(status,): value for status, value in self._received.items()})
        yield _counter(c.RECEIVER_COMMITTED, {(): self._committed})
        yield _counter(c.RECEIVER_REFUSED, {(reason,): value for reason, value in self._refused.items()})
        yield _counter(c.RECEIVER_ACTIONS, self._actions)
        yield GaugeMetricFamily(c.RECEIVER_QUEUE.name, c.RECEIVER_QUEUE.help, self._length())


def _counter(metric: c.Metric, values: Mapping[tuple[str, ...], int]) -> Metric:
    family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family

"""prometheus_client's metrics, able to take many observations at once.

They are subclasses, so every registry, exporter and multiprocess mode of that library works on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Any

import numpy as np
import prometheus_client
from numpy.typing import NDArray
from prometheus_client.samples import Sample

from pipemon.catalogue import Metric


def _without_created(samples: Any) -> tuple[Sample, ...]:
    # `_created` doubles the series of a counter and no rule reads it.
    return tuple(sample for sample in samples if sample.name != "_created")


class Counter(prometheus_client.Counter):
    """A counter without its `_created` series."""

    def _child_samples(self) -> tuple[Sample, ...]:
        return _without_created(super()._child_samples())


class Histogram(prometheus_client.Histogram):
    """A histogram whose children may differ in bounds and take whole arrays."""

    _metrics: dict[Sequence[str], Histogram]  # type: ignore[assignment]  # typed by a class-wide T there

    def _metric_init(self) -> None:
        super()._metric_init()
        self._finite_bounds = np.array(self._upper_bounds[:-1])

    def child(self, labels: Sequence[str], bounds: Sequence[float]) -> Histogram:
        """Return the child with these label values, made with `bounds` unless it exists.

        Bounds stay for the life of the process: those of an existing child win.
        """
        key = tuple(labels)
        with self._lock:
            if key not in self._metrics:
                self._metrics[key] = Histogram(
                    self._original_name,
                    documentation=self._documentation,
                    labelnames=self._labelnames,
                    unit=self._unit,
                    _labelvalues=key,
                    buckets=bounds,
                )
            return self._metrics[key]

    @property
    def bounds(self) -> tuple[float, ...]:
        """The child's upper bounds without +Inf."""
        return tuple(self._upper_bounds[:-1])

    def observe_many(self, values: NDArray[np.float64]) -> None:
        """Observe finite values, shape (n,): the same as n times `observe`."""
        bins = np.searchsorted(self._finite_bounds, values, side="left")
        counts = np.bincount(bins, minlength=len(self._upper_bounds))
        total = float(values.sum())
        if self._upper_bounds[0] >= 0:  # else no sum is shown, except by multiprocess mode
            self._sum.inc(total)
        for index in np.flatnonzero(counts).tolist():
            self._buckets[index].inc(int(counts[index]))

    def _child_samples(self) -> tuple[Sample, ...]:
        return _without_created(super()._child_samples())


def make_family(metric: Metric) -> Any:
    """Make a catalogue entry's family, not registered anywhere."""
    if metric.type == "counter":
        return Counter(metric.name, metric.help, metric.labels, unit=metric.unit, registry=None)
    if metric.type == "histogram":
        return Histogram(metric.name, metric.help, metric.labels, unit=metric.unit, registry=None)
    # Over several workers calls in progress add up; every other gauge says the same in all of them,
    # or the latest counts.
    return prometheus_client.Gauge(
        metric.name,
        metric.help,
        metric.labels,
        unit=metric.unit,
        registry=None,
        multiprocess_mode="livesum" if metric.name.endswith("_in_progress") else "max",
    )


def renew_locks(registry: prometheus_client.CollectorRegistry | None, families: Iterable[Any]) -> None:
    """Replace the locks of a registry, families and values in a forked child: any may have been held.

    Values in multiprocess files share one lock that prometheus_client keeps to itself.
    """
    if registry is not None:
        registry._lock = Lock()
    for family in families:
        children = getattr(family, "_metrics", {})
        if "_lock" in vars(family):
            family._lock = Lock()
        for metric in (family, *children.values()):
            for value in (
                getattr(metric, "_value", None),
                getattr(metric, "_sum", None),
                *getattr(metric, "_buckets", ()),
            ):
                if hasattr(value, "_lock"):
                    value._lock = Lock()

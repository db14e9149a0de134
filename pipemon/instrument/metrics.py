"""prometheus_client's metrics, able to take many observations at once.

They are subclasses, so every registry, exporter and multiprocess mode of that library works on them.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import prometheus_client
from prometheus_client import values
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

from pipemon import catalogue
from pipemon.catalogue import Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

Reading = list[tuple[Sequence[str], Any, list[float]]]
"""Label values, child, and its numbers: a value, or a histogram's sum and what is in each bucket."""


class Histogram(prometheus_client.Histogram):
    """A histogram whose children may differ in bounds and take whole arrays."""

    _metrics: dict[Sequence[str], Histogram]  # type: ignore[assignment]  # typed by a class-wide T there

    def _metric_init(self) -> None:
        super()._metric_init()
        self._finite_bounds = np.array(self._upper_bounds[:-1])
        self.les = [floatToGoString(bound) for bound in self._upper_bounds]  # type: ignore[no-untyped-call]
        self._pointed_out: dict[int, Exemplar] = {}

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

    @property
    def has_sum(self) -> bool:
        """Tell whether the sum only rises, as far as the bounds say; else it is not shown."""
        return bool(self._upper_bounds[0] >= 0)

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """Observe one finite value. Exemplars come by `point_out`."""
        if self.has_sum:
            self._sum.inc(amount)
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(1)

    def observe_many(self, values: NDArray[np.float64]) -> None:
        """Observe finite values, shape (n,): the same as n times `observe`."""
        if self.has_sum:  # multiprocess mode shows it even where it should not be
            self._sum.inc(float(values.sum()))
        for bucket, times in zip(self._buckets, _counts(values, self._finite_bounds), strict=True):
            if times:
                bucket.inc(times)

    def point_out(self, value: float, trace_id: str, span_id: str) -> None:
        """Link the bucket of an observed value to its trace, in place of an earlier one."""
        bucket = int(np.searchsorted(self._finite_bounds, value, side="left"))
        self._pointed_out[bucket] = Exemplar({"trace_id": trace_id, "span_id": span_id}, value, time.time())

    @property
    def pointed_out(self) -> dict[int, Exemplar]:
        """The latest traces, by the number of the bucket."""
        return self._pointed_out


def _counts(values: NDArray[np.float64], bounds: NDArray[np.float64]) -> list[int]:
    """Count the values, shape (n,), in each bin, the last of which is beyond all bounds."""
    if len(values) < _MANY * len(bounds):
        found: list[int] = np.bincount(np.searchsorted(bounds, values), minlength=len(bounds) + 1).tolist()
        return found
    # A search branches at each step, which way nobody can predict; comparing all with one bound never does.
    upto = [int(np.count_nonzero(values <= bound)) for bound in bounds.tolist()]
    return [high - low for low, high in zip([0, *upto], [*upto, len(values)], strict=True)]


_MANY = 200
"""Values a bound from which on comparing all of them with each bound takes less time than searching each one's bin."""
_ADD_UP = ("_in_progress", "_workers", "_active")
_SETTINGS = (
    catalogue.PIPELINE_BUDGET, catalogue.STAGE_BUDGET, catalogue.STAGE_TRAINED, catalogue.ROLLOUT_TRAFFIC
)  # fmt: skip


def multiprocess() -> bool:
    """Tell whether prometheus_client keeps values in files that all workers share.

    It decides that when it is imported: setting PROMETHEUS_MULTIPROC_DIR later changes nothing.
    """
    return bool(getattr(values.ValueClass, "_multiprocess", False))


def make_family(metric: Metric) -> Any:
    """Make a catalogue entry's family, not registered anywhere."""
    if metric.type == "counter":
        return prometheus_client.Counter(metric.name, metric.help, metric.labels, unit=metric.unit, registry=None)
    if metric.type == "histogram":
        return Histogram(metric.name, metric.help, metric.labels, unit=metric.unit, registry=None)
    # Over several processes calls in progress add up, and how many there may be; of settings the latest holds, as
    # after a reload; every other gauge is a time, of which the latest counts, or says the same in all of them.
    add_up = metric.name.endswith(_ADD_UP)
    return prometheus_client.Gauge(
        metric.name,
        metric.help,
        metric.labels,
        unit=metric.unit,
        registry=None,
        multiprocess_mode="livesum" if add_up else "mostrecent" if metric in _SETTINGS else "max",
    )


def read(family: Any) -> Reading:
    """Read a family's numbers, and leave to `show` what takes longer."""
    if not family._labelnames:
        return [((), family, _numbers(family))]
    with family._lock:
        children = family._metrics.copy()
    return [(labels, child, _numbers(child)) for labels, child in children.items()]


def _numbers(child: Any) -> list[float]:
    if isinstance(child, Histogram):
        return [child._sum.get(), *(bucket.get() for bucket in child._buckets)]
    return [child._value.get()]


def show(family: Any, reading: Reading) -> prometheus_client.Metric:
    """Return a family with the samples of a reading.

    Without `_created`, which doubles the series of a counter and which no rule reads.
    """
    metric: prometheus_client.Metric = family._get_metric()
    name = metric.name + ("_total" if metric.type == "counter" else "")
    for labelvalues, child, numbers in reading:
        labels = dict(zip(family._labelnames, labelvalues, strict=True))
        if isinstance(child, Histogram):
            below = list(accumulate(numbers[1:]))
            pointed_out = child.pointed_out
            for index, (le, count) in enumerate(zip(child.les, below, strict=True)):
                exemplar = pointed_out.get(index) if pointed_out else None
                metric.add_sample(f"{name}_bucket", {**labels, "le": le}, count, exemplar=exemplar)
            if child.has_sum:  # OpenMetrics allows a count only beside a sum
                metric.add_sample(f"{name}_count", labels, below[-1])
                metric.add_sample(f"{name}_sum", labels, numbers[0])
        else:
            metric.add_sample(name, labels, numbers[0])
    return metric


def begin_anew(registry: prometheus_client.CollectorRegistry | None, families: Iterable[Any]) -> None:
    """Count from zero in a forked child, and replace the locks of a registry, families and values: any may be held.

    Values in multiprocess files begin anew by themselves, and share one lock that prometheus_client keeps to itself.
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
                    if not isinstance(family, prometheus_client.Gauge):
                        value._value = 0.0
            getattr(metric, "_pointed_out", {}).clear()

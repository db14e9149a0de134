"""Where the numbers come from: a process's page of metrics, scraped again and again, or a Prometheus."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from pipemon import catalogue as c
from pipemon.errors import OptionError, UnavailableError
from pipemon.generate.lookback import selected
from pipemon.generate.promql import literal, quote
from pipemon.prometheus import Prometheus, Sample, page_samples
from pipemon.units import duration
from pipemon.watch.reading import (
    COUNTERS,
    FEATURE_BUCKET,
    GAUGES,
    Alert,
    Reading,
    increases,
    summed,
)

_KEPT_SCRAPES = 20
_AS_THEY_ARE: Mapping[str, str] = {}
_COUNTED = ("_total", "_bucket", "_count", "_sum")
_USUAL = 60.0
_SCRAPES = 4
"""So many are looked back over where nobody said how far, or a minute, if that is more."""
_REMEMBERED = "1h"
"""How long a stage that is gone is shown, as on the dashboards."""

Scrape = Mapping[frozenset[tuple[str, str]], float]
"""The counters of a page, by their labels, the name among them."""


class Source(Protocol):
    """Whatever can be read."""

    url: str

    def read(self) -> Reading:
        """Return what there is now. Raises UnavailableError."""


def source(
    url: str,
    over: float | None,
    labels: Mapping[str, str] = _AS_THEY_ARE,
    interval: float | None = None,
    batch: Iterable[str] = (),
) -> Source:
    """Return the source at an address: one that ends in /metrics is a process's page, any other a Prometheus.

    `over` is how many seconds a reading looks back; by default a minute, or four scrapes of a Prometheus. `labels` are
    those that arrive there under other names, where a target has one of the same name; `interval` is the seconds
    between two scrapes where Prometheus does not tell. `batch` are pipelines of which it has the last run.
    """
    if urlsplit(url).path.rstrip("/").endswith("/metrics"):
        return Page(url, over or _USUAL)
    return Server(url, over, labels, interval, tuple(batch))


@dataclass
class Page:
    """One process's page: a reading is the newest scrape against one that is `over` seconds old, or the first."""

    url: str
    over: float
    clock: Callable[[], float] = time.monotonic
    _scrapes: deque[tuple[float, Scrape]] = field(default_factory=deque)

    def read(self) -> Reading:
        """Scrape once more."""
        samples = [sample for sample in page_samples(self.url) if sample.labels["__name__"].startswith("pipemon_")]
        now = self.clock()
        counters = {_series(sample): sample.value for sample in samples if _counts(sample)}
        while len(self._scrapes) > 1 and self._scrapes[1][0] <= now - self.over:
            self._scrapes.popleft()
        if not self._scrapes or now - self._scrapes[-1][0] >= self.over / _KEPT_SCRAPES:
            # The labels of the scrape before, where they are the same: each is in memory once.
            known = {series: series for series in self._scrapes[-1][1]} if self._scrapes else {}
            self._scrapes.append((now, {known.get(series, series): value for series, value in counters.items()}))
        began, before = self._scrapes[0]
        steps = increases(before, counters)
        risen = tuple(Sample(each.labels, steps[_series(each)]) if _counts(each) else each for each in samples)
        found = summed(risen, COUNTERS), summed(risen, GAUGES)
        return Reading(time.time(), now - began, *found, samples=risen, totals=tuple(samples))


def _series(sample: Sample) -> frozenset[tuple[str, str]]:
    return frozenset(sample.labels.items())


def _counts(sample: Sample) -> bool:
    return sample.labels["__name__"].endswith(_COUNTED)


@dataclass
class Server:
    """A Prometheus: `over` seconds back from now, all replicas together; of `batch` pipelines, the last run."""

    url: str
    over: float | None
    labels: Mapping[str, str] = field(default_factory=dict)
    interval: float | None = None
    batch: tuple[str, ...] = ()
    _told_interval: float | None = None
    _has_rules: bool = False

    def read(self) -> Reading:
        """Ask for each metric once. Raises OptionError where `over` is less than two scrapes."""
        prometheus = Prometheus(self.url)
        there = self._there(prometheus)
        over = self._over(prometheus, there)

        def asked(name: str, labels: tuple[str, ...], expr: str) -> list[Sample]:
            found = prometheus.query(f"sum by ({', '.join(labels)}) ({expr})")
            return [Sample({"__name__": name, "le": "+Inf"} | sample.labels, sample.value) for sample in found]

        counted: list[Sample] = []
        for name, labels in COUNTERS.items():
            counted += asked(name, labels, self._named_back(labels, self._counted(name, duration(over))))
        shown: list[Sample] = []
        for name, labels in GAUGES.items():
            shown += asked(name, labels, self._shown(name, labels))
        return Reading(
            time.time(),
            over,
            summed(counted, COUNTERS),
            summed(shown, GAUGES),
            self._alerts(prometheus),
            seen=frozenset((one["pipeline"], one["stage"]) for one in there if one.get("track") != "shadow"),
        )

    def _counted(self, name: str, window: str) -> str:
        """Return how far the counters of a name went in a window; of batch pipelines, where they stand."""
        all_values = 'le="+Inf",' if name == FEATURE_BUCKET else ""
        if not self.batch:
            return f"increase({name}{{{all_values}}}[{window}])"
        label, names = self.labels.get("pipeline", "pipeline"), quote("|".join(map(literal, self.batch)))
        rising, pushed = (f"{name}{{{all_values}{label}{op}{names}}}[{window}]" for op in ("!~", "=~"))
        return f"(increase({rising}) or last_over_time({pushed}))"

    def _there(self, prometheus: Prometheus) -> list[Mapping[str, str]]:
        """Return the stages of the last hour, and the targets that export them."""
        labels = (*c.STAGE_CALLS.labels, "job", "instance")
        series = self._named_back(labels, f"last_over_time({c.STAGE_CALLS.name}[{_REMEMBERED}])")
        return [sample.labels for sample in prometheus.query(f"count by ({', '.join(labels)}) ({series})")]

    def _over(self, prometheus: Prometheus, there: list[Mapping[str, str]]) -> float:
        if self._told_interval is None:
            known = {(one.get("job"), one.get("instance")) for one in there}
            try:
                targets = prometheus.targets()
            except UnavailableError:  # others that answer Prometheus' queries have no such page
                targets = []
            each = (t.interval for t in targets if (t.labels.get("job"), t.labels.get("instance")) in known)
            self._told_interval = max(filter(None, each), default=self.interval)
        interval = self._told_interval or 0.0
        if self.over is not None and self.over < 2 * interval:
            told = f"--over {duration(self.over)} is less than two scrapes of {duration(interval)}"
            raise OptionError(f"{told}; give {duration(_SCRAPES * interval)}")
        return self.over or max(_USUAL, _SCRAPES * interval)

    def _shown(self, name: str, labels: tuple[str, ...]) -> str:
        """Return a gauge: what runs now adds up over replicas, what is said of a place is said until it is gone."""
        now = self._named_back(labels, selected(name, self._told_interval or 0.0))
        if name in (c.STAGE_IN_PROGRESS.name, c.PIPELINE_IN_PROGRESS.name):
            return now
        last = self._named_back(labels, f"last_over_time({name}[{_REMEMBERED}])")
        place = ", ".join(label for label in ("pipeline", "stage") if label in labels)
        by = f"max by ({', '.join(labels)})"
        return f"{by} ({now}) or on ({place}) {by} ({last})"

    def _alerts(self, prometheus: Prometheus) -> tuple[Alert, ...] | None:
        """Return what fires and waits; None where no rule of a failure mode is loaded, so that nothing could."""
        found = tuple(_alerts(prometheus))
        if not (found or self._has_rules):
            try:
                self._has_rules = any("failure_mode" in rule.labels for rule in prometheus.rules())
            except UnavailableError:  # who evaluates them may be another
                self._has_rules = True
        return found if found or self._has_rules else None

    def _named_back(self, labels: tuple[str, ...], expr: str) -> str:
        """Return series with the labels that arrive under other names, where they do, under their own."""
        for label, name in self.labels.items():
            if label in labels:
                expr = f'label_replace({expr}, "{label}", "$1", "{name}", "(.+)")'
        return expr


def _alerts(prometheus: Prometheus) -> list[Alert]:
    which = '{pipeline!="",failure_mode!=""}'
    began = {_identity(sample.labels): sample.value for sample in prometheus.query(f"ALERTS_FOR_STATE{which}")}
    found = []
    for sample in prometheus.query(f"ALERTS{which}"):
        labels = sample.labels
        found.append(
            Alert(
                pipeline=labels["pipeline"],
                stage=labels.get("stage", ""),
                failure_mode=labels["failure_mode"],
                severity=labels.get("severity", ""),
                state="pending" if labels.get("alertstate") == "pending" else "firing",
                since=began.get(_identity(labels)),
            )
        )
    return found


def _identity(labels: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset((label, value) for label, value in labels.items() if label not in ("__name__", "alertstate"))

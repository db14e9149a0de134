"""Where the numbers come from: a process's page of metrics, scraped again and again, or a Prometheus."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from pipemon import catalogue as c
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

Scrape = Mapping[frozenset[tuple[str, str]], float]
"""The counters of a page, by their labels, the name among them."""


class Source(Protocol):
    """Whatever can be read; `over` is the seconds that a reading looks back."""

    url: str
    over: float

    def read(self) -> Reading:
        """Return what there is now. Raises UnavailableError."""


def source(url: str, over: float, labels: Mapping[str, str] = _AS_THEY_ARE) -> Source:
    """Return the source at an address: one that ends in /metrics is a process's page, any other a Prometheus.

    `labels` are those that arrive there under other names, where a target has one of the same name.
    """
    if urlsplit(url).path.rstrip("/").endswith("/metrics"):
        return Page(url, over)
    return Server(url, over, labels)


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
    """A Prometheus: `over` seconds back from now, all replicas together."""

    url: str
    over: float
    labels: Mapping[str, str] = field(default_factory=dict)

    def read(self) -> Reading:
        """Ask for each metric once."""
        prometheus, window = Prometheus(self.url), duration(self.over)

        def asked(name: str, labels: tuple[str, ...], expr: str) -> list[Sample]:
            found = prometheus.query(f"sum by ({', '.join(labels)}) ({expr})")
            return [Sample({"__name__": name, "le": "+Inf"} | sample.labels, sample.value) for sample in found]

        counted: list[Sample] = []
        for name, labels in COUNTERS.items():
            selected = f'{name}{{le="+Inf"}}' if name == FEATURE_BUCKET else name
            counted += asked(name, labels, self._named_back(labels, f"increase({selected}[{window}])"))
        # Replicas have the same budget each; what they have in progress adds up.
        shown: list[Sample] = []
        for name, labels in GAUGES.items():
            running = name in (c.STAGE_IN_PROGRESS.name, c.PIPELINE_IN_PROGRESS.name)
            each = self._named_back(labels, name)
            shown += asked(name, labels, each if running else f"max by ({', '.join(labels)}) ({each})")
        return Reading(
            time.time(), self.over, summed(counted, COUNTERS), summed(shown, GAUGES), tuple(_alerts(prometheus))
        )

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

"""What really runs: series as Prometheus holds them, or as one process shows them on its /metrics page."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import urlsplit

from pipemon.errors import UnavailableError
from pipemon.generate.arrived import matcher, named_back
from pipemon.generate.live.counters import NotOnePageError, Page
from pipemon.generate.lookback import in_sight, selected
from pipemon.generate.promql import Expr, Matcher, one_of, quote, text
from pipemon.prometheus import Prometheus, Sample, Series, Target, page_samples
from pipemon.spec.model import Spec

_HOUR, _STEP = 3600.0, 60.0


class Live(Protocol):
    """What runs, asked for values. Every method raises UnavailableError where no usable answer comes."""

    @property
    def one_process(self) -> bool:
        """Tell whether it is one process's page: its counters since it began, and no past."""

    def shown(self, names: Sequence[str], labels: Sequence[str], pipeline: str) -> list[dict[str, str]]:
        """Return the series of these names there, with `__name__` and these labels, each combination once.

        They are the pipeline's own, and those that have its name under `exported_pipeline`; with `pipeline` ""
        they are all of these names.
        """

    def now(self, expr: Expr) -> list[Sample] | None:
        """Return what an expression gives, None where it can't be told here."""

    def lately(self, expr: Expr) -> list[Series]:
        """Return what an expression gave in the last hour, nothing where that is not known."""

    def others(self, like: str) -> list[str]:
        """Return names of all series there, or, with `like` the name of a label, all of its values."""

    def interval(self, jobs: Iterable[str]) -> float | None:
        """Return how often targets of these jobs are scraped at the least, in seconds, if it is known."""

    def retention(self) -> float | None:
        """Return how long samples are kept, in seconds, if it is known."""

    def external_labels(self) -> frozenset[str]:
        """Return the names of the labels that alerts get on their way out, and no series has; none if not known."""


class _Server:
    """A Prometheus, or whatever answers its API; its scrapes are so many seconds `apart`.

    What it does not tell of itself is not known.
    """

    one_process = False

    def __init__(self, client: Prometheus, apart: float) -> None:
        self._client, self._apart = client, apart

    def shown(self, names: Sequence[str], labels: Sequence[str], pipeline: str) -> list[dict[str, str]]:
        by = ", ".join(dict.fromkeys(("__name__", "pipeline", "exported_pipeline", *labels)))
        found: list[dict[str, str]] = []
        for label in ("pipeline", "exported_pipeline") if pipeline else ("pipeline",):
            which = f"{_written(one_of('__name__', tuple(names)))},{label}={quote(pipeline)}"
            series = selected(f"{{{which}}}", self._apart)
            found += [sample.labels for sample in self._client.query(f"count by ({by}) ({series})")]
        return list({tuple(sorted(row.items())): row for row in found}.values())

    def now(self, expr: Expr) -> list[Sample]:
        return self._client.query(text(in_sight(expr, self._apart)))

    def lately(self, expr: Expr) -> list[Series]:
        end = time.time()
        return self._client.query_range(text(in_sight(expr, self._apart)), end - _HOUR, end, _STEP)

    def others(self, like: str) -> list[str]:
        if like == "__name__":
            return self._client.names()
        # A series that every pipeline has, so that no other label of this name is in the way.
        found = self._client.query(f"count by ({like}) (pipemon_stage_calls_total)")
        return sorted(sample.labels[like] for sample in found if like in sample.labels)

    def interval(self, jobs: Iterable[str]) -> float | None:
        wanted = set(jobs)
        try:
            targets: list[Target] = self._client.targets()
        except UnavailableError:
            # A ruler's storage scrapes nothing itself.
            return None
        return max((t.interval for t in targets if t.labels.get("job") in wanted and t.interval), default=None)

    def retention(self) -> float | None:
        try:
            return self._client.retention()
        except UnavailableError:
            return None

    def external_labels(self) -> frozenset[str]:
        try:
            return frozenset(self._client.external_labels())
        except UnavailableError:
            return frozenset()


@dataclass(frozen=True)
class _Process:
    """One process's page, whose series have no labels of a target."""

    page: Page
    one_process = True

    def shown(self, names: Sequence[str], labels: Sequence[str], pipeline: str) -> list[dict[str, str]]:
        return [
            sample.labels
            for sample in self.page.samples
            if sample.labels["__name__"] in names and sample.labels.get("pipeline", "") == pipeline
        ]

    def now(self, expr: Expr) -> list[Sample] | None:
        try:
            return self.page.evaluate(expr)
        except NotOnePageError:
            return None

    def lately(self, expr: Expr) -> list[Series]:
        return []

    def others(self, like: str) -> list[str]:
        return sorted({sample.labels[like] for sample in self.page.samples if like in sample.labels})

    def interval(self, jobs: Iterable[str]) -> float | None:
        return None

    def retention(self) -> float | None:
        return None

    def external_labels(self) -> frozenset[str]:
        return frozenset()


def running(url: str, spec: Spec) -> tuple[Live, Spec]:
    """Return what runs at an address, and the spec as it holds there: a page has no labels of a target.

    An address that ends in /metrics is one process's page, any other a Prometheus. Raises UnavailableError
    if a page does not answer.
    """
    if not _is_page(url):
        return _Server(Prometheus(url), spec.timing.scrape_interval), spec
    return _Process(Page(page_samples(url), time.time())), replace(spec, select=(), keep=(), labels=())


def live_samples(url: str, spec: Spec, names: Iterable[str]) -> list[Sample]:
    """Return the spec's series of these names, the name under `__name__`, whose last sample is fresh.

    An address that ends in /metrics is one process's page, any other a Prometheus. Raises UnavailableError
    if there is no usable answer.
    """
    wanted = tuple(names)
    if not _is_page(url):
        own = [one_of("__name__", wanted), matcher(spec, "pipeline", spec.pipeline)]
        own += [Matcher(label, "=", value) for label, value in spec.select]
        series = selected("{" + ",".join(map(_written, own)) + "}", spec.timing.scrape_interval)
        found = Prometheus(url).query(series)
        return [Sample(named_back(spec, sample.labels), sample.value) for sample in found]
    return [
        sample
        for sample in page_samples(url)
        if sample.labels["__name__"] in wanted and sample.labels.get("pipeline") == spec.pipeline
    ]


def _is_page(url: str) -> bool:
    return urlsplit(url).path.rstrip("/").endswith("/metrics")


def _written(matcher: Matcher) -> str:
    return f"{matcher.label}{matcher.op}{quote(matcher.value)}"

"""What a Prometheus still has of a period, asked for in pieces that it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil

from pipemon import catalogue as c
from pipemon.catalogue import Metric
from pipemon.errors import UnavailableError
from pipemon.generate.own_series import exported_series
from pipemon.generate.promql import Aggregate, Binary, Expr, text
from pipemon.generate.promql import select as series_of
from pipemon.generate.queries import matchers, targets
from pipemon.prometheus import Prometheus
from pipemon.spec.model import Spec

Labels = tuple[tuple[str, str], ...]
Points = dict[Labels, list[tuple[float, float]]]
"""(Unix time, value) by the labels of their series without its name, the oldest first."""

_STEPS = 4000
_FEWEST_STEPS = 100
_LOOKS = 500


@dataclass(frozen=True)
class Period:
    """From `start` to `end`, Unix times, both included."""

    start: float
    end: float

    @property
    def weeks(self) -> float:
        """Its length in weeks."""
        return (self.end - self.start) / (7 * 86400.0)


@dataclass(frozen=True)
class Known:
    """What of a period has samples: since when (None: none of it) and for how long in all, in seconds.

    The length is true to a five-hundredth of the period, the beginning to a scrape or so. `keeps` is the server's
    retention in seconds, None where it tells none.
    """

    since: float | None
    length: float
    keeps: float | None


def aligned(period: Period, step: float) -> Period:
    """Return the period from one multiple of `step` to another, as rules and subqueries are evaluated."""
    return Period(ceil(period.start / step) * step, period.end // step * step)


def pieces(period: Period, step: float) -> int:
    """Return how many queries `fetched` begins with."""
    return max(1, ceil(((period.end - period.start) // step + 1) / _STEPS))


def fetched(prometheus: Prometheus, expr: Expr, period: Period, step: float, done: Callable[[], None]) -> Points:
    """Return what an expression gives over a period by `step` seconds; calls `done` after each of its `pieces`.

    Where the server refuses a piece, as one that reads too much, it is halved. Raises UnavailableError.
    """
    query, found = text(expr), Points()
    for each in in_pieces(period, step):
        for labels, points in _piece(prometheus, query, each, step).items():
            found.setdefault(labels, []).extend(points)
        done()
    return found


def in_pieces(period: Period, step: float) -> Iterator[Period]:
    """Yield a period's pieces in their order: as long as a server may be asked for at once."""
    start = period.start
    while start <= period.end:
        end = min(period.end, start + (_STEPS - 1) * step)
        yield Period(start, end)
        start = end + step


def _piece(prometheus: Prometheus, query: str, period: Period, step: float) -> Points:
    try:
        answer = prometheus.query_range(query, period.start, period.end, step)
    except UnavailableError as error:
        steps = round((period.end - period.start) / step)
        if steps < _FEWEST_STEPS or " refused: " not in str(error) or " 400 " in str(error):
            raise
        middle = period.start + steps // 2 * step
        found = _piece(prometheus, query, Period(period.start, middle), step)
        for labels, points in _piece(prometheus, query, Period(middle + step, period.end), step).items():
            found.setdefault(labels, []).extend(points)
        return found
    return {unnamed(series.labels): list(series.points) for series in answer}


def unnamed(labels: Mapping[str, str]) -> Labels:
    """Return a series' labels without its name, sorted."""
    return tuple(sorted((name, value) for name, value in labels.items() if name != "__name__"))


def known(spec: Spec, prometheus: Prometheus, period: Period) -> Known:
    """Return what of a period has samples of the pipeline. Raises UnavailableError."""

    def every(metric: Metric) -> Expr:
        return series_of(metric, matchers(spec, metric), target_labels=targets(spec))

    count = Aggregate("count", (), Binary("or", every(c.STAGE_CALLS), every(c.PIPELINE_RUNS)))
    step = max(spec.timing.scrape_interval, (period.end - period.start) / _LOOKS)
    found = _seen(prometheus, text(exported_series(spec, count)), period, step)
    try:
        return replace(found, keeps=prometheus.retention())
    except UnavailableError:  # others that answer Prometheus' queries have no such page
        return found


def _seen(prometheus: Prometheus, query: str, period: Period, step: float) -> Known:
    """Return since when a query of one series gives something, and for how long, looking each `step` seconds."""
    points = _times(prometheus, query, period, step)
    since = points[0] if points else None
    if since is not None and since > period.start:
        before = Period(max(period.start, since - step), since)
        since = min([since, *_times(prometheus, query, before, max(1.0, step / _LOOKS))])
    return Known(since, min(period.end - period.start, len(points) * step), None)


def _times(prometheus: Prometheus, query: str, period: Period, step: float) -> list[float]:
    answer = prometheus.query_range(query, period.start, period.end, step)
    return [time for series in answer for time, _ in series.points]


def absent(prometheus: Prometheus, queries: list[str], period: Period) -> list[str]:
    """Return those of some selectors that no series of the period fits. Raises UnavailableError."""
    return [query for query in queries if not prometheus.has_series(query, period.start, period.end)]

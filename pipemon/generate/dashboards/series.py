"""Queries of what any pipeline exports, for panels whose variables choose the pipeline and what of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

from pipemon import catalogue as c
from pipemon.catalogue import Metric
from pipemon.generate.arrived import Labels
from pipemon.generate.dashboards.panels import Query
from pipemon.generate.dashboards.text import RATE_INTERVAL
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, Selector, Window, one_of, select
from pipemon.generate.queries import ALL_VALUES, OF_ALL_SLICES, interpolated, per
from pipemon.generate.recordings import own
from pipemon.spec.model import SEVERITIES, Spec

REMEMBERED = 3600.0
"""Seconds that what a process exported is remembered when it is not scraped any more: it may be down, or begin anew."""

_PIPELINE = Matcher("pipeline", "=", "$pipeline")
_VARIABLES = {
    "stage": Matcher("stage", "=~", "$stage"),
    "version": Matcher("version", "=~", "$version"),
    "instance": Matcher("instance", "=~", "$instance"),
}


@dataclass(frozen=True)
class Choice:
    """What a dashboard is about: `matchers` go into every selector whose metric has their label.

    `targets` are the labels of scrape targets among them, `window` that of rates. `fills` tells that matchers
    name variables, `live` that shadow calls are left out. `severities` are the alerts' labels for page, ticket
    and notice. `labels` are those of pipemon that arrive under other names.
    """

    matchers: tuple[Matcher, ...]
    targets: tuple[str, ...] = ()
    window: Window = RATE_INTERVAL
    fills: bool = True
    live: bool = True
    severities: tuple[str, str, str] = ("critical", "warning", "info")
    labels: Labels = ()

    def of(self, metric: Metric, *more: Matcher) -> tuple[Matcher, ...]:
        """Return the matchers that a metric's selector takes: no shadow calls, unless they are asked for."""
        known = {*metric.labels, *self.targets} - {matcher.label for matcher in more}
        found = [matcher for matcher in self.matchers if matcher.label in known]
        if metric in (c.ALERTS, c.ALERTS_FOR_STATE):
            # Not every written expression says whose its alert is.
            found = [one_of(m.label, (m.value, "")) if m.label in self.targets else m for m in found]
        if self.live and "track" in known & set(metric.labels):
            found.append(Matcher("track", "!=", "shadow"))
        return (*found, *more)

    def series(
        self, metric: Metric, *more: Matcher, suffix: str = "", window: Window | None = None, offset: float = 0.0
    ) -> Selector:
        """Return the series of a metric."""
        return select(
            metric, self.of(metric, *more), suffix=suffix, window=window, offset=offset, target_labels=self.targets
        )

    def lately(self, metric: Metric, *more: Matcher, suffix: str = "") -> Expr:
        """Return the most that each series was in the last hour of a graph: what does not change along it."""
        series = self.series(metric, *more, suffix=suffix, window=REMEMBERED)
        return Call("max_over_time", (replace(series, at_end=True),))

    def rate(
        self, metric: Metric, by: tuple[str, ...], *more: Matcher, suffix: str = "", function: str = "rate"
    ) -> Aggregate:
        """Return `sum by (by) (rate(metric[window]))`."""
        series = self.series(metric, *more, suffix=suffix, window=self.window)
        return Aggregate("sum", by, Call(function, (series,)))

    def by_severity(self) -> tuple[Matcher, Matcher, Matcher]:
        """Return what picks alerts of page, ticket and notice; a team's own words for a severity count as ticket."""
        page, _, notice = self.severities
        return (
            Matcher("severity", "=", page),
            Matcher("severity", "!~", f"{page}|{notice}"),
            Matcher("severity", "=", notice),
        )

    def over(self, window: Window) -> Choice:
        """Return the same with another window."""
        return replace(self, window=window)

    def all_tracks(self) -> Choice:
        """Return the same with shadow calls."""
        return replace(self, live=False)

    def query(self, expr: Expr, legend: str = "", *, instant: bool = False, color: str | None = None) -> Query:
        """Return a query of a panel over time, or of now."""
        return Query(expr, legend, instant, color, fills=self.fills)

    def rows(self, expr: Expr) -> Query:
        """Return a query whose series are rows of a table, now."""
        return Query(expr, "", True, form="table", fills=self.fills)


def chosen(*variables: str) -> Choice:
    """Return what the variables of a dashboard choose: the pipeline, and any of stage, version and instance."""
    return Choice(
        (_PIPELINE, *(_VARIABLES[name] for name in variables)), ("instance",) if "instance" in variables else ()
    )


def of_spec(spec: Spec) -> Choice:
    """Return what a spec is about: its pipeline, of its selection."""
    targets = tuple(label for label, _ in spec.select)
    page, ticket, notice = map(spec.severity_label, SEVERITIES)
    return Choice(own(spec), targets, fills=False, severities=(page, ticket, notice), labels=spec.labels)


def either(*choices: Expr) -> Expr:
    """Return the first of some expressions that has a series."""
    return reduce(lambda left, right: Binary("or", left, right), choices)


def ran(choice: Choice, by: tuple[str, ...], *more: Matcher) -> Expr:
    """Return calls a second without those that were declined: what shares are of."""
    calls = choice.rate(c.STAGE_CALLS, by, *more)
    return Binary("or", Binary("-", calls, choice.rate(c.STAGE_SKIPPED, by, *more)), calls)


def some(expr: Expr) -> Expr:
    """Return what is above nothing: an area of no height would be drawn as the edge of the one below it."""
    return Binary(">", expr, 0.0)


def share(choice: Choice, metric: Metric, by: tuple[str, ...], *more: Matcher) -> Expr:
    """Return the share of calls of one outcome."""
    return per(choice.rate(metric, by, *more), ran(choice, by, *more))


def missing(choice: Choice, by: tuple[str, ...], *more: Matcher) -> Expr:
    """Return the share of looks at a feature that found nothing."""
    return per(choice.rate(c.FEATURE_MISSING, by, *more), choice.rate(c.FEATURE_OBSERVED, by, *more))


def ever(choice: Choice, metric: Metric, by: tuple[str, ...], *more: Matcher) -> Expr:
    """Return a rate where the counter rose lately: of what never happened there is nothing to see."""
    rose = Aggregate("max", by, choice.lately(metric, *more))
    return Binary("and", choice.rate(metric, by, *more), Binary(">", rose, 0.0))


def ever_missing(choice: Choice, by: tuple[str, ...], *more: Matcher) -> Expr:
    """Return the same of the features that ever were missing: of hundreds of others there is nothing to see."""
    rose = Aggregate("max", by, choice.lately(c.FEATURE_MISSING, *more))
    return Binary("and", missing(choice, by, *more), Binary(">", rose, 0.0))


def mean(choice: Choice, by: tuple[str, ...], *more: Matcher) -> Expr:
    """Return a feature's mean."""
    positive = choice.rate(c.FEATURE_SUM, by, *more, Matcher("sign", "=", "positive"))
    negative = choice.rate(c.FEATURE_SUM, by, *more, Matcher("sign", "=", "negative"))
    return per(Binary("-", positive, negative), choice.rate(c.FEATURE_VALUE, by, *more, ALL_VALUES, suffix="_bucket"))


def quantile(choice: Choice, metric: Metric, q: float, by: tuple[str, ...], *more: Matcher) -> Expr:
    """Return an interpolated quantile of a histogram, and nothing where there was none."""
    buckets = choice.rate(metric, (*by, "le"), *more, suffix="_bucket")
    return interpolated(metric, q, buckets)


def feedback(choice: Choice, by: tuple[str, ...], *more: Matcher) -> Expr:
    """Return feedback per call, by signal, of those that ever came; `by` are the labels of both."""
    return per(ever(choice, c.FEEDBACK, (*by, "signal"), OF_ALL_SLICES, *more), ran(choice, by), on=by)

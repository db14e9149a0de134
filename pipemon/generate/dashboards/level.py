"""A stage, or the pipeline as a whole, with the failure modes that watch it: what the panels of a row share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pipemon import catalogue as c
from pipemon.generate import queries as q
from pipemon.generate.dashboards.board import link
from pipemon.generate.dashboards.panels import Json, Line, Panel, Query, timeseries
from pipemon.generate.dashboards.states import SEVERITY_COLORS
from pipemon.generate.dashboards.text import RATE_INTERVAL, note, plain, web
from pipemon.generate.expressions import moving_limit
from pipemon.generate.measures import measure
from pipemon.generate.promql import Matcher, Recorded
from pipemon.generate.recordings import Measure
from pipemon.spec.model import Condition, FailureMode, Spec
from pipemon.topology import FeatureShape


@dataclass(frozen=True)
class Watch:
    """A failure mode's condition of this level, and how it is measured."""

    mode: FailureMode
    condition: Condition
    measure: Measure


@dataclass(frozen=True)
class Level:
    """A stage, or the pipeline where `stage` is None, with what watches it."""

    spec: Spec
    stage: str | None
    watches: tuple[Watch, ...]

    @property
    def by(self) -> tuple[str, ...]:
        """What its queries group by."""
        return q.key(self.spec, self.stage)

    @property
    def sums(self) -> q.Sums:
        """What its queries of the moment add up."""
        return q.Sums(self.spec, self.by, RATE_INTERVAL)

    @property
    def here(self) -> tuple[Matcher, ...]:
        """What picks it from all stages."""
        return (Matcher("stage", "=", self.stage),) if self.stage else ()

    @property
    def calls(self) -> str:
        """What its calls are called."""
        return "calls" if self.stage else "runs"

    @property
    def signals(self) -> tuple[str, ...]:
        """The feedback that is exported for this stage."""
        declared = self.spec.stage(self.stage).feedback if self.stage else ()
        return tuple(dict.fromkeys((*c.FEEDBACK_SIGNALS, *declared, c.OTHER)))

    def kept(self, *more: str) -> str:
        """What a legend adds to tell the series of one query apart."""
        return "".join(f" {{{{{label}}}}}" for label in (*more, *self.spec.told_apart_by))

    def watching(self, signal: str, feature: FeatureShape | None = None) -> tuple[Watch, ...]:
        """The conditions on a signal, and on one feature where it has one."""
        return self._watching.get((signal, feature), ())

    @cached_property
    def _watching(self) -> dict[tuple[str, FeatureShape | None], tuple[Watch, ...]]:
        found: dict[tuple[str, FeatureShape | None], list[Watch]] = {}
        for watch in self.watches:
            found.setdefault((watch.condition.signal, watch.condition.feature), []).append(watch)
        return {which: tuple(watches) for which, watches in found.items()}

    def panel(
        self,
        key: str,
        title: str,
        description: str,
        queries: Iterable[Query],
        watches: Iterable[Watch] = (),
        *,
        unit: str,
        lines: Iterable[Line] = (),
        empty: str = "no traffic",
        from_zero: bool = True,
        stacked: bool = False,
        names: Sequence[str] = (),
    ) -> Panel:
        """A panel of this level whose description ends with the failure modes that watch it."""
        drawn = tuple(queries)
        if any(isinstance(query.expr, Recorded) for query in drawn):
            empty += ", or the rules are not loaded"
        modes = tuple({watch.mode.name: watch.mode for watch in watches}.values())
        made = timeseries(
            f"{'stage' if self.stage else 'pipeline'}/{self.stage or ''}/{key}",
            plain(title),
            "\n\n".join((description, *(note(self.spec, mode) for mode in modes))),
            drawn,
            unit=unit,
            min_step=self.spec.timing.scrape_interval,
            empty=empty,
            lines=lines,
            from_zero=from_zero,
            stacked=stacked,
            at_least=0.05 if unit == "percentunit" and from_zero else None,
            names=names,
            many_series=bool(self.spec.told_apart_by),
        )
        return replace(made, modes=tuple(mode.name for mode in modes), links=runbook_links(modes))

    def recorded(self, watches: Iterable[Watch], words: str) -> tuple[Query, ...]:
        """The series that the alerts read, each once."""
        watches = tuple(watches)
        found = {
            watch.measure.value.series(*watch.measure.matchers): _legend(self.spec, watch, words) for watch in watches
        }
        queries = [Query(expr, legend + self.kept()) for expr, legend in found.items()]
        return (*queries, *self._multiples(watches, words))

    def _multiples(self, watches: Iterable[Watch], words: str) -> Iterator[Query]:
        """What is a threshold that moves: a multiple of the past, or of the stable versions; a gap where unknown."""
        for watch in watches:
            reference, threshold = watch.measure.reference, watch.condition.threshold
            if reference is not None and threshold is not None:
                color, ends = SEVERITY_COLORS[watch.mode.severity], (threshold.low, threshold.high)
                for end in (end for end in ends if end is not None):
                    line = moving_limit(self.spec, watch.mode, watch.condition, reference, end)
                    legend = f"{words}{_of_slice(watch)}: fires {threshold.words}{self.kept()}"
                    yield Query(line, legend, color=color, dashed=True)


def runbook_links(modes: Iterable[FailureMode]) -> tuple[Json, ...]:
    """Return a panel's links to the runbook's entries on failure modes."""
    return tuple(link(f"Runbook: {mode.name}", mode.runbook) for mode in modes if web(mode.runbook))


def _legend(spec: Spec, watch: Watch, words: str) -> str:
    version = " of {{version}}" if "version" in watch.measure.value.labels else ""
    return f"{words}{_of_slice(watch)}{version} {spec.over(watch.mode)}"


def _of_slice(watch: Watch) -> str:
    return f" of {watch.condition.slice}" if watch.condition.slice else ""


def level_of(spec: Spec, stage: str | None) -> Level:
    """Return a stage, or the pipeline where `stage` is None, with what watches it and can be drawn."""
    watches = tuple(
        Watch(mode, condition, found)
        for mode in spec.measurable_at.get(stage, ())
        for condition in mode.conditions
        if (found := measure(spec, mode, condition)) is not None
    )
    return Level(spec, stage, watches)


def threshold_lines(watches: Iterable[Watch]) -> list[Line]:
    """Return the thresholds of the alerts: the same numbers."""
    return [
        Line(value, SEVERITY_COLORS[watch.mode.severity])
        for watch in watches
        if watch.condition.threshold is not None and watch.condition.reference is None
        for value in (watch.condition.threshold.low, watch.condition.threshold.high)
        if value is not None
    ]

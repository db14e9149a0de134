"""Recording rules as values: what each counts together, and when, and what a condition is measured by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pipemon import catalogue as c
from pipemon.catalogue import Metric
from pipemon.generate.promql import Call, Expr, Matcher, Recorded, span
from pipemon.generate.queries import Sums, calls_total, key, less_skipped, total
from pipemon.spec.model import Condition, Spec

_OF_COUNTERS = re.compile(r"(?:rate|increase)$")


@dataclass(frozen=True)
class Recording:
    """A recording rule; `labels` are those of the series that it makes, `parts` the rules that it reads.

    `static` are labels that the rule itself sets: rules of one name differ in them.
    """

    name: str
    expr: Expr
    labels: tuple[str, ...]
    parts: tuple[Recording, ...] = ()
    static: tuple[tuple[str, str], ...] = ()

    def series(self, *matchers: Matcher) -> Recorded:
        """Return the recorded series that `matchers` pick."""
        return Recorded(self.name, self.labels, matchers)


def is_constant(recording: Recording) -> bool:
    """Tell whether a rule records a number that the file says: nothing that is exported tells it."""
    return bool(recording.static) and isinstance(recording.expr, Call) and recording.expr.function == "vector"


CONSTANT = "pipemon:"
"""How the names of constants begin; those of what is counted begin with the labels that it keeps."""


def in_order(recording: Recording) -> tuple[Recording, ...]:
    """Return the rules that a recording reads, directly or not, each behind those that it reads; then itself."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], Recording] = {}

    def visit(each: Recording) -> None:
        if (each.name, each.static) not in found:
            for part in each.parts:
                visit(part)
            found[each.name, each.static] = each

    visit(recording)
    return tuple(found.values())


@dataclass(frozen=True)
class Part:
    """A count that a value is made of: `of` says which, as a share of the observations behind it.

    `value`: value x count; `rest`: (1 - value) x count; `count`: the observations themselves; `calls`: these
    and the calls that were skipped; `among`: one of many that add up to the value.
    """

    recording: Recording
    matchers: tuple[Matcher, ...]
    of: Literal["value", "rest", "count", "calls", "among"]


@dataclass(frozen=True)
class Measure:
    """A condition's value and the count of what it was measured on, with the matchers of its one series.

    `reference` is what the threshold is a multiple of, where it is one; `beside` are the same over other windows,
    of what is judged over several.
    """

    value: Recording
    matchers: tuple[Matcher, ...]
    count: Recording | None
    count_matchers: tuple[Matcher, ...]
    parts: tuple[Part, ...] = ()
    reference: Measure | None = None
    beside: tuple[Measure, ...] = ()

    @property
    def tops(self) -> tuple[Recording, ...]:
        """The recording rules that are read as they are: the value, the count, and those of what stands beside."""
        found = [each for each in (self.value, self.count) if each is not None]
        more = (*([self.reference] if self.reference else []), *self.beside)
        return (*found, *(top for each in more for top in each.tops))

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """The recording rules that it needs, each behind those that it reads."""
        return tuple(each for top in self.tops for each in in_order(top))


@dataclass(frozen=True)
class Scope(Sums):
    """Sums that rules record, over a window in seconds: of a stage, or of the pipeline where `stage` is None.

    `place` picks its own of their series.
    """

    window: float
    stage: str | None = None
    place: tuple[Matcher, ...] = ()

    def name(self, metric: str, operation: str, *more: str) -> str:
        """Return a recorded series' name as level:metric:operations; `more` are labels beside `by`."""
        ago = f"_offset{span(self.offset)}" if self.offset else ""
        level = "_".join((*self.by, *more))
        if self.spec.schedule is not None:
            # Of a batch pipeline it is what the last run had, over no window.
            return f"{level}:{metric}:{_OF_COUNTERS.sub('last', operation)}{ago}"
        return f"{level}:{metric}:{operation}{span(self.window)}{ago}"

    def counted(
        self, metric: Metric, *which: Matcher, more: tuple[str, ...] = (), suffix: str = "", called: str = ""
    ) -> Recording:
        """Return the rule that counts a metric's events: what ratios and guards are made of.

        `called` is the middle of its name, by default that of the metric.
        """
        # The same for every stage, so made once.
        wanted = ("counted", self.by, self.window, self.offset, self.track, metric.name, which, more, suffix, called)
        return self.spec.derived(
            wanted, lambda _: self._counted(metric, *which, more=more, suffix=suffix, called=called)
        )

    def _counted(self, metric: Metric, *which: Matcher, more: tuple[str, ...], suffix: str, called: str) -> Recording:
        sums = self.also_by(*more)
        name = self.name(called or f"{metric.name.removesuffix('_total')}{suffix}", "increase", *more)
        return Recording(name, total(sums, metric, *which, function="increase", suffix=suffix), sums.by)

    def spent(self, durations: Metric) -> Recording:
        """Return the rule of the time that calls took, in seconds a second."""
        return Recording(self.name(f"{durations.name}_sum", "rate"), total(self, durations, suffix="_sum"), self.by)

    def ran(self) -> Recording:
        """Return the rule that counts what shares are of: calls that were not skipped, or runs."""
        if self.stage is None:
            return self.counted(c.PIPELINE_RUNS)
        return self.spec.derived(("ran", self.by, self.window, self.offset, self.track), lambda _: self._ran())

    def _ran(self) -> Recording:
        name = self.name("pipemon_stage_calls_not_skipped", "increase")
        calls = self.counted(c.STAGE_CALLS)
        expr = less_skipped(self, calls.series(*own(self.spec)), function="increase")
        return Recording(name, expr, self.by, (calls,))


def usual(spec: Spec, stage: str | None, window: float) -> Scope:
    """Return a stage, or the pipeline where `stage` is None, over all versions and live tracks."""
    return Scope(spec, key(spec, stage), window, stage=stage, place=here(spec, stage))


def ran_increase(spec: Spec, stage: str | None, window: float) -> Recording:
    """Return the rule that counts what shares are of: calls that were not skipped, or runs."""
    return usual(spec, stage, window).ran()


def calls_increase(spec: Spec, stage: str | None, window: float) -> Recording:
    """Return the rule that counts calls, or runs, over a window (in seconds)."""
    return usual(spec, stage, window).counted(calls_total(stage))


def here(spec: Spec, stage: str | None) -> tuple[Matcher, ...]:
    """Return the matchers of a recorded series of a stage, or of the pipeline where `stage` is None."""
    place = () if stage is None else (Matcher("stage", "=", stage),)
    return (*own(spec), *place)


def picked(condition: Condition, labels: tuple[str, ...]) -> tuple[Matcher, ...]:
    """Return the matchers of those of a condition's own label values that `labels` name."""
    return tuple(Matcher(label, "=", value) for label, value in condition.labels if label in labels)


def own(spec: Spec) -> tuple[Matcher, ...]:
    """Return the matchers of the series that the pipeline's own rules record."""
    selected = tuple(Matcher(label, "=", value) for label, value in spec.select)
    return (Matcher("pipeline", "=", spec.pipeline), *selected)

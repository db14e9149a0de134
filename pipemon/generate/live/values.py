"""The values of recording rules where they may not be loaded yet, now and in the last hour; each asked for once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite

from pipemon.generate.inlining import inlined, parts
from pipemon.generate.live.counters import met
from pipemon.generate.live.running import Live
from pipemon.generate.measures import measure
from pipemon.generate.own_series import exported_series
from pipemon.generate.promql import Expr, Matcher, Recorded
from pipemon.generate.recordings import Measure, Recording, in_order, is_constant
from pipemon.prometheus import Sample, Series
from pipemon.spec.model import Spec

Place = tuple[tuple[str, str], ...]
"""The labels that tell several alerts of one failure mode apart, with their values."""


def measures(spec: Spec) -> Iterator[tuple[float, Measure]]:
    """Yield what a spec measures and compares with, and how often its rules are evaluated, in seconds."""
    for mode in spec.measurable:
        for condition in mode.conditions:
            if found := measure(spec, mode, condition):
                yield from ((spec.interval(mode), each) for each in (found, found.reference) if each)


@dataclass(frozen=True)
class Values:
    """What a spec's rules would record where it runs."""

    spec: Spec
    live: Live
    _now: dict[str, list[Sample] | None] = field(default_factory=dict, init=False)
    _lately: dict[str, list[Series]] = field(default_factory=dict, init=False)

    def of(self, recording: Recording, matchers: tuple[Matcher, ...], step: float) -> dict[Place, float] | None:
        """Return the value of the recorded series that `matchers` pick at each place, None where it can't be told."""
        if recording.name not in self._now:
            self._now[recording.name] = self.live.now(self._asked(recording, step))
        samples = self._now[recording.name]
        if samples is None:
            return None
        picked = [sample for sample in samples if met(sample.labels, matchers) and isfinite(sample.value)]
        return {self._place(sample.labels): sample.value for sample in picked}

    def span(
        self, recording: Recording, matchers: tuple[Matcher, ...], step: float, place: Place
    ) -> tuple[float, float] | None:
        """Return the least and the most that a value was in the last hour, None where nothing is known."""
        if recording.name not in self._lately:
            self._lately[recording.name] = self.live.lately(self._asked(recording, step))
        points = [
            value
            for series in self._lately[recording.name]
            if met(series.labels, matchers) and self._place(series.labels) == place
            for _, value in series.points
            if isfinite(value)
        ]
        return (min(points), max(points)) if points else None

    def expr(self, recording: Recording, matchers: tuple[Matcher, ...], step: float) -> Expr:
        """Return what a rule records, of raw series alone."""
        return exported_series(self.spec, inlined(recording.series(*matchers), _alone(recording), step))

    def _asked(self, recording: Recording, step: float) -> Expr:
        # What reads a baseline's constants needs the rules anyhow: as a query it would be a megabyte.
        return recording.series() if any(map(is_constant, in_order(recording))) else self.expr(recording, (), step)

    def _place(self, labels: Mapping[str, str]) -> Place:
        return tuple((name, labels[name]) for name in (*self.spec.told_apart_by, "version") if labels.get(name))


def recorded(expr: Expr | float | str) -> set[str]:
    """Return the names of what an expression reads that only a loaded rule makes."""
    return {expr.name} if isinstance(expr, Recorded) else {name for part in parts(expr) for name in recorded(part)}


def _alone(recording: Recording) -> list[Recording]:
    """Return a rule and those that it reads; not those of constants, which only loaded rules make."""
    return [rule for rule in in_order(recording) if not rule.static]

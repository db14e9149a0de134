"""One condition against what runs: does it hold, is all fine, or can't it be known, and why."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import promql_parser

from pipemon.errors import UnavailableError, nearest
from pipemon.generate.annotations import describe, printed, unit
from pipemon.generate.expressions import counts_as_some, limits
from pipemon.generate.inlining import selectors
from pipemon.generate.live.series import There, is_there
from pipemon.generate.live.values import Place, Values, recorded
from pipemon.generate.measures import measure
from pipemon.generate.promql import Call, Matcher, Raw
from pipemon.generate.recordings import Measure, Recording
from pipemon.spec.expression import parse
from pipemon.spec.latency import bound_share
from pipemon.spec.model import STABLE, Condition, FailureMode, Spec
from pipemon.spec.signals import OF_DRIFT
from pipemon.units import duration

FIRING, FINE, UNKNOWN = "would be firing", "is fine", "unknown"
_ASK = "one process's page does not tell it; ask a Prometheus"


@dataclass(frozen=True)
class Judgement:
    """A condition at a place: its value in words, FIRING, FINE or UNKNOWN, and why it is not known.

    A `fault` keeps it from ever being known.
    """

    words: str
    state: str
    why: str = ""
    fault: bool = False


@dataclass(frozen=True)
class Judge:
    """Judges conditions by the values and series that are there.

    `interval` is how often they are scraped, `retention` how long they are kept, in seconds; None where not known.
    """

    values: Values
    there: There
    interval: float | None
    retention: float | None

    def judged(self, mode: FailureMode, condition: Condition) -> dict[Place, Judgement]:
        """Return how a condition is at each place, or at () where no place has a value."""
        spec = self.values.spec
        found = measure(spec, mode, condition)
        if found is None:
            return {(): self._written(condition)}
        name = _named(spec, mode, condition)
        for each in (found, found.reference):
            if each is None:
                continue
            for lack in self.there.lacking(self.values.expr(each.value, each.matchers, spec.interval(mode))):
                if condition.signal == "no_calls":
                    return {(): Judgement(f"{name}, {lack.words}", FIRING, fault=lack.fault)}
                return {(): Judgement(name, UNKNOWN, lack.words, lack.fault)}
        if why := self._never(mode, condition):
            return {(): Judgement(name, UNKNOWN, why, fault=True)}
        one = _One(self.values, mode, condition, found, name)
        values = one.at(found.value, found.matchers)
        if values is None:
            return {(): Judgement(name, UNKNOWN, _ASK)}
        why = "" if values else self._unrecorded(mode, condition, found)
        places = dict.fromkeys((*values, *one.counts(found)))
        if why or not places:
            return {(): Judgement(name, UNKNOWN, why or f"no value in the last {duration(mode.window)} yet")}
        return {place: one.judgement(place, values.get(place)) for place in places}

    def _unrecorded(self, mode: FailureMode, condition: Condition, found: Measure) -> str:
        """Return why there is no value of what only a loaded rule can tell, "" for what a query tells."""
        if not recorded(self.values.expr(found.value, (), self.values.spec.interval(mode))):
            return ""
        if found.value.name not in self.there.names():
            past = condition.against or condition.reference
            few = f"there is nothing of {past.words} yet to compare with" if past else "too few values have come"
            return f"nothing records {found.value.name} there: the generated rules are not loaded, or {few}"
        return "too few values, or other bins than it is compared with" if condition.signal in OF_DRIFT else ""

    def _never(self, mode: FailureMode, condition: Condition) -> str:
        """Return why a condition can never have a value, or ""."""
        if self.interval is not None and mode.window < 2 * self.interval:
            scrapes = f"under two scrapes, one every {duration(self.interval)} there"
            return f"its window of {duration(mode.window)} is {scrapes}"
        back = mode.window
        if (past := condition.reference or condition.against) is not None and past.offset:
            back = past.offset + max(mode.window, self.values.spec.timing.long_window)
        if self.retention is not None and self.retention < back:
            return f"it looks back {duration(back)}, and samples are kept for {duration(self.retention)} there"
        return ""

    def _written(self, condition: Condition) -> Judgement:
        """Return how a person's expression is; what it reads is looked for where it gives nothing."""
        expr, name, live = Raw(condition.argument), "its expression", self.values.live
        try:
            samples = live.now(expr)
            past = live.lately(Call("count", (expr,)))
        except UnavailableError as error:
            return Judgement(name, UNKNOWN, str(error), fault=True)
        if samples is None:
            return Judgement(name, UNKNOWN, _ASK)
        hour = f"{'held' if any(series.points for series in past) else 'did not hold'} in the last hour"
        if samples:
            return Judgement(f"{name} holds now, {hour}", FIRING)
        words = f"{name} does not hold now, {hour}"
        if missing := self._missing(condition.argument):
            return Judgement(words, UNKNOWN, missing, fault=True)
        return Judgement(words, FINE)

    def _missing(self, written: str) -> str:
        names = self.there.names()
        lost = sorted(_read(parse(written)) - set(names))
        return f"no series of {lost[0]} there{is_there(nearest(lost[0], names))}" if lost else ""


@dataclass(frozen=True)
class _One:
    """A condition whose series are there."""

    values: Values
    mode: FailureMode
    condition: Condition
    found: Measure
    name: str

    def judgement(self, place: Place, value: float | None) -> Judgement:
        condition, found = self.condition, self.found
        if condition.signal == "no_calls":
            if self.values.spec.schedule is not None and self.mode.stage is None:
                return self._late(value)
            calls = f"{ceil(value)} {self._noun}" if value else "no calls"
            return Judgement(f"{self.name}, {calls} {self._since}", FINE if value else FIRING)
        spec, mode = self.values.spec, self.mode
        kind = unit(spec, mode, condition)
        limit, (_, threshold) = limits(spec, mode, condition), describe(spec, mode, condition)
        scale, few = (1.0, "") if found.reference is None else self._reference(found.reference, place)
        if found.reference is not None and scale is not None:
            threshold += f"'s {printed(scale, kind)}"
            if (some := self._some(found.reference, place)) > scale:
                threshold += f", taken for {printed(some, kind)}"
                scale = some
        least = condition.min_count
        if condition.min_events and limit.high and scale:
            # Of fewer calls, so few are bad at the threshold that they mean nothing.
            least = max(least, ceil(round(condition.min_events / (limit.high * scale), 6)))
        count = None if found.count is None else self.counts(found).get(place, 0.0)
        seen = "no value yet" if count is None else f"{ceil(count)} {self._noun} {self._since}"
        too_few = f"too little traffic: {seen}{f', needs {least}' if least else ''}"
        if value is None:
            return Judgement(f"{self.name}, {threshold}", UNKNOWN, too_few)
        words = f"{self.name} {printed(value, kind)} {self._when(place, kind)}, {threshold}"
        if scale is None or few:
            return Judgement(words, UNKNOWN, few)
        beyond = (limit.low is not None and value < limit.low * scale) or (
            limit.high is not None and value > limit.high * scale
        )
        enough = count is None or count >= condition.min_count
        if beyond and enough and self._events(place) >= condition.min_events:
            return Judgement(words, FIRING)
        if count is not None and count < least:
            return Judgement(words, UNKNOWN, too_few)
        return Judgement(words, FINE)

    def at(self, recording: Recording, matchers: tuple[Matcher, ...]) -> dict[Place, float] | None:
        return self.values.of(recording, matchers, self.values.spec.interval(self.mode))

    def counts(self, found: Measure) -> dict[Place, float]:
        """Return what a value was measured on at each place; nothing where it is on no calls."""
        return {} if found.count is None else self.at(found.count, found.count_matchers) or {}

    def _events(self, place: Place) -> float:
        """Return how many of the calls, or values, were bad ones."""
        if not self.found.parts:
            return 0.0
        part = self.found.parts[0]
        events = (self.at(part.recording, part.matchers) or {}).get(place, 0.0)
        return self.counts(self.found).get(place, 0.0) - events if part.of == "rest" else events

    def _reference(self, reference: Measure, place: Place) -> tuple[float | None, str]:
        """Return what the threshold is a multiple of, and why it means nothing, or ""."""
        named = self.condition.reference
        assert named is not None
        where = _of_all_versions(place)
        scale = (self.at(reference.value, reference.matchers) or {}).get(where)
        if scale is None:
            if named == STABLE:
                return None, "no stable version has a value to compare with"
            paged = self.values.live.one_process
            return None, _ASK if paged else f"there is no value of {named.words} to compare with"
        count = self.counts(reference).get(where, 0.0)
        if reference.count is None or count >= self.condition.min_count:
            return scale, ""
        seen = f"{ceil(count)} {self._noun} of {named.words}"
        return scale, f"too little traffic to compare with: {seen}, needs {self.condition.min_count}"

    def _some(self, reference: Measure, place: Place) -> float:
        """Return the share that is the least which the past, or the stable versions, are taken for; 0 where none is."""
        calls = self.counts(reference).get(_of_all_versions(place), 0.0)
        return self.condition.min_events / calls if calls and counts_as_some(self.condition) else 0.0

    def _when(self, place: Place, kind: str) -> str:
        value, step = self.found.value, self.values.spec.interval(self.mode)
        if self.values.live.one_process:
            read = selectors(self.values.expr(value, (), step))
            return self._since if any(series.window for series in read) else "now"
        span = self.values.span(value, self.found.matchers, step, place)
        if span is None:
            return "now"
        low, high = (printed(end, kind) for end in span)
        return f"now, {low if low == high else f'{low} to {high}'} in the last hour"

    def _late(self, since: float | None) -> Judgement:
        """Return how long ago a run of a batch pipeline ended well."""
        made = self.values.spec.schedule
        assert made is not None
        if since is None:
            return Judgement(f"{self.name}, no success in {duration(made.limit)}", FIRING)
        words = f"{self.name}, a run ended well {duration(round(since))} ago, at most {duration(made.limit)}"
        return Judgement(words, FIRING if since > made.limit else FINE)

    @property
    def _since(self) -> str:
        paged = self.values.live.one_process
        if self.values.spec.schedule is not None:
            return "in the last run"
        return "since the process began" if paged else f"in {duration(self.mode.window)}"

    @property
    def _noun(self) -> str:
        if self.condition.feature is not None:
            return "values"
        if unit(self.values.spec, self.mode, self.condition) == "items":
            return "items"
        return "runs" if self.mode.stage is None else "calls"


def _of_all_versions(place: Place) -> Place:
    # All stable versions are one.
    return tuple(each for each in place if each[0] != "version")


def _named(spec: Spec, mode: FailureMode, condition: Condition) -> str:
    where = mode.stage or spec.pipeline
    if condition.reference == STABLE:
        where = f"{where}'s canary"
    if share := bound_share(spec, mode.stage, condition):
        return f"{where} calls over {duration(share.bound)}"
    what = condition.argument
    if condition.feature is not None and not condition.tolerated:
        what = f"{condition.feature.direction}.{condition.feature.name}"
    return " ".join(filter(None, (where, condition.signal, what)))


def _read(node: object) -> set[str]:
    """Return the names that a written expression reads and does not ask the absence of."""
    found: set[str] = set()
    left = [node]
    while left:
        match part := left.pop():
            case promql_parser.VectorSelector():
                found |= {part.name} if part.name else set()
            case promql_parser.Call():
                left += [] if part.func.name.startswith("absent") else list(part.args)
            case _:
                below = (getattr(part, name, None) for name in ("expr", "lhs", "rhs", "vector_selector", "param"))
                left += [each for each in below if each is not None]
    return found

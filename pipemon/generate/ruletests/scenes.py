"""The scene of one rule test: a place that is judged, places beside it that must not count, and a clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import count
from math import ceil
from typing import NamedTuple, TypeVar

from pipemon import catalogue as c
from pipemon.generate.drift.measure import condition_references
from pipemon.generate.promql import Matcher
from pipemon.generate.ruletests.places import (
    CANARIES,
    CANARY_VERSION,
    MIXED,
    OLD_VERSION,
    STABLE_ONES,
    Replicas,
    World,
    has_canary,
    picked,
    series,
)
from pipemon.generate.ruletests.steps import tested_every
from pipemon.generate.ruletests.synthetic import measured, moves_of
from pipemon.generate.ruletests.values import compared_with, least_compared_with, margin
from pipemon.spec import reads as r
from pipemon.spec.model import STABLE, Condition, FailureMode, Spec
from pipemon.spec.own_series import example_unlike
from pipemon.spec.signals import DRIFT, SIGNALS
from pipemon.topology import OwnSeries
from pipemon.units import duration

T = TypeVar("T")

_HARDLY = 1e-6
"""Calls after a time, over the usual, where there are hardly any: a counter that stays the same may seem to fall."""

NEIGHBOUR = "neighbour"
ANOTHER = "another"


class State(NamedTuple):
    """Each condition's value and the calls per second: in the place judged, and in those beside it.

    `skipped` calls come on top, as a share of the others; 0 for an exporter that counts none. `then` is the
    calls per second behind what is compared with; None for plenty. `stable` is the value of stable versions, of
    each condition; None for what tests compare with.
    """

    values: tuple[float, ...]
    rate: float
    others: tuple[float, ...]
    others_rate: float
    skipped: float = 0.0
    then: float | None = None
    stable: tuple[float, ...] | None = None


class Clock(NamedTuple):
    """A case's times in steps: it turns bad, is judged, turns good, has resolved.

    `early` is just before it may fire, `lasting` just before it may resolve; None where neither can be told.
    `after` is when what it is compared with is clean again, for what is compared with the hour before. `run` is
    how many seconds of calls the counters of a batch pipeline's last run hold, 0 for those that go on. What stays
    quiet is looked at when it is judged, and never `recovers`.
    """

    step: float
    bad: int
    early: int | None
    judged: int
    good: int
    lasting: int | None
    resolved: int
    after: int | None = None
    run: float = 0.0
    recovers: bool = True

    @property
    def end(self) -> int:
        """The last step that is looked at."""
        return (self.after or self.resolved) if self.recovers else self.judged

    @property
    def lengths(self) -> tuple[int, int, int]:
        """For how many steps it is as usual, bad, and as usual again."""
        if not self.recovers:
            return self.bad, self.judged + 1 - self.bad, 0
        return self.bad, self.good - self.bad, self.end + 3 - self.good

    def at(self, steps: int) -> str:
        """Print a time."""
        return duration(steps * self.step)


def clock_of_a_move(spec: Spec, mode: FailureMode, steps: int) -> Clock:
    """Return the times of what moves away for a time, seen through a window of so many steps, and back."""
    step = mode.window / steps
    wait, tail = (ceil(round(seconds / step, 6)) for seconds in (mode.for_, mode.keep_firing_for))
    bad = steps + 3
    judged = bad + steps + wait + 2
    run = 0.0 if spec.schedule is None else mode.window
    return Clock(step, bad, None, judged, judged + 1, None, judged + 1 + steps + tail + 3, run=run)


def clock(spec: Spec, mode: FailureMode, away: float = 0.0) -> Clock:
    """Return the times at which a failure mode must fire, and must have resolved, if not a step sooner.

    `away` is how long nothing must have been heard for that, in seconds.
    """
    step = tested_every(spec, mode)

    def steps(seconds: float) -> int:
        return ceil(round(seconds / step, 6))

    window, wait, tail = steps(mode.window), steps(mode.for_), steps(mode.keep_firing_for)
    hold = any(condition.reference and condition.reference.hold for condition in mode.conditions)
    hour = steps(max(mode.window, spec.timing.long_window)) if hold else 0
    bad = window + hour + 3
    # Held, it must last: longer than the hour that it is compared with.
    # And an old version is not called any more after an hour.
    lately = steps(max(mode.window, spec.timing.long_window)) if ages(mode) else 0
    judged = bad + max(window + hour, steps(away), lately) + wait + 2
    good = judged + 2
    # The threshold is passed in the window's last hundredth; how its edge counts differs by version.
    full = min(window, int(0.99 * window) + 1)
    if hold:
        full = int(min(1 / (1 + margin(condition)) for condition in mode.conditions) * window)
    if ages(mode):
        # A time's value is there at once.
        full = 0
    if spec.schedule is not None:
        # And so is what a run pushed.
        full = 0
    early = bad + max(full, steps(away)) + wait - 3
    return Clock(
        step,
        bad,
        early if wait >= 3 else None,
        judged,
        good,
        good + tail - 1 if tail > 2 else None,
        good + window + tail + 3,
        good + window + hour + window + tail + 3 if hold else None,
        mode.window if spec.schedule is not None else 0.0,
    )


def own_series(spec: Spec, mode: FailureMode) -> tuple[OwnSeries, ...] | None:
    """Return the series of the place that is judged where it is a stage that is not decorated, None elsewhere."""
    return (spec.stage(mode.stage).series or None) if mode.stage is not None else None


def _unlike(own: tuple[OwnSeries, ...] | None) -> Iterator[tuple[OwnSeries, ...]]:
    """Yield series that are none of a stage's: each unlike one of them in one label.

    One that another selector of the stage picks is a series of it: of `requests_total`, that with another `code`.
    """
    for each in own or ():
        for label, op, value in each.matchers:
            other = [(label, "=", example_unlike(op, value)) if m[0] == label else m for m in each.matchers]
            unlike = each._replace(matchers=tuple(other))
            if not any(picked(one, unlike) for one in own or ()):
                yield (unlike,)


def ages(mode: FailureMode) -> bool:
    """Tell whether it is about how long ago a time was, of versions that are called."""
    return any(isinstance(SIGNALS[condition.signal].reads, r.Age) for condition in mode.conditions)


def kept_labels(spec: Spec) -> dict[str, str]:
    """Return the kept labels of the place that is judged."""
    return {label: dict(spec.select).get(label, f"{label}-1") for label in spec.keep}


def judged(spec: Spec, mode: FailureMode, state: State) -> World:
    """Return the place that is judged."""
    place = {"pipeline": spec.pipeline, "version": version_of(spec, mode)}
    if mode.stage is not None:
        place |= {"stage": mode.stage, "track": "stable"}
    own = World(place, kept_labels(spec), _replicas(spec, mode), skipped=state.skipped, own=own_series(spec, mode))
    _fill(own, spec, mode, state.values, state.rate)
    return own


def worlds(spec: Spec, mode: FailureMode, state: State, calm: tuple[float, ...]) -> list[World]:
    """Return the place that is judged, then those that must not count, each unlike it in one label.

    Where alerts are told apart by a kept label, the place beside is `calm`: it would fire on its own.
    """
    own, targets, replicas = judged(spec, mode, state), kept_labels(spec), _replicas(spec, mode)
    place, theirs = {**own.place}, own.own
    if replicas is CANARIES:
        place |= {"version": CANARY_VERSION, "track": "canary"}
    beside = [World({**place, "pipeline": NEIGHBOUR}, targets)]
    if mode.stage is not None:
        beside += [World({**place, "stage": ANOTHER}, targets), World({**place, "track": "shadow"}, targets)]
        if replicas is STABLE_ONES:
            beside.append(World(place, targets, CANARIES, own=theirs if has_canary(theirs) else None))
    beside += [World(place, targets, own=other) for other in _unlike(theirs)]
    if theirs:
        # Where others decorate a stage of that name.
        beside += [World(place, {**targets, label: NEIGHBOUR}) for label, _ in spec.select]
    # Of the same name as those that record under our names.
    beside += [World(place, {**targets, label: NEIGHBOUR}, own=theirs) for label, _ in spec.select]
    theirs_too = moves_of(spec, mode, state.others, state.others_rate)
    for other in beside:
        other.take(theirs_too)
        if ages(mode) and (other.place.get("stage") == ANOTHER or other.targets != targets):
            other.add(c.STAGE_CALLS, state.others_rate, version=OLD_VERSION)
        if state.skipped and other.place.get("track") == "shadow":
            other.add(c.STAGE_SKIPPED, state.skipped * state.others_rate)
    if replicas is CANARIES:
        beside += _stable_ones(spec, mode, state, [own, *beside])
    for label in spec.told_apart_by:
        elsewhere = World(place, {**targets, label: ANOTHER}, own=theirs)
        _fill(elsewhere, spec, mode, calm, state.others_rate or state.rate)
        if ages(mode):
            elsewhere.add(c.STAGE_CALLS, state.others_rate or state.rate, version=OLD_VERSION)
        beside.append(elsewhere)
        if replicas is CANARIES:
            beside += _stable_ones(spec, mode, state._replace(then=None), [elsewhere])
    # One replica of them shows it, of a name that the place itself has.
    lone = tuple((labels, instance, 1.0) for labels, instance, _ in replicas[:1])
    similar = World(place, targets, lone, own=theirs)
    for condition, value in zip(mode.conditions, state.others, strict=True):
        for near in _similar(condition):
            measured(similar, spec, mode, near, value, state.others_rate)
    similar.rates = {name: rate for name, rate in similar.rates.items() if name not in own.rates}
    similar.gauges = {name: value for name, value in similar.gauges.items() if name not in own.gauges}
    return [own, *beside, similar]


def _stable_ones(spec: Spec, mode: FailureMode, state: State, canaries: list[World]) -> Iterator[World]:
    """Yield what canaries are compared with, each of its place: all is well elsewhere, so that theirs stand out."""
    enough = calls_compared_with(mode) / mode.window
    values = state.stable or tuple(compared_with(mode, condition) for condition in mode.conditions)
    for index, canary in enumerate(canaries):
        place = {**canary.place, "track": "stable", "version": "1"}
        # Who else is here has no skipped calls of its own.
        skipped = state.skipped if canary.own == canaries[0].own else 0.0
        stable = World(place, canary.targets, STABLE_ONES, skipped=skipped, own=canary.own)
        rate = enough if state.then is None or index else state.then
        if rate and canary.place.get("track") != "shadow":
            _fill(stable, spec, mode, values, rate)
            yield stable


def calls_compared_with(mode: FailureMode) -> float:
    """Return how many calls of the stable versions tests compare a canary with."""
    return 1.5 * max(least_compared_with(mode, condition) for condition in mode.conditions)


def version_of(spec: Spec, mode: FailureMode) -> str:
    """Return the version that is called: of drift, the one whose baseline it is measured from."""
    only = mode.conditions[0]
    if only.signal != DRIFT or only.against is not None:
        return "1"
    reference = condition_references(spec, mode, only)[0]
    return reference.version or next(name for name in map(str, count(1)) if name not in reference.others)


def _replicas(spec: Spec, mode: FailureMode) -> Replicas:
    if mode.conditions[0].against is not None:
        return STABLE_ONES
    if mode.conditions[0].signal == DRIFT:
        # Each version has its own distribution, so two of them are two values.
        labels = (("version", version_of(spec, mode)), ("track", "stable"))
        return ((labels, "a", 0.5), (labels, "b", 0.3), (labels, "c", 0.2))
    references = [condition.reference for condition in mode.conditions]
    if references[0] == STABLE:
        return CANARIES
    # What is compared with another time is that of the stable versions.
    return STABLE_ONES if all(each and (each.offset or each.hold) for each in references) else MIXED


def seen(spec: Spec, mode: FailureMode, condition: Condition) -> float:
    """Return the share of the judged place's calls that a condition sees: beside another time, of stable versions."""
    past = condition.reference is not None and bool(condition.reference.offset or condition.reference.hold)
    own = own_series(spec, mode)
    if own is not None and not has_canary(own):
        # All that another service exports is stable then.
        return 1.0
    shares = ((dict(labels).get("track"), share) for labels, _, share in _replicas(spec, mode))
    return sum(share for track, share in shares if not past or track != "canary")


def _fill(world: World, spec: Spec, mode: FailureMode, values: tuple[float, ...], rate: float) -> None:
    world.take(moves_of(spec, mode, values, rate, world.skipped))


def _similar(condition: Condition) -> Iterator[Condition]:
    """Yield conditions on the series right beside a condition's own: each unlike it in one label."""
    for label, value in condition.labels:
        other = {"input": "output", "output": "input"}.get(value, ANOTHER) if label == "direction" else ANOTHER
        yield replace(condition, labels=tuple((dict(condition.labels) | {label: other}).items()))


def counters(
    before: list[World], during: list[World], time: Clock, *, gone: bool, idle: bool = False
) -> list[dict[str, str]]:
    """Return the series of a case: as `before` until it turns bad and after it turns good, `during` between.

    `gone` has those of the first place end while it is bad; `idle` has hardly anybody call there after.
    """
    found: list[dict[str, str]] = []
    for index, (first, second) in enumerate(zip(before, during, strict=True)):
        vanishes, rests = gone and index == 0, idle and index == 0
        if first is second and not (vanishes or rests):
            # Most places go on as they do.
            found += [{"series": name, "values": _values((s, s, s), time)} for name, s in first.rates.items()]
        else:
            for name in {**first.rates, **second.rates}:
                slope = first.rates.get(name, 0.0)
                # A version that no run calls is not pushed.
                later = None if vanishes else second.rates.get(name, None if time.run else 0.0)
                slopes = slope, later, slope * _HARDLY if rests else slope
                found.append({"series": name, "values": _values(slopes, time)})
        for name, usual in first.gauges.items():
            found.append({"series": name, "values": _gauge(usual, second.gauges[name], time)})
    return found


def _gauge(usual: tuple[float, float], changed: tuple[float, float], time: Clock) -> str:
    """Return a gauge's values: (value at time 0, rise per second) as usual, as changed, and as usual again."""
    phases, begin = [], 0
    for (value, rise), length in _phases((usual, changed, usual), time):
        first = _plain(value + rise * time.step * begin)
        phases.append(f"{first}+{_plain(rise * time.step)}x{length - 1}")
        begin += length
    return " ".join(phases)


def _phases(whats: tuple[T, T, T], time: Clock) -> list[tuple[T, int]]:
    """Return what there is as usual, changed and after, each with its steps; one where nothing changes."""
    if whats[0] == whats[1] == whats[2]:
        return [(whats[0], sum(time.lengths))]
    return [(what, length) for what, length in zip(whats, time.lengths, strict=True) if length]


# Many series of a scene, and of scenes alike, rise alike.
@lru_cache(maxsize=5000)
def _values(slopes: tuple[float | None, float | None, float | None], time: Clock) -> str:
    level, parts = 0.0, []
    for slope, length in _phases(slopes, time):
        if slope is None:
            parts.append(f"stale _x{length - 1}")
        elif time.run:
            parts.append(f"{_plain(slope * time.run)}+0x{length - 1}")
        else:
            rise = slope * time.step
            # Counters begin at nothing.
            level += rise if parts else 0.0
            parts.append(f"{_plain(level)}+{_plain(rise)}x{length - 1}")
            level += rise * (length - 1)
    return " ".join(parts)


def _plain(value: float) -> str:
    """Print a number without an exponent, which promtool's series notation does not take."""
    return format(value, ".12f").rstrip("0").rstrip(".")


def rising(phases: Iterable[tuple[float, int]]) -> str:
    """Return a counter's values: it rises by so much at each of so many steps, then by another, from nothing."""
    level, parts = 0.0, ["0"]
    for rise, steps in phases:
        parts.append(f"{_plain(level + rise)}+{_plain(rise)}x{steps - 1}")
        level += rise * steps
    return " ".join(parts)


def run_lines(worlds: list[World], calls: float, slow: int, steps: int) -> list[dict[str, str]]:
    """Return what two runs pushed, of `calls` seconds: the first of half as much, then for so many steps the other."""
    return [
        {"series": name, "values": f"{_plain(rate * calls / 2)}+0x{slow} {_plain(rate * calls)}+0x{steps}"}
        for world in worlds
        for name, rate in world.rates.items()
    ]


def pushed_lines(worlds: list[World], calls: float, steps: int) -> Iterator[dict[str, str]]:
    """Yield what a run of `calls` seconds pushed, for so many steps: then no scrape has it."""
    for world in worlds:
        for name, rate in world.rates.items():
            yield {"series": name, "values": f"{_plain(rate * calls)}+0x{steps} stale"}
        for name, (value, _) in world.gauges.items():
            yield {"series": name, "values": f"{_plain(value)}+0x{steps} stale"}


def value_lines(before: list[World], during: list[World], step: float, slow: int, steps: int) -> list[dict[str, str]]:
    """Return the counters of some places: first as `before`, then so many steps as `during`, then no more."""
    return [
        {
            "series": name,
            "values": f"0+{_plain(usual)}x{slow} {_plain(usual * slow + rise)}+{_plain(rise)}x{steps}",
        }
        for first, second in zip(before, during, strict=True)
        for name, usual, rise in ((name, first.rates[name] * step, second.rates[name] * step) for name in second.rates)
    ]


def constant(name: str, value: float, time: Clock) -> dict[str, str]:
    """Return a series that stays the same."""
    return {"series": name, "values": f"{_plain(value)}+0x{time.end}"}


def from_step(value: float, step: int, time: Clock) -> str:
    """Return the values of a series that begins at a step and stays the same."""
    return f"_x{step} {_plain(value)}+0x{time.end - step}"


def up(spec: Spec, time: Clock, *, down: bool) -> list[dict[str, str]]:
    """Return `up` of the pipeline's target and of others, if absence is told by targets."""
    if not spec.targets:
        return []
    labels = {"instance": "a", **kept_labels(spec), **dict(spec.targets)}
    values = _gauge((1.0, 0.0), (0.0 if down else 1.0, 0.0), time)
    others = [{**labels, **{label: ANOTHER for label, _ in spec.targets}}]
    # Where alerts are told apart by place, the others' targets answer.
    others += [{**labels, label: ANOTHER} for label in spec.told_apart_by if label not in dict(spec.targets)]
    beside = [constant(series(c.UP.name, another), 1.0, time) for another in others]
    return [{"series": series(c.UP.name, labels), "values": values}, *beside]


def labels_of(spec: Spec, labels: tuple[str, ...], matchers: tuple[Matcher, ...]) -> dict[str, str]:
    """Return the labels of the recorded series that `matchers` pick in the place that is judged."""
    # The labels of a series that one recording makes of one track.
    tracks = {"version": {"version": CANARY_VERSION, "track": "canary"}, "track": {"track": "stable"}}
    own = next((found for label, found in tracks.items() if label in labels), {})
    return {m.label: m.value for m in matchers} | own | kept_labels(spec)

"""The scene of one rule test: a place that is judged, places beside it that must not count, and a clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import NamedTuple

from pipemon import catalogue as c
from pipemon.generate.drift.measure import condition_references
from pipemon.generate.promql import Matcher
from pipemon.generate.ruletests.clocks import Clock, ages
from pipemon.generate.ruletests.lines import constant, gauge_values
from pipemon.generate.ruletests.places import (
    CANARIES,
    CANARY_VERSION,
    MIXED,
    OLD_CALLS,
    OLD_VERSION,
    STABLE_ONES,
    Replicas,
    World,
    has_canary,
    picked,
    series,
)
from pipemon.generate.ruletests.synthetic import measured, moves_of
from pipemon.generate.ruletests.values import compared_with, least_compared_with
from pipemon.spec.model import STABLE, Condition, FailureMode, Spec
from pipemon.spec.own_series import example_unlike
from pipemon.spec.signals import DRIFT
from pipemon.topology import OwnSeries

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
            other.add(c.STAGE_CALLS, OLD_CALLS * state.others_rate, version=OLD_VERSION)
        if state.skipped and other.place.get("track") == "shadow":
            other.add(c.STAGE_SKIPPED, state.skipped * state.others_rate)
    if replicas is CANARIES:
        beside += _stable_ones(spec, mode, state, [own, *beside])
    for label in spec.told_apart_by:
        elsewhere = World(place, {**targets, label: ANOTHER}, own=theirs)
        _fill(elsewhere, spec, mode, calm, state.others_rate or state.rate)
        if ages(mode):
            elsewhere.add(c.STAGE_CALLS, OLD_CALLS * (state.others_rate or state.rate), version=OLD_VERSION)
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
    if mode.stage is None or (own is not None and not has_canary(own)):
        # Runs have no track, and all that another service exports is stable then.
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


def up(spec: Spec, time: Clock, *, down: bool) -> list[dict[str, str]]:
    """Return `up` of the pipeline's target and of others, if absence is told by targets."""
    if not spec.targets:
        return []
    labels = {"instance": "a", **kept_labels(spec), **dict(spec.targets)}
    values = gauge_values((1.0, 0.0), (0.0 if down else 1.0, 0.0), time)
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
    place = {m.label: m.value for m in matchers}
    series = spec.stage(place["stage"]).series if "stage" in place else ()
    if series and not any(each.version for each in series):
        own = {label: value for label, value in own.items() if label != "version"}
    return place | own | kept_labels(spec)

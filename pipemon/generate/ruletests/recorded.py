"""What other rule files record beside the scene of a rule test, and what ours recorded long ago."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipemon.generate.measures import measure
from pipemon.generate.recordings import Measure, Part
from pipemon.generate.ruletests.clocks import Clock
from pipemon.generate.ruletests.lines import constant, from_step
from pipemon.generate.ruletests.places import series
from pipemon.generate.ruletests.scenes import ANOTHER, NEIGHBOUR, State, labels_of
from pipemon.generate.ruletests.values import compared_with
from pipemon.spec.model import FailureMode, Spec


def _elsewhere(spec: Spec, labels: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yield the labels of what other rule files record under the same name: one label differs."""
    for label in ("pipeline", *(label for label, _ in spec.select)):
        yield {**labels, label: NEIGHBOUR}


def part_of(part: Part, value: float, skipped: float = 0.0) -> float:
    """Return a part of a measure whose value is `value`, as a share of the observations."""
    return {"value": value, "rest": 1 - value, "count": 1.0, "calls": 1.0 + skipped, "among": 1.0}[part.of]


def recorded_elsewhere(spec: Spec, mode: FailureMode, state: State, time: Clock) -> list[dict[str, str]]:
    """Return values that the rules of other pipelines and selections record, as bad as can be."""
    found: dict[str, float] = {}
    for condition, value in zip(mode.conditions, state.others, strict=True):
        read = measure(spec, mode, condition)
        if read is None:
            continue
        shown = 0.0 if condition.signal == "no_calls" else value
        for part in read.parts:
            own = labels_of(spec, part.recording.labels, part.matchers)
            places = [*_elsewhere(spec, own), *([{**own, "le": "0.000123"}] if "le" in own else [])]
            for labels in places:
                found[series(part.recording.name, labels)] = 1e6 * part_of(part, value)
        for labels in _elsewhere(spec, labels_of(spec, read.value.labels, read.matchers)):
            found[series(read.value.name, labels)] = shown
        if (then := read.reference) is not None and not (condition.reference and condition.reference.offset):
            for part in then.parts:
                for labels in _elsewhere(spec, labels_of(spec, part.recording.labels, part.matchers)):
                    found[series(part.recording.name, labels)] = 1e6 * part_of(part, compared_with(mode, condition))
            for labels in _elsewhere(spec, labels_of(spec, then.value.labels, then.matchers)):
                found[series(then.value.name, labels)] = compared_with(mode, condition)
    return [constant(name, value, time) for name, value in found.items()]


def gone_elsewhere(spec: Spec, mode: FailureMode, time: Clock, *, cut: bool) -> list[dict[str, str]]:
    """Return counts of calls of places that went while this one stayed, and of one that went long ago.

    Beside a link that is `cut` for a short time, none went long ago: it is looked at before one is forgotten.
    """
    found = []
    for condition in mode.conditions:
        read = measure(spec, mode, condition)
        if condition.signal != "no_calls" or read is None:
            continue
        own = labels_of(spec, read.value.labels, read.matchers)
        for matcher in read.matchers:
            name = series(read.value.name, {**own, matcher.label: "gone"})
            found.append({"series": name, "values": f"5+0x{time.bad} stale"})
        for label in spec.told_apart_by if not cut else ():
            found.append({"series": series(read.value.name, {**own, label: "gone"}), "values": "5+0x1 stale"})
    return found


def begins(read: Measure, part: Part, time: Clock) -> int:
    """Return the step from which others record a part, until which ours must make nothing of what it is made of.

    What the hour before is made of is there before that.
    """
    hour_before = read.reference.value.parts if read.reference else ()
    of_it = any(part.recording in each.parts for each in hour_before)
    return time.bad // 4 if of_it else time.bad


def parts_elsewhere(spec: Spec, mode: FailureMode, state: State, time: Clock) -> list[dict[str, str]]:
    """Return counts that other rules record, from which ours must make nothing, and values of other bounds."""
    found: dict[str, float] = {}
    later: list[dict[str, str]] = []
    for condition, value in zip(mode.conditions, state.others, strict=True):
        read = measure(spec, mode, condition)
        if read is None or condition.signal == "no_calls":
            continue
        count = 100.0
        for part in (*read.parts, *(read.reference.parts if read.reference else ())):
            count = 100 * part_of(part, value)
            for inner in part.recording.parts:
                for labels in _elsewhere(spec, labels_of(spec, inner.labels, part.matchers)):
                    found[series(inner.name, labels)] = count
            for labels in _elsewhere(spec, labels_of(spec, part.recording.labels, part.matchers)):
                if part.recording.parts:
                    # Later: until then ours must make nothing of what it is made of.
                    name = series(part.recording.name, labels)
                    later.append({"series": name, "values": from_step(count, begins(read, part, time), time)})
                else:
                    found[series(part.recording.name, labels)] = count
        if read.reference is not None and condition.reference and condition.reference.hold:
            (hour_before,) = read.reference.value.parts
            for labels in _elsewhere(spec, labels_of(spec, hour_before.labels, read.matchers)):
                found |= {series(part.name, labels): value for part in hour_before.parts if not part.parts}
                # Later: until then ours must make nothing of the parts.
                name = series(hour_before.name, labels)
                later.append({"series": name, "values": from_step(value, time.bad // 2, time)})
        if read.count is None:
            for labels in _elsewhere(spec, labels_of(spec, read.value.labels, read.matchers)):
                found |= {series(part.name, labels): value for part in read.value.parts}
                # Later: until then ours must make nothing of the parts.
                later.append({"series": series(read.value.name, labels), "values": from_step(value, time.bad, time)})
        for beside in read.beside:
            # Of the stage that takes longest for its budget.
            slowest = {"stage": next(stage.name for stage in spec.stages if stage.budget)}
            for inner in beside.value.parts:
                for labels in _elsewhere(spec, labels_of(spec, inner.labels, beside.matchers) | slowest):
                    found[series(inner.name, labels)] = count
        own = labels_of(spec, read.value.labels, read.matchers)
        if "le" in own:
            found[series(read.value.name, {**own, "le": "0.000123"})] = value
    return [*(constant(name, value, time) for name, value in found.items()), *later]


def held_by_others(spec: Spec, mode: FailureMode, time: Clock) -> list[dict[str, str]]:
    """Return what other failure modes hold of the same hour before: more than any."""
    found = []
    for condition in mode.conditions:
        read = measure(spec, mode, condition)
        if read is not None and read.reference is not None and condition.reference and condition.reference.hold:
            then = read.reference
            labels = {**labels_of(spec, then.value.labels, then.matchers), "failure_mode": ANOTHER}
            found.append(constant(series(then.value.name, labels), 1e6, time))
    return found


def recorded_past(spec: Spec, mode: FailureMode, state: State, time: Clock, count: float) -> list[dict[str, str]]:
    """Return what rules record of the past, resting on `count` calls; elsewhere it was far less, or far more."""
    found = []
    for condition in mode.conditions:
        read = measure(spec, mode, condition)
        if read is None or read.reference is None or not (condition.reference and condition.reference.offset):
            continue
        then, value = read.reference, compared_with(mode, condition)
        assert condition.threshold is not None
        tempting = value * (0.01 if condition.threshold.low is None else 100.0)
        rests_on = count if state.then is None else state.then * mode.window
        told = [(then.value, then.matchers, value, tempting)]
        if then.count is not None:
            told.append((then.count, then.count_matchers, rests_on, 100 * count))
        if then.count == then.value:
            told = [(then.value, then.matchers, rests_on, tempting)]
        for recording, matchers, own, others in told:
            labels = labels_of(spec, recording.labels, matchers)
            if state.then != 0:
                found.append(constant(series(recording.name, labels), own, time))
            another = [{**labels, "stage": ANOTHER}] if mode.stage is not None else []
            for other in (*_elsewhere(spec, labels), *another):
                found.append(constant(series(recording.name, other), others, time))
    return found


def recorded_of_others(spec: Spec, parts: Sequence[Part], steps: int) -> list[dict[str, str]]:
    """Return counts that the rules of other pipelines and selections record, from which ours must make nothing."""
    return [
        {"series": series(part.recording.name, labels), "values": f"{10 + index}+0x{steps}"}
        for index, part in enumerate(parts)
        for labels in _elsewhere(spec, labels_of(spec, part.recording.labels, part.matchers))
    ]

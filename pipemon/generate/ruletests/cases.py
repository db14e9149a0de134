"""The cases of a failure mode's rule tests: values beyond, before and far beyond its thresholds, and what they show."""

from __future__ import annotations

from collections.abc import Iterator

from pipemon.generate.expressions import counts_as_some
from pipemon.generate.measures import measure
from pipemon.generate.rules import Alert
from pipemon.generate.ruletests.joint import Joint
from pipemon.generate.ruletests.played import ENOUGH, USUAL, calls_rate, case, never, stops
from pipemon.generate.ruletests.scenes import State, own_series
from pipemon.generate.ruletests.values import (
    MARGIN,
    Values,
    least_compared_with,
    needed_calls,
    tested_limits,
)
from pipemon.spec import reads as r
from pipemon.spec.model import STABLE, Condition, FailureMode, Spec
from pipemon.spec.signals import SIGNALS

Test = dict[str, object]

_FEW = 0.7
"""Calls, over the least that a condition needs: too few."""


def cases_that_fire(spec: Spec, alert: Alert, joint: Joint) -> Iterator[tuple[str, Test]]:
    """Yield cases that fire: all conditions beyond their thresholds, or each alone where any is enough."""
    mode, every = alert.mode, joint.every
    several, together = len(every) > 1, mode.combine == "all"
    good = joint.calm()
    if good is None:
        return
    if not together and several and not stops(mode) and (values := joint.hold()) is not None:
        state = State(values, calls_rate(spec, mode, ENOUGH), good, calls_rate(spec, mode, ENOUGH))
        yield "fires once when all of it holds", case(spec, alert, good, state, fires=True)
    seen: set[State] = set()
    for index, condition in enumerate(mode.conditions):
        for side, beyond in enumerate(every[index].beyond):
            found = joint.one(index, beyond, hold=together)
            rate = 0.0 if condition.signal == "no_calls" else calls_rate(spec, mode, ENOUGH, index)
            if found is None or (state := State(found, rate, good, calls_rate(spec, mode, ENOUGH))) in seen:
                continue
            seen.add(state)
            alone = f" on {told_as(mode, condition)} alone" if several and not together else ""
            which = _side(side, every[index].beyond)
            yield f"fires just beyond the threshold{alone}{which}", case(spec, alert, good, state, fires=True)
            if condition.signal == "no_calls":
                yield from _cases_of_silence(spec, alert, good, state)


def _cases_of_silence(spec: Spec, alert: Alert, good: tuple[float, ...], state: State) -> Iterator[tuple[str, Test]]:
    """Yield the cases of calls that stop with all that tells of them, and of targets that do not answer."""
    mode = alert.mode
    yield "fires when the series are gone", case(spec, alert, good, state, fires=True, gone=True)
    if spec.link:
        yield "is quiet while the link is cut", case(spec, alert, good, state, fires=False, gone=True, down=True)
    if len(mode.conditions) == 1:
        yield "fires when the series were never there", never(spec, alert)
    if spec.targets and own_series(spec, mode) is None:
        yield "fires when the target is down", case(spec, alert, good, state, fires=True, gone=True, down=True)
    if spec.targets and own_series(spec, mode) is None and not spec.told_apart_by:
        still = State(good, calls_rate(spec, mode, USUAL), good, calls_rate(spec, mode, ENOUGH))
        yield (
            "fires when the target is down and others count its calls",
            case(spec, alert, good, still, fires=True, down=True, far=True),
        )


def told_as(mode: FailureMode, condition: Condition) -> str:
    """Return how a case calls a condition: by its signal, and where another has the same, by all that tells it."""
    same = [each for each in mode.conditions if each.signal == condition.signal]
    if len(same) == 1:
        return condition.signal
    words = condition.threshold.words if condition.threshold else ""
    return " ".join(filter(None, (condition.signal, condition.argument, condition.slice, words)))


def cases_on_just_enough_calls(spec: Spec, alert: Alert, joint: Joint) -> Iterator[tuple[str, Test]]:
    """Yield a case that fires on the least calls, so many of them bad that those are enough too."""
    mode = alert.mode
    if len(joint.every) > 1:
        return
    condition, own = mode.conditions[0], joint.every[0]
    enough = ENOUGH * condition.min_count
    if condition.min_count and condition.reference is not None and condition.reference.hold:
        yield from _just_enough_before(spec, alert, own)
    if not (condition.min_count and condition.min_events and SIGNALS[condition.signal].by_calls):
        return
    if (
        needed_calls(spec, mode, condition) > condition.min_count
        and own.worst[-1] * enough >= ENOUGH * condition.min_events
    ):
        rate, good = enough / mode.window, (own.good,)
        state = State((own.worst[-1],), rate, good, calls_rate(spec, mode, ENOUGH))
        yield "fires on just enough calls", case(spec, alert, good, state, fires=True, far=True)


def _just_enough_before(spec: Spec, alert: Alert, values: Values) -> Iterator[tuple[str, Test]]:
    """Yield the case that fires where the hour before had the least calls: it was quiet then, and no longer is."""
    (condition,), window = alert.mode.conditions, max(alert.mode.window, spec.timing.long_window)
    then = ENOUGH * condition.min_count
    beyond = _beyond_supposed(condition, then) if counts_as_some(condition) else values.beyond[-1]
    rate = calls_rate(spec, alert.mode, ENOUGH)
    state = State((beyond,), rate, (values.good,), rate, then=then / window)
    name = "fires where the hour before has just enough calls"
    yield name, case(spec, alert, (values.good,), state, fires=True, far=True)


def cases_just_before(spec: Spec, alert: Alert, joint: Joint) -> Iterator[tuple[str, Test]]:
    """Yield cases that stay quiet although all else around is as bad as can be."""
    mode, every, together = alert.mode, joint.every, alert.mode.combine == "all"
    good = joint.calm()
    if good is None:
        return
    seen: set[tuple[float, ...]] = set()
    for index, condition in enumerate(mode.conditions):
        for side, before in enumerate(every[index].before):
            values, worst = joint.one(index, before, hold=together, just=True), joint.worst(index, side)
            others_rate = 0.0 if condition.signal == "no_calls" else calls_rate(spec, mode, 2 * ENOUGH)
            if values is None or values in seen:
                continue
            seen.add(values)
            state = State(values, calls_rate(spec, mode, ENOUGH), worst, others_rate)
            which = _side(side, every[index].before)
            name = f" of {told_as(mode, condition)}" if len(every) > 1 else ""
            yield f"is quiet just before the threshold{name}{which}", case(spec, alert, good, state, fires=False)
    reads = SIGNALS[mode.conditions[0].signal].reads
    if len(every) == 1 and isinstance(reads, r.Share) and reads.of is reads.events:
        limits = tested_limits(spec, mode, mode.conditions[0])
        low, high = limits.low or 0.0, limits.high
        if high is not None and 0.5 <= high < 1 and low < 0.9 * (1 - high):
            # Of a large share the rest is not as large. Where there is a least share, too, it may be too small.
            rate = calls_rate(spec, mode, ENOUGH)
            state = State(((low + 1 - high) / 2,), rate, good, rate)
            yield "is quiet where another has that share", case(spec, alert, good, state, fires=False)


def cases_on_few_calls(spec: Spec, alert: Alert, joint: Joint) -> Iterator[tuple[str, Test]]:
    """Yield cases that stay quiet since too little was seen, now or of what is compared with."""
    mode, every = alert.mode, joint.every
    good = joint.calm()
    if good is None:
        return
    for index, condition in enumerate(mode.conditions):
        if not (condition.min_count or condition.min_events):
            continue
        by_calls = SIGNALS[condition.signal].by_calls
        few = _FEW * needed_calls(spec, mode, condition) / mode.window
        for side, beyond in enumerate(every[index].beyond):
            values = joint.one(index, beyond, hold=mode.combine == "all")
            if values is None:
                continue
            state = State(values, few, joint.worst(index, side), calls_rate(spec, mode, 2 * ENOUGH))
            name = (f" for {told_as(mode, condition)}" if len(every) > 1 else "") + _side(side, every[index].beyond)
            if by_calls:
                yield f"is quiet on too few calls{name}", case(spec, alert, good, state, fires=False, few=True)
            read = measure(spec, mode, condition)
            # What is compared with an hour of its own, or with all slices, has something to compare with.
            apart = condition.reference is not None and (condition.reference.offset or condition.reference == STABLE)
            if read is not None and read.reference is not None and len(every) == 1 and apart:
                enough = state._replace(rate=calls_rate(spec, mode, ENOUGH), then=0.0)
                yield "is quiet with nothing to compare with", case(spec, alert, good, enough, fires=False, few=True)
                if read.reference.count is not None:
                    little = enough._replace(then=_FEW * condition.min_count / mode.window)
                    if counts_as_some(condition):
                        # Beyond the bad ones that are supposed of so few, too: that they are too few is what is tested.
                        little = little._replace(values=(_beyond_supposed(condition, _FEW * condition.min_count),))
                    yield (
                        "is quiet where that rests on too few calls",
                        case(spec, alert, good, little, fires=False, few=True),
                    )
                rare = _FEW * least_compared_with(mode, condition)
                if counts_as_some(condition) and ENOUGH * condition.min_count < least_compared_with(mode, condition):
                    yield _just_beyond_few(spec, alert, good, enough)
                if rare >= condition.min_count and counts_as_some(condition):
                    yield (
                        "is quiet where that rests on too few bad ones",
                        case(spec, alert, good, enough._replace(then=rare / mode.window), fires=False, few=True),
                    )
        if mode.combine == "all":
            break


def _just_beyond_few(spec: Spec, alert: Alert, good: tuple[float, ...], state: State) -> tuple[str, Test]:
    """Return the case that fires where what it is compared with rests on so few calls that bad ones are supposed."""
    (condition,) = alert.mode.conditions
    then = ENOUGH * condition.min_count
    beyond = state._replace(values=(_beyond_supposed(condition, then),), then=then / alert.mode.window)
    name = "fires where that rests on just enough calls, though on few bad ones"
    return name, case(spec, alert, good, beyond, fires=True, far=True)


def _beyond_supposed(condition: Condition, then: float) -> float:
    """Return a share just beyond what is compared with so many calls, of which the least bad ones are supposed."""
    assert condition.threshold is not None
    assert condition.threshold.high is not None
    return min(1.0, round((1 + MARGIN) * condition.threshold.high * condition.min_events / then, 6))


def _side(side: int, sides: tuple[float, ...]) -> str:
    return f" ({('low', 'high')[side]} side)" if len(sides) > 1 else ""

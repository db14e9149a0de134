"""One case of a failure mode: what is played at its place and beside it, and the alert and the values that it shows."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from pipemon.generate.measures import measure
from pipemon.generate.queries import calls_total
from pipemon.generate.rules import Alert
from pipemon.generate.ruletests.bounds import BEHIND, bound_until
from pipemon.generate.ruletests.clocks import Clock, ages, clock, holds_the_past
from pipemon.generate.ruletests.expectations import (
    expected_alert,
    firing_at,
    named_as_ours,
    nothing_of_others,
    of_no_other_stage,
    place_if_any,
    place_of,
    recorded_values,
    waited,
)
from pipemon.generate.ruletests.joint import joint_of, one_distribution
from pipemon.generate.ruletests.lines import counters
from pipemon.generate.ruletests.places import OLD_CALLS, OLD_VERSION, series
from pipemon.generate.ruletests.recorded import (
    begins,
    gone_elsewhere,
    held_by_others,
    parts_elsewhere,
    recorded_elsewhere,
    recorded_past,
)
from pipemon.generate.ruletests.scene_texts import Entries, Queries, scene_of
from pipemon.generate.ruletests.scenes import State, judged, own_series, up, worlds
from pipemon.generate.ruletests.values import (
    labels_needed,
    least_compared_with,
    needed_calls,
)
from pipemon.spec.model import STABLE, FailureMode, Spec
from pipemon.spec.signals import SIGNALS
from pipemon.units import duration

Test = dict[str, object]

ENOUGH = 1.5
USUAL = 2.0
"""Calls, over the least that a condition needs: while judged, and before."""

SKIPPED = 0.25
"""Skipped calls, over the others: what is a share of calls must fire as if there were none."""


class _Played(NamedTuple):
    """What is played at a place: a state after a calm time, and whether its series or targets are gone meanwhile.

    With `few` it rests on too few calls; what does not fire is otherwise just before its threshold.
    """

    calm: tuple[float, ...]
    state: State
    fires: bool
    gone: bool
    down: bool
    few: bool


def stops(mode: FailureMode) -> bool:
    """Tell whether it is about calls that stop, among others."""
    return any(condition.signal == "no_calls" for condition in mode.conditions)


def calls_rate(spec: Spec, mode: FailureMode, times: float, index: int | None = None) -> float:
    """Return the calls per second that are `times` the least that a condition (or any) needs in the window."""
    conditions = mode.conditions if index is None or mode.combine == "all" else (mode.conditions[index],)
    needed = (needed_calls(spec, mode, condition) for condition in conditions)
    return times * max(labels_needed(spec, mode), *needed) / mode.window


def case(
    spec: Spec,
    alert: Alert,
    calm: tuple[float, ...],
    state: State,
    *,
    fires: bool,
    gone: bool = False,
    down: bool = False,
    few: bool = False,
    far: bool = False,
) -> Test:
    """Return a case in which a state begins after a `calm` time, is judged, and ends, among places that must not count.

    What is `far` beyond the threshold passes it before the window is full, so when it fires is not asked. Nor is it of
    two conditions of one distribution: one half of which is old, and the other new, may pass a quantile's long before.
    """
    mode = alert.mode
    # What must hold together with others begins when the last of them does: the hour before may have a little of it.
    blurred = len(mode.conditions) > 1 and mode.combine == "all" and holds_the_past(mode)
    if fires and mode.stage is not None:
        state = state._replace(skipped=SKIPPED)
    played = _Played(calm, state, fires, gone, down, few)
    scene = scene_of(spec, mode, played, lambda: _scene(spec, mode, played))
    time = scene.time
    expected = [expected_alert(spec, alert, state, gone=gone)] if fires else []
    checks = [(time.judged, expected)]
    if fires and time.early is not None and (spec.link or not gone) and not (far or one_distribution(mode)):
        checks.insert(0, (time.early, []))
    if fires and time.recovers:
        checks += [(at, []) for at in (time.resolved, time.after) if at is not None]
    test: Test = {"interval": duration(time.step), "input_series": scene.inputs}
    exprs: list[object] = [*scene.recorded]
    if blurred:
        labels = {**place_of(spec, mode), **alert.labels}
        exprs += [firing_at(alert, time.at(at), [labels] if alerts else []) for at, alerts in checks]
    else:
        test["alert_rule_test"] = [
            {"eval_time": time.at(at), "alertname": alert.name, "exp_alerts": alerts} for at, alerts in checks
        ]
    if fires and not gone:
        exprs += waited(alert, time)
        # Unless the scene has what others' rules recorded of the past.
        if not any(condition.reference and condition.reference.offset for condition in mode.conditions):
            exprs.append(nothing_of_others(spec, time.at(time.judged)))
        if mode.stage is not None and own_series(spec, mode) is not None:
            exprs.append(named_as_ours(spec, mode.stage, time.at(time.judged)))
    if fires and time.recovers and time.lasting is not None:
        labels = {**place_of(spec, mode), **alert.labels}
        exprs.append(firing_at(alert, time.at(time.lasting), [labels]))
    return {**test, "promql_expr_test": exprs} if exprs else test


def _scene(spec: Spec, mode: FailureMode, played: _Played) -> tuple[Clock, Entries, Queries]:
    """Return what happens when in a case, the series that show it, and the tests of what is recorded of them."""
    calm, state, fires, gone, down, few = played
    stopped = stops(mode)
    away = spec.link if (gone or down) and fires else 0.0
    if stopped and not fires and not gone and spec.told_apart_by:
        # Who has been gone for so long is not expected any more.
        away = spec.link + spec.timing.long_window + mode.for_ + mode.keep_firing_for
    hold = holds_the_past(mode)
    usual = state.then if hold else None
    # That it ends does not depend on how many calls there were before it.
    time = clock(spec, mode, away)
    time = time._replace(recovers=time.recovers and fires and usual is None)
    normal = state._replace(values=calm, rate=calls_rate(spec, mode, USUAL) if usual is None else usual)
    during = worlds(spec, mode, state, calm)
    # Beside the place that is judged all goes on as it does, but where nobody is called there.
    before = [judged(spec, mode, normal), *during[1:]] if state.others_rate else worlds(spec, mode, normal, calm)
    if mode.conditions[0].reference == STABLE:
        # The stable versions were as bad, which is over: so long, and no longer, is looked back.
        before = worlds(spec, mode, normal._replace(stable=state.values), calm)
    if ages(mode):
        before[0].add(calls_total(mode.stage), OLD_CALLS * normal.rate, version=OLD_VERSION)
    inputs = counters(before, during, time, gone=gone) + up(spec, time, down=down)
    then = ENOUGH * max(least_compared_with(mode, condition) for condition in mode.conditions)
    inputs += recorded_past(spec, mode, state, time, then)
    inputs += held_by_others(spec, mode, time)
    if few or (stopped and not fires):
        inputs += recorded_elsewhere(spec, mode, state, time) + gone_elsewhere(spec, mode, time, cut=gone)
    elif not fires:
        inputs += parts_elsewhere(spec, mode, state, time)
        for condition in mode.conditions:
            last = time.judged - ceil(round(mode.window / time.step, 6)) - BEHIND
            # Until then nobody calls there: no window between has such calls and the bound.
            inputs += bound_until(spec, mode, condition, last, time.judged - BEHIND, time.judged)
    # Where others record the very value, it is no longer told what our rule records.
    counted = not stopped and all(SIGNALS[condition.signal].by_calls for condition in mode.conditions)
    exprs = [] if few or gone or not (fires or counted) else recorded_values(spec, mode, state, time, parts=fires)
    if not fires and not few:
        for condition in mode.conditions:
            read = measure(spec, mode, condition)
            if read is None:
                continue
            told_elsewhere = stopped and condition.signal != "no_calls"
            if read.value.parts and not told_elsewhere and (read.count is None or not (counted or stopped)):
                exprs.append(nothing_of_others(spec, time.at(time.bad - 1), read.value.name))
            exprs += [nothing_of_others(spec, time.at(time.bad - 1), each.value.name) for each in read.beside]
            if not stopped:
                parts = (*read.parts, *(read.reference.parts if read.reference else ()))
                made = {part.recording.name: begins(read, part, time) for part in parts if part.recording.parts}
                exprs += [nothing_of_others(spec, time.at(step - 1), name) for name, step in made.items()]
            if read.reference is not None and condition.reference and condition.reference.hold and not stopped:
                held, (hour_before,) = read.reference.value.name, read.reference.value.parts
                exprs.append(nothing_of_others(spec, time.at(time.bad - 1), held))
                exprs.append(nothing_of_others(spec, time.at(time.bad // 2 - 1), hour_before.name))
                if mode.stage is not None:
                    of_mode = series(held, {"pipeline": spec.pipeline, "failure_mode": mode.name})
                    exprs.append(of_no_other_stage(of_mode, mode.stage, time.at(time.bad - 1)))
    if fires and stopped and not gone and not ages(mode) and (hold or time.recovers):
        exprs += recorded_values(spec, mode, normal, time._replace(judged=time.bad - 1), parts=True)
    return time, inputs, exprs


def never(spec: Spec, alert: Alert) -> Test:
    """Return the case of a place that never was, beside others that are."""
    mode = alert.mode
    time = clock(spec, mode)._replace(recovers=False)
    calm = tuple(values.good for values in joint_of(spec, mode).every)
    rate = calls_rate(spec, mode, ENOUGH)
    state = State(calm, rate, calm, rate)
    others = worlds(spec, mode, state, calm)[1 : -1 - len(spec.told_apart_by)]
    labels = place_if_any(spec, mode)
    return {
        "interval": duration(time.step),
        "input_series": counters(others, others, time, gone=False) + up(spec, time, down=False),
        "promql_expr_test": [firing_at(alert, time.at(time.judged), [{**labels, **alert.labels}])],
    }

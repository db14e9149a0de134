"""promtool tests of burn rates: a fast burn, a slow one, one that the budget can bear, and one on few events.

Each pair of windows is looked at in steps of its own, a fifth of the short one: hours of a slow burn take no more of
them than minutes of a fast one. Where windows are added up of pieces, it is half of such a piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil
from typing import cast

from pipemon.generate.measures import measure
from pipemon.generate.promql import quote
from pipemon.generate.rules import Alert, Group
from pipemon.generate.ruletests.bounds import BEHIND, bound_until
from pipemon.generate.ruletests.clocks import Clock
from pipemon.generate.ruletests.expectations import expected_alert, nothing_of_others, recorded_value, waited
from pipemon.generate.ruletests.lines import constant, counters
from pipemon.generate.ruletests.neighbours import neighbours
from pipemon.generate.ruletests.places import series
from pipemon.generate.ruletests.scenes import State, judged, labels_of, worlds
from pipemon.generate.ruletests.values import MARGIN
from pipemon.generate.ruletests.wait import waiting_case
from pipemon.spec.latency import burned_condition
from pipemon.spec.model import Burn, Condition, Spec
from pipemon.spec.pieces import piece, windows_of
from pipemon.units import duration

Test = dict[str, object]

_STEPS, _OF_PIECE = 5, 2
"""Steps in the short window; and in a piece, where windows are added up of such."""
_MUCH = 3.0
"""What burns elsewhere, over what would be just beyond."""
_CALM = 0.5
"""How long all was well before, over the long window: enough for a window that is too long to tell less."""
_MANY = 4.0
"""Calls in the good time, over those that are enough for no longer window to be beyond its burn rate."""
_ANOTHER_BOUND = "0.000123"
_ENOUGH, _FEW = 1.5, 0.5
"""Bad events in the long window, over the least that mean something."""


def burning(alert: Alert) -> bool:
    """Tell whether an alert is one of burn rates."""
    return any(condition.burns for condition in alert.mode.conditions)


def burn_cases(spec: Spec, group: Group) -> dict[float, list[tuple[str, str, Test]]]:
    """Return the cases of a group's burn rates, with their failure modes' names, by their step."""
    found: dict[float, list[tuple[str, str, Test]]] = {}
    for alert in filter(burning, group.alerts):
        for burn, name, test in _cases(spec, alert):
            found.setdefault(_step(spec, alert.mode.conditions[0], burn), []).append((alert.mode.name, name, test))
        step, case = waiting_case(spec, alert)
        found.setdefault(step, []).append(case)
    return found


def _cases(spec: Spec, alert: Alert) -> Iterator[tuple[Burn, str, Test]]:
    assert spec.objective is not None
    allowed = 1 - spec.objective.target
    condition = alert.mode.conditions[0]
    slowest = condition.burns[-1].factor * allowed
    for burn in condition.burns:
        rate = burn.factor * allowed
        over = f"{duration(burn.long)} and {duration(burn.short)}"
        fires = _case(spec, alert, burn, rate * (1 + MARGIN), fires=True)
        yield burn, f"fires just beyond the burn rate over {over}", fires
        few = _case(spec, alert, burn, rate * (1 + MARGIN), fires=False, events=_FEW)
        yield burn, f"is quiet on too few of them over {over}", few
        if (without := _without_bound(spec, alert, burn)) is not None:
            yield burn, f"counts what the bound sorts over {over}", without
    last = condition.burns[-1]
    below = _case(spec, alert, last, slowest * (1 - MARGIN), fires=False)
    read = measure(spec, alert.mode, condition)
    assert read is not None
    known = labels_of(spec, (), read.matchers)
    time = _clock(spec, alert, last, fires=False)
    more, told = neighbours(spec, dict.fromkeys(read.recordings), known, (), time)
    # Nor is what is recorded by another bound.
    more += [
        constant(series(each.value.name, {**labels_of(spec, (), each.matchers), "le": _ANOTHER_BOUND}), _MUCH, time)
        for each in (read, *read.beside)
        if "le" in each.value.labels
    ]
    below |= {"input_series": [*cast(list[Test], below["input_series"]), *more], "promql_expr_test": told}
    yield last, "is quiet just below the slowest burn rate", below


def _case(spec: Spec, alert: Alert, burn: Burn, value: float, *, fires: bool, events: float = _ENOUGH) -> Test:
    """Return a case in which so many calls are bad for the long window, after a good time.

    There are many calls in it, so that over longer windows it is no burn. Hardly anybody calls after the bad time,
    so that the alert is over when the short window is.
    """
    mode, condition = alert.mode, alert.mode.conditions[0]
    time = _clock(spec, alert, burn, fires=fires)
    value = round(value, 9)
    rate = events * condition.min_events / value / burn.long
    calm = (value / 100,)
    state = State((value,), rate, calm, rate)
    many = _MANY * rate * burn.factor / condition.burns[-1].factor
    burned = replace(mode, conditions=(burned_condition(spec, mode.stage, condition),))
    # Where it is quiet, other stages, pipelines and places burn.
    state = state if fires else state._replace(others=(min(1.0, _MUCH * value),))
    usual = State(calm, many, calm, many)
    before, during = (worlds(spec, burned, each, calm) for each in (usual, state))
    expected = [expected_alert(spec, alert, state, gone=False)] if fires else []
    checks = [(time.judged, expected), *([(time.resolved, [])] if fires else [])]
    exprs = [nothing_of_others(spec, time.at(time.judged))]
    if fires:
        exprs += [*waited(alert, time), *_of_no_other_bound(spec, alert, time)]
    return {
        "interval": duration(time.step),
        "input_series": counters(before, during, time, gone=False, idle=True),
        "alert_rule_test": [
            {"eval_time": time.at(at), "alertname": alert.name, "exp_alerts": alerts} for at, alerts in checks
        ],
        "promql_expr_test": exprs,
    }


def _without_bound(spec: Spec, alert: Alert, burn: Burn) -> Test | None:
    """Return a case of calls that the bound sorts, beside a replica that has it no more, seen over each window."""
    condition = alert.mode.conditions[0]
    mode = replace(alert.mode, conditions=(burned_condition(spec, alert.mode.stage, condition),))
    time, last = _clock(spec, alert, burn, fires=False)._replace(recovers=False), 2
    inputs = bound_until(spec, mode, mode.conditions[0], last, last, time.end)
    if not inputs:
        return None
    own, rate, exprs = judged(spec, mode, State((0.0,), 1.0, (0.0,), 0.0)), 1.0, list[Test]()
    for window in (piece(spec, condition, burn.long) or burn.long, burn.short):
        at = time.at(last + ceil(round(window / time.step, 6)) + BEHIND)
        found = measure(spec, replace(mode, window=window), mode.conditions[0])
        assert found is not None
        assert found.count is not None
        exprs.append(recorded_value(spec, found.count, found.count_matchers, rate * window, at=at))
    inputs += counters([own], [own], time, gone=False)
    return {"interval": duration(time.step), "input_series": inputs, "promql_expr_test": exprs}


def _of_no_other_bound(spec: Spec, alert: Alert, time: Clock) -> Iterator[Test]:
    """Yield the test that what is counted by bounds is of the one that tells what is late: others cost as much each."""
    read = measure(spec, alert.mode, alert.mode.conditions[0])
    assert read is not None
    bound = next((matcher for matcher in read.matchers if matcher.label == "le"), None)
    if bound is not None:
        names = "|".join(dict.fromkeys(each.name for each in read.recordings if "le" in each.labels))
        expr = f"count({{__name__=~{quote(names)},le!={quote(bound.value)}}})"
        yield {"expr": expr, "eval_time": time.at(time.judged), "exp_samples": []}


def _step(spec: Spec, condition: Condition, burn: Burn) -> float:
    part = piece(spec, condition, max(windows_of(condition)))
    return part / _OF_PIECE if part else burn.short / _STEPS


def _clock(spec: Spec, alert: Alert, burn: Burn, *, fires: bool) -> Clock:
    """Return the times of a case."""
    mode, condition = alert.mode, alert.mode.conditions[0]
    step = _step(spec, condition, burn)

    def steps(seconds: float) -> int:
        return ceil(round(seconds / step, 6))

    bad = steps(_CALM * burn.long) + 3
    # The newest whole piece may be as old as a piece is long.
    judged = bad + steps(burn.long + (piece(spec, condition, burn.long) or 0.0)) + steps(mode.for_) + 2
    good = judged + 1
    resolved = good + steps(burn.short) + steps(mode.keep_firing_for) + 1
    return Clock(step, bad, None, judged, good, None, resolved, recovers=fires)

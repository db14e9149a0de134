"""promtool tests of burn rates: a fast burn, a slow one, one that the budget can bear, and one on few events.

Each pair of windows is looked at in steps of its own, a fifth of the short one: days of a slow burn take no more of
them than hours of a fast one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil
from typing import cast

from pipemon.generate.expectations import expected_alert, nothing_of_others, waited
from pipemon.generate.measures import measure
from pipemon.generate.neighbours import neighbours
from pipemon.generate.rules import Alert, Group
from pipemon.generate.scenes import Clock, State, counters, labels_of, worlds
from pipemon.generate.testvalues import MARGIN
from pipemon.spec.latency import burned_condition
from pipemon.spec.model import Burn, Spec
from pipemon.units import duration

Test = dict[str, object]

_STEPS = 5
"""Steps in the short window."""
_MANY = 2.0
"""Calls in the good time, over those that are enough for no longer window to be beyond its burn rate."""
_ENOUGH, _FEW = 2.0, 0.5
"""Bad events in the long window, over the least that mean something."""


def burning(alert: Alert) -> bool:
    """Tell whether an alert is one of burn rates."""
    return any(condition.burns for condition in alert.mode.conditions)


def burn_cases(spec: Spec, group: Group) -> dict[float, list[tuple[str, str, Test]]]:
    """Return the cases of a group's burn rates, with their failure modes' names, by their step."""
    found: dict[float, list[tuple[str, str, Test]]] = {}
    for alert in filter(burning, group.alerts):
        for burn, name, test in _cases(spec, alert):
            found.setdefault(burn.short / _STEPS, []).append((alert.mode.name, name, test))
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
    last = condition.burns[-1]
    below = _case(spec, alert, last, slowest * (1 - MARGIN), fires=False)
    read = measure(spec, alert.mode, condition)
    assert read is not None
    known = labels_of(spec, (), read.matchers)
    more, told = neighbours(spec, dict.fromkeys(read.recordings), known, (), _clock(alert, last, fires=False))
    below |= {"input_series": [*cast(list[Test], below["input_series"]), *more], "promql_expr_test": told}
    yield last, "is quiet just below the slowest burn rate", below


def _case(spec: Spec, alert: Alert, burn: Burn, value: float, *, fires: bool, events: float = _ENOUGH) -> Test:
    """Return a case in which so many calls are bad for the long window, after a good time that is as long.

    There are many calls in it, so that over longer windows it is no burn. Hardly anybody calls after the bad time,
    so that the alert is over when the short window is.
    """
    mode, condition = alert.mode, alert.mode.conditions[0]
    time = _clock(alert, burn, fires=fires)
    value = round(value, 9)
    rate = events * condition.min_events / value / burn.long
    calm = (value / 100,)
    state = State((value,), rate, calm, rate)
    many = _MANY * rate * burn.factor / condition.burns[-1].factor
    burned = replace(mode, conditions=(burned_condition(spec, mode.stage, condition),))
    usual = State(calm, many, calm, many)
    before, during = (worlds(spec, burned, each, calm) for each in (usual, state))
    expected = [expected_alert(spec, alert, state, gone=False)] if fires else []
    checks = [(time.judged, expected), *([(time.resolved, [])] if fires else [])]
    exprs = [nothing_of_others(spec, time.at(time.judged))]
    if fires:
        exprs += waited(alert, time)
    return {
        "interval": duration(time.step),
        "input_series": counters(before, during, time, gone=False, idle=True),
        "alert_rule_test": [
            {"eval_time": time.at(at), "alertname": alert.name, "exp_alerts": alerts} for at, alerts in checks
        ],
        "promql_expr_test": exprs,
    }


def _clock(alert: Alert, burn: Burn, *, fires: bool) -> Clock:
    """Return the times of a case."""
    mode, step = alert.mode, burn.short / _STEPS

    def steps(seconds: float) -> int:
        return ceil(round(seconds / step, 6))

    bad = steps(burn.long) + 3
    judged = bad + steps(burn.long) + steps(mode.for_) + 2
    good = judged + 1
    resolved = good + steps(burn.short) + steps(mode.keep_firing_for) + 1
    return Clock(step, bad, None, judged, good, None, resolved, recovers=fires)

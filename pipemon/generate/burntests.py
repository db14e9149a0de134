"""promtool tests of burn rates: a fast burn, a slow one, one that the budget can bear, and one on few events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

from pipemon.generate.expectations import expected_alert, nothing_of_others
from pipemon.generate.rules import Alert, Group
from pipemon.generate.scenes import Clock, State, counters, worlds
from pipemon.generate.synthetic import MARGIN
from pipemon.spec.latency import burned_condition
from pipemon.spec.model import Burn, FailureMode, Spec
from pipemon.units import duration

Test = dict[str, object]

_STEPS = 5
"""Steps in the shortest window."""
_ENOUGH, _FEW = 2.0, 0.5
"""Bad events in the long window, over the least that mean something."""


def burn_step(mode: FailureMode) -> float:
    """Return the step of these tests, in seconds."""
    return mode.conditions[0].burns[0].short / _STEPS


def burning(alert: Alert) -> bool:
    """Tell whether an alert is one of burn rates."""
    return any(condition.burns for condition in alert.mode.conditions)


def burn_cases(spec: Spec, group: Group) -> dict[float, list[tuple[str, str, Test]]]:
    """Return the cases of a group's burn rates, with their failure modes' names, by their step."""
    found: dict[float, list[tuple[str, str, Test]]] = {}
    for alert in filter(burning, group.alerts):
        cases = found.setdefault(burn_step(alert.mode), [])
        cases += [(alert.mode.name, name, test) for name, test in _cases(spec, alert)]
    return found


def _cases(spec: Spec, alert: Alert) -> Iterator[tuple[str, Test]]:
    assert spec.objective is not None
    allowed = 1 - spec.objective.target
    condition = alert.mode.conditions[0]
    slowest = condition.burns[-1].factor * allowed
    for burn in condition.burns:
        rate = burn.factor * allowed
        over = f"{duration(burn.long)} and {duration(burn.short)}"
        yield f"fires just beyond the burn rate over {over}", _case(spec, alert, burn, rate * (1 + MARGIN), fires=True)
        few = _case(spec, alert, burn, rate * (1 + MARGIN), fires=False, events=_FEW)
        yield f"is quiet on too few of them over {over}", few
    last = condition.burns[-1]
    yield "is quiet just below the slowest burn rate", _case(spec, alert, last, slowest * (1 - MARGIN), fires=False)


def _case(spec: Spec, alert: Alert, burn: Burn, value: float, *, fires: bool, events: float = _ENOUGH) -> Test:
    """Return a case in which so many calls are bad for the long window, after a good time as long as the longest."""
    mode, condition = alert.mode, alert.mode.conditions[0]
    step = burn_step(mode)
    value = round(value, 9)

    def steps(seconds: float) -> int:
        return ceil(round(seconds / step, 6))

    bad = steps(max(each.long for each in condition.burns)) + 3
    judged = bad + steps(burn.long) + steps(mode.for_) + 2
    good = judged + 1
    # A slower burn rate may have come to hold, too.
    resolved = good + steps(max(each.short for each in condition.burns)) + steps(mode.keep_firing_for) + 3
    time = Clock(step, bad, None, judged, good, None, resolved, recovers=fires)
    rate = events * condition.min_events / value / burn.long
    calm = (value / 100,)
    # In the good time before, nothing fails: the longest window must hold too little to fire by itself.
    state = State((value,), rate, calm, rate)
    burned = replace(mode, conditions=(burned_condition(spec, mode.stage, condition),))
    before, during = (worlds(spec, burned, each, calm) for each in (state._replace(values=calm), state))
    expected = [expected_alert(spec, alert, state, gone=False)] if fires else []
    checks = [(time.judged, expected), *([(time.resolved, [])] if fires else [])]
    return {
        "interval": duration(step),
        "input_series": counters(before, during, time, gone=False),
        "alert_rule_test": [
            {"eval_time": time.at(at), "alertname": alert.name, "exp_alerts": alerts} for at, alerts in checks
        ],
        "promql_expr_test": nothing_of_others(spec, time.at(time.judged)),
    }

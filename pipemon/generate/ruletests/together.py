"""promtool tests of how many features have drifted at once: just enough of them, and one too few."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import floor
from typing import cast

from pipemon.generate.drift.measure import condition_references
from pipemon.generate.drift.shapes import noticed
from pipemon.generate.drift.together import counted
from pipemon.generate.measures import measure
from pipemon.generate.rules import Alert, Group
from pipemon.generate.ruletests.clocks import clock_of_a_move
from pipemon.generate.ruletests.expectations import firing_at, nothing_of_others, place_of, recorded_value
from pipemon.generate.ruletests.lines import counters
from pipemon.generate.ruletests.scenes import State, worlds
from pipemon.generate.ruletests.values import MARGIN, tested_values
from pipemon.spec.model import Condition, FailureMode, Spec
from pipemon.spec.signals import TOGETHER, Statistic
from pipemon.units import duration

Test = dict[str, object]

_STEPS = 12
"""Steps in the window."""
_PLENTY = 100.0
"""Values in the window, over the least that a verdict takes."""


def of_several(alert: Alert) -> bool:
    """Tell whether an alert is one of several features, which stands alone."""
    return any(condition.signal == TOGETHER for condition in alert.mode.conditions)


def together_cases(spec: Spec, group: Group) -> dict[float, list[tuple[str, str, Test]]]:
    """Return the cases of a group's alerts of several features, with their failure modes' names, by their step."""
    found: dict[float, list[tuple[str, str, Test]]] = {}
    for alert in filter(of_several, group.alerts):
        cases = found.setdefault(alert.mode.window / _STEPS, [])
        cases += [(alert.mode.name, name, test) for name, test in _cases(spec, alert)]
    return found


def _cases(spec: Spec, alert: Alert) -> Iterator[tuple[str, Test]]:
    (condition,) = alert.mode.conditions
    assert condition.threshold is not None
    assert condition.threshold.high is not None
    enough = floor(condition.threshold.high) + 1
    yield f"fires when {enough} have moved", _case(spec, alert, enough, fires=True)
    yield f"is quiet when {enough - 1} have", _case(spec, alert, enough - 1, fires=False)


def _case(spec: Spec, alert: Alert, number: int, *, fires: bool) -> Test:
    """Return a case in which so many features are far from their baselines for a time."""
    mode = alert.mode
    watched = counted(spec, mode)
    of_what = replace(mode, conditions=tuple(condition for _, condition in watched))
    calls = _PLENTY * max(condition_references(spec, other, each)[0].least for other, each in watched)
    moved = tuple(_beyond(spec, other, each, calls) for other, each in watched)
    calm = (0.0,) * len(watched)
    values = (*moved[:number], *calm[number:])
    rate, time = calls / mode.window, clock_of_a_move(spec, mode, _STEPS)
    others = calm if fires else moved
    before, during = (worlds(spec, of_what, State(each, rate, others, rate), calm) for each in (calm, values))
    firing = [{**place_of(spec, mode), **alert.labels}] if fires else []
    found, at = measure(spec, mode, mode.conditions[0]), time.at(time.judged)
    assert found is not None
    return {
        "interval": duration(time.step),
        "input_series": counters(before, during, time, gone=False),
        "promql_expr_test": [
            firing_at(alert, at, firing),
            *([firing_at(alert, time.at(time.resolved), [])] if fires else []),
            recorded_value(spec, found.value, found.matchers, float(number), at=at),
            nothing_of_others(spec, at),
        ],
    }


def _beyond(spec: Spec, mode: FailureMode, condition: Condition, calls: float) -> float:
    """Return how far a feature has moved: beyond its failure mode's threshold, and beyond chance."""
    reference = condition_references(spec, mode, condition)[0]
    chance = noticed(reference, cast(Statistic, condition.argument), calls)
    return max(tested_values(spec, mode, condition).beyond[0], chance * (1 + MARGIN))

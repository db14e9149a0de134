"""promtool tests of shifts: a mean that stays away from the baseline's, one that chance explains, too few values."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from pipemon.generate.drift.watched import references
from pipemon.generate.measures import measure
from pipemon.generate.rules import Alert, Group
from pipemon.generate.ruletests.expectations import expected_alert, firing_at, place_of, recorded_value
from pipemon.generate.ruletests.onset import SCRAPES, Feature
from pipemon.generate.ruletests.scenes import ANOTHER, NEIGHBOUR, State
from pipemon.generate.ruletests.values import MARGIN
from pipemon.generate.ruletests.wait import wait_case
from pipemon.spec.model import Spec
from pipemon.spec.shift import MOST
from pipemon.spec.signals import SHIFT
from pipemon.units import duration

Test = dict[str, object]
Series = dict[str, str]
Phases = list[tuple[float, float, int]]

_BEFORE = 3
"""Steps before anything moves."""
_STEPS = 5
"""Steps in which a sum comes close to its limit: the next one is beyond."""
_QUIET = 30
"""Steps in which a sum that grows at all would be beyond its limit."""
_FEW = 0.5
"""Values in a step, of as many as are usual: too few to tell."""


def shifting(alert: Alert) -> bool:
    """Tell whether an alert is one of a shift, which stands alone."""
    return any(condition.signal == SHIFT for condition in alert.mode.conditions)


def shift_cases(spec: Spec, group: Group) -> dict[float, list[tuple[str, str, Test]]]:
    """Return the cases of a group's alerts of shifts, with their failure modes' names, by their step."""
    found: dict[float, list[tuple[str, str, Test]]] = {}
    for alert in filter(shifting, group.alerts):
        mode = alert.mode
        cases = found.setdefault(group.interval, [])
        cases += [(mode.name, name, test) for name, test in _cases(spec, alert)]
        read = measure(spec, mode, mode.conditions[0])
        assert read is not None
        step, case = wait_case(spec, alert, read)
        found.setdefault(step, []).append(case)
    return found


def _cases(spec: Spec, alert: Alert) -> Iterator[tuple[str, Test]]:
    (condition,) = alert.mode.conditions
    shape, threshold = condition.feature, condition.threshold
    assert shape is not None
    assert threshold is not None
    assert threshold.high is not None
    reference = references(spec, ((alert.mode.stage or "", shape.direction, shape.name),))[0]
    feature = Feature(spec, reference, alert.mode.window)
    grows = threshold.high / (_STEPS + 0.05)
    for sign, side in ((1.0, "upwards"), (-1.0, "downwards")):
        yield f"fires once a shift {side} adds up", _fires(spec, alert, feature, sign, grows)
    near = _phases(feature, feature.slack * (1 - MARGIN), _QUIET)
    yield "is quiet where chance explains it, whatever moves elsewhere", _quiet(spec, alert, feature, near, value=0.0)
    few = _phases(feature, feature.slack + grows, _QUIET, _FEW)
    yield "is quiet on too few values", _quiet(spec, alert, feature, few, value=None)
    far, other = _phases(feature, feature.slack + grows, _QUIET), {"instance": "c"}
    bins = [feature.bins("other", (_BEFORE + _QUIET) * SCRAPES, other)]
    yield "is quiet on other bins than the baseline has", _quiet(spec, alert, feature, far, bins, value=None)


def _phases(
    feature: Feature, off: float, steps: int, many: float = 1.0, back: int = 0
) -> list[tuple[float, float, int]]:
    """Return the values in a step, their mean, and for how many steps: still, so many standard errors off, and back."""
    mean, number = feature.base.mean, many * feature.number
    return [(number, mean, _BEFORE), (number, mean + off * feature.error, steps), (number, mean, back)]


def _fires(spec: Spec, alert: Alert, feature: Feature, sign: float, grows: float) -> Test:
    """Return a case in which a mean moves until the sum is at its most, and moves back."""
    mode = alert.mode
    (condition,) = mode.conditions
    step = mode.window
    wait, tail = (ceil(round(seconds / step, 6)) for seconds in (mode.for_, mode.keep_firing_for))
    passed = _BEFORE + _STEPS + 1
    ends = max(passed + wait, _BEFORE + ceil(MOST / grows)) + 1
    high = condition.threshold.high if condition.threshold else None
    resolved = ends + ceil((MOST - (high or 0.0)) / feature.slack) + tail + 2
    phases = _phases(feature, sign * (feature.slack + grows), ends - _BEFORE, back=resolved - ends)
    found, lasts = measure(spec, mode, condition), resolved
    assert found is not None
    expected = expected_alert(spec, alert, State((MOST,), feature.number / step, (0.0,), 0.0), gone=False)
    annotations = expected["exp_annotations"]
    if isinstance(annotations, dict) and "origin" in annotations:
        annotations["origin"] = f"Moved first: the {feature.side['direction']} of {mode.stage}."
    at = {each: duration(each * step) for each in (passed - 1, passed + wait, ends, resolved)}
    firing = [{**place_of(spec, mode), **alert.labels}]
    return {
        "interval": duration(step / SCRAPES),
        "input_series": feature.told(phases, until=lasts),
        "alert_rule_test": [
            {"eval_time": at[each], "alertname": alert.name, "exp_alerts": alerts}
            for each, alerts in ((ends, [expected]), (resolved, []))
        ],
        "promql_expr_test": [
            firing_at(alert, at[passed - 1], []),
            *([firing_at(alert, at[passed + wait - 1], [])] if wait and passed + wait - 1 in at else []),
            firing_at(alert, at[passed + wait], firing),
            recorded_value(spec, found.value, found.matchers, MOST, at=at[ends]),
        ],
    }


def _quiet(
    spec: Spec,
    alert: Alert,
    feature: Feature,
    phases: Phases,
    more: list[Series] | None = None,
    *,
    value: float | None,
) -> Test:
    """Return a case that stays quiet while others move; the sum is `value`, None where nothing can be told."""
    mode = alert.mode
    found = measure(spec, mode, mode.conditions[0])
    assert found is not None
    lasts = _BEFORE + _QUIET
    at = duration(lasts * mode.window)
    inputs = feature.told(phases, until=lasts) + (more or [])
    moved = _phases(feature, 10 * feature.slack, _QUIET)
    for label, other in (("pipeline", NEIGHBOUR), ("stage", ANOTHER), ("direction", ANOTHER), ("feature", ANOTHER)):
        inputs += feature.told(moved, {label: other}, until=lasts)
    inputs += feature.told(moved, {"track": "shadow"}, until=lasts)
    told: Test = {"expr": found.value.name, "eval_time": at}
    if value is not None:
        told = recorded_value(spec, found.value, found.matchers, value, at=at)
    return {
        "interval": duration(mode.window / SCRAPES),
        "input_series": inputs,
        "promql_expr_test": [told, firing_at(alert, at, [])],
    }

"""promtool tests of cumulative sums: a share that adds up, shares that do not, and counters that begin anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

from pipemon.generate.cusum import MOST
from pipemon.generate.measures import measure
from pipemon.generate.recordings import Measure, Recording, in_order
from pipemon.generate.rules import Alert, Group
from pipemon.generate.ruletests.clocks import Clock
from pipemon.generate.ruletests.expectations import expected_alert, firing_at, nothing_of_others, recorded_value
from pipemon.generate.ruletests.lines import constant, counters
from pipemon.generate.ruletests.places import series
from pipemon.generate.ruletests.played import SKIPPED
from pipemon.generate.ruletests.recorded import part_of, parts_elsewhere
from pipemon.generate.ruletests.scenes import ANOTHER, State, labels_of, own_series, worlds
from pipemon.generate.ruletests.values import MARGIN
from pipemon.generate.ruletests.wait import wait_case
from pipemon.spec.cusum import LIMIT, slack, summed
from pipemon.spec.model import FailureMode, Spec
from pipemon.units import duration

Test = dict[str, object]

_STEPS = 5
"""Steps in which a sum passes its limit, and as many again in which it is at its most."""
_SCRAPES = 8
"""Scrapes in a step."""
_BEFORE = 2
"""Steps before anything is bad."""
_MANY = 1000.0
"""Calls in a step, where so many of them add up to nothing."""


def by_sum(alert: Alert) -> bool:
    """Tell whether an alert is one of a cumulative sum, which stands alone."""
    return any(condition.tolerated for condition in alert.mode.conditions)


def cusum_cases(spec: Spec, group: Group) -> dict[float, list[tuple[str, str, Test]]]:
    """Return the cases of a group's cumulative sums, with their failure modes' names, by their step.

    Of a stage that is not decorated it is a shorter one, since its series are recorded by rules, too: the sums of
    steps that begin at other times are then others, and each is right.
    """
    found: dict[float, list[tuple[str, str, Test]]] = {}
    for alert in filter(by_sum, group.alerts):
        mode = alert.mode
        step = mode.window if own_series(spec, mode) is None else mode.window / _SCRAPES
        found.setdefault(step, []).extend((mode.name, name, test) for name, test in _cases(spec, alert))
        read = measure(spec, mode, mode.conditions[0])
        if read is not None and mode.for_:
            step, case = wait_case(spec, alert, read)
            found.setdefault(step, []).append(case)
    return found


def _cases(spec: Spec, alert: Alert) -> Iterator[tuple[str, Test]]:
    (condition,) = alert.mode.conditions
    least = slack(condition.tolerated)
    more, less = (round(share, 9) for share in (least + min(least, 1 - least) / 2, least * (1 - MARGIN)))
    yield "fires on a share beyond the reference value once it adds up", _case(spec, alert, more, fires=True)
    yield "is quiet just below the reference value", _case(spec, alert, less, fires=False)
    yield "is quiet where only other sums are high", _of_others(spec, alert)


def _case(spec: Spec, alert: Alert, share: float, *, fires: bool) -> Test:
    """Return a case in which a share of all is bad until the sum is at its most, and then none is."""
    mode = alert.mode
    (condition,) = mode.conditions
    found, of_what = measure(spec, mode, condition), replace(mode, conditions=(summed(condition),))
    assert found is not None
    least, seen = slack(condition.tolerated), 1 - spec.timing.scrape_interval / mode.window
    # A step adds a little more than a fifth of the limit.
    calls = 1.05 * LIMIT / _STEPS / seen / (share - least) if fires else _MANY
    wait, tail = (ceil(round(seconds / mode.window, 6)) for seconds in (mode.for_, mode.keep_firing_for))
    began, passed = _BEFORE, _BEFORE + _STEPS + wait
    ends = passed + _STEPS + 1
    resolved = ends + ceil(LIMIT / (seen * least * calls)) + tail + 1
    # What is bad begins right behind the evaluation of a step.
    steps = (began * _SCRAPES + 1, None, ends * _SCRAPES, ends * _SCRAPES + 1, None, resolved * _SCRAPES)
    time = Clock(mode.window / _SCRAPES, *steps)
    rate, calm, others = calls / mode.window, (0.0,), ((0.0,) if fires else (1.0,))
    skipped = SKIPPED if mode.stage is not None else 0.0
    before, during = (
        worlds(spec, of_what, State(values, rate, others, rate, skipped), calm) for values in (calm, (share,))
    )
    inputs = counters(before, during, time, gone=False)
    (excess,) = found.value.parts
    if fires:
        inputs += parts_elsewhere(spec, of_what, State(calm, rate, (1.0,), rate), time)
    else:
        inputs += _beside(spec, mode, excess, found, time)
    expected = expected_alert(spec, alert, State((MOST,), rate, calm, rate), gone=False)
    checks = [(passed - 1, []), (ends, [expected]), (resolved, [])] if fires else [(ends, [])]
    at = time.at(time.judged)
    return {
        "interval": duration(time.step),
        "input_series": inputs,
        "alert_rule_test": [
            {"eval_time": duration(step * mode.window), "alertname": alert.name, "exp_alerts": alerts}
            for step, alerts in checks
        ],
        "promql_expr_test": [
            recorded_value(spec, found.value, found.matchers, MOST if fires else 0.0, at=at),
            *(_counts(spec, of_what, State((share,), rate, calm, rate, skipped), time) if not fires else ()),
            *(_only_here(spec, each, found, at) for each in ((excess, found.value) if fires else (found.value,))),
            *(nothing_of_others(spec, at, each.name) for each in (() if fires else in_order(excess)[:-1])),
            *(_of_no_neighbour(spec, of_what, time) if fires else ()),
        ],
    }


def _counts(spec: Spec, mode: FailureMode, state: State, time: Clock) -> Iterator[Test]:
    """Yield the tests of the counts that the share of a step is made of."""
    (condition,), (value,) = mode.conditions, state.values
    found = measure(spec, mode, condition)
    assert found is not None
    for part in found.parts:
        count = part_of(part, value, state.skipped) * state.rate * mode.window
        yield recorded_value(spec, part.recording, part.matchers, count, at=time.at(time.judged))


def _of_no_neighbour(spec: Spec, mode: FailureMode, time: Clock) -> Iterator[Test]:
    """Yield the tests that ours make no counts of what a neighbour counts, before the neighbour makes its own."""
    found = measure(spec, mode, mode.conditions[0])
    assert found is not None
    for part in found.parts:
        if part.recording.parts:
            yield nothing_of_others(spec, time.at(time.bad - 1), part.recording.name)


def _of_others(spec: Spec, alert: Alert) -> Test:
    """Return a case in which the sums of other failure modes, stages and pipelines are recorded, and none is here."""
    (condition,) = alert.mode.conditions
    found = measure(spec, alert.mode, condition)
    assert found is not None
    steps = (1, None, 4, 5, None, 5)
    time = Clock(alert.mode.window, *steps)
    return {
        "interval": duration(time.step),
        "input_series": _beside(spec, alert.mode, found.value, found, time),
        "promql_expr_test": [firing_at(alert, time.at(time.judged), [])],
    }


def _beside(spec: Spec, mode: FailureMode, recording: Recording, found: Measure, time: Clock) -> list[dict[str, str]]:
    """Return what is recorded elsewhere under a rule's name: one label differs."""
    labels = labels_of(spec, recording.labels, found.matchers)
    kinds = ("pipeline", *(["stage"] if mode.stage is not None else []), "failure_mode", *dict(spec.select))
    return [constant(series(recording.name, {**labels, kind: ANOTHER}), MOST, time) for kind in kinds]


def _only_here(spec: Spec, recording: Recording, found: Measure, at: str) -> Test:
    """Return the test that a rule records nothing but what is here, and at places that are told apart."""
    labels = labels_of(spec, recording.labels, found.matchers)
    here = {label: value for label, value in labels.items() if label not in spec.told_apart_by}
    samples = [{"labels": series("", here), "value": 1 + len(spec.told_apart_by)}]
    return {"expr": f"count by ({', '.join(here)}) ({recording.name})", "eval_time": at, "exp_samples": samples}

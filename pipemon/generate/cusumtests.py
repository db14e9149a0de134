"""promtool tests of cumulative sums: a share that adds up, shares that do not, and counters that begin anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

from pipemon.generate.cusum import MOST
from pipemon.generate.expectations import expected_alert, nothing_of_others, recorded_value
from pipemon.generate.measures import measure
from pipemon.generate.rules import Alert, Group
from pipemon.generate.scenes import Clock, State, counters, worlds
from pipemon.generate.synthetic import MARGIN
from pipemon.spec.cusum import LIMIT, slack, summed
from pipemon.spec.model import Spec
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


def cusum_cases(spec: Spec, group: Group) -> Iterator[tuple[str, str, Test]]:
    """Yield the cases of a group's cumulative sums, with their failure modes' names."""
    for alert in filter(by_sum, group.alerts):
        for name, test in _cases(spec, alert):
            yield alert.mode.name, name, test


def _cases(spec: Spec, alert: Alert) -> Iterator[tuple[str, Test]]:
    (condition,) = alert.mode.conditions
    least = slack(condition.tolerated)
    more = least + min(least, 1 - least) / 2
    yield "fires on a share beyond the reference value once it adds up", _case(spec, alert, more, fires=True)
    yield "is quiet just below the reference value", _case(spec, alert, least * (1 - MARGIN), fires=False)


def _case(spec: Spec, alert: Alert, share: float, *, fires: bool) -> Test:
    """Return a case in which a share of all is bad until the sum is at its most, and then none is."""
    mode = alert.mode
    (condition,) = mode.conditions
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
    of_what = replace(mode, conditions=(summed(condition),))
    before, during = (
        worlds(spec, of_what, State(values, rate, others, rate), calm) for values in (calm, (round(share, 9),))
    )
    expected = expected_alert(spec, alert, State((MOST,), rate, calm, rate), gone=False)
    checks = [(ends, [expected]), (passed - 1, []), (resolved, [])] if fires else [(ends, [])]
    found, at = measure(spec, mode, condition), time.at(time.judged)
    assert found is not None
    return {
        "interval": duration(time.step),
        "input_series": counters(before, during, time, gone=False),
        "alert_rule_test": [
            {"eval_time": duration(step * mode.window), "alertname": alert.name, "exp_alerts": alerts}
            for step, alerts in sorted(checks, key=lambda check: check[0])
        ],
        "promql_expr_test": [
            recorded_value(spec, found.value, found.matchers, MOST if fires else 0.0, at=at),
            *nothing_of_others(spec, at),
        ],
    }

"""promtool tests of drift: far enough from the baseline, not quite, on too few values, and on other bins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import ceil
from typing import cast

from pipemon import catalogue as c
from pipemon.generate.drift.constants import PLACE
from pipemon.generate.drift.distribution import holds_a_day
from pipemon.generate.drift.measure import condition_references
from pipemon.generate.drift.onset import onset_of
from pipemon.generate.drift.recent import LEAST
from pipemon.generate.drift.shapes import noticed
from pipemon.generate.measures import measure
from pipemon.generate.recordings import is_constant
from pipemon.generate.rules import Alert, Group, Rules
from pipemon.generate.ruletests.clocks import Clock
from pipemon.generate.ruletests.expectations import expected_alert, nothing_of_others, recorded_value
from pipemon.generate.ruletests.lines import constant, counters
from pipemon.generate.ruletests.places import series
from pipemon.generate.ruletests.ranks import ranked_cases
from pipemon.generate.ruletests.recent import recent_cases
from pipemon.generate.ruletests.scenes import ANOTHER, State, kept_labels, worlds
from pipemon.generate.ruletests.twins import (
    another_version,
    first_day,
    other_bins,
    rare_parts,
    recorded_by_neighbours,
    twins,
    uncounted,
)
from pipemon.generate.ruletests.values import MARGIN, tested_values
from pipemon.generate.ruletests.wait import wait_case
from pipemon.spec.model import Condition, FailureMode, Spec
from pipemon.spec.signals import DRIFT, Statistic
from pipemon.units import duration

Test = dict[str, object]

_STEPS, _STEPS_OF_PAST = 12, 6
"""Steps in the window; fewer where there are many windows, since the past is seen too."""
_PLENTY, _ENOUGH, _FEW = 100.0, 1.4, 0.7
"""Values in the window, over the least that a verdict takes: so many that the size decides, just enough, too few."""


def drift_step(mode: FailureMode) -> float:
    """Return the step of these tests, in seconds."""
    return mode.window / _steps(mode)


def _steps(mode: FailureMode) -> int:
    return _STEPS if mode.conditions[0].against is None else _STEPS_OF_PAST


def drifting(alert: Alert) -> bool:
    """Tell whether an alert is one of drift, which stands alone."""
    return any(condition.signal == DRIFT for condition in alert.mode.conditions)


def drift_cases(rules: Rules, group: Group) -> dict[float, list[tuple[str, str, Test]]]:
    """Return the cases of a group's alerts of drift, with their failure modes' names, by their step."""
    found: dict[float, list[tuple[str, str, Test]]] = {}
    for alert in filter(drifting, group.alerts):
        cases = found.setdefault(drift_step(alert.mode), [])
        cases += [(alert.mode.name, name, test) for name, test in _cases(rules, alert)]
        read = measure(rules.spec, alert.mode, alert.mode.conditions[0])
        if read is not None and alert.mode.for_:
            step, case = wait_case(rules.spec, alert, read)
            found.setdefault(step, []).append(case)
    return found


def constants_cases(rules: Rules) -> Iterator[tuple[str, str, Test]]:
    """Yield the tests that each constant has all its labels, with a failure mode that reads it."""
    counts: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for recording in rules.recordings:
        if is_constant(recording):
            counts[recording.name, tuple(label for label, _ in recording.static)] += 1
    step = duration(rules.spec.timing.scrape_interval)
    read: dict[str, list[dict[str, object]]] = {}
    every: dict[str, dict[str, None]] = {}
    for name, labels in counts:
        every.setdefault(name, {}).update(dict.fromkeys(labels))
    for (name, labels), count in counts.items():
        # A category's bins have no bounds.
        which = ",".join(f'{label}{"!=" if label in labels else "="}""' for label in every[name])
        expr = f"count({name}{{{which}}})"
        samples = [{"labels": "{}", "value": count}]
        for reader in rules.readers[name][:1]:
            read.setdefault(reader, []).append({"expr": expr, "eval_time": step, "exp_samples": samples})
    for mode, exprs in read.items():
        yield mode, "the constants have all their labels", {"interval": step, "promql_expr_test": exprs}


def _constants_beside(rules: Rules, mode: FailureMode) -> Iterator[str]:
    """Yield constants of features unlike this one in one label: a match that does not name it finds two."""
    feature, selected = mode.conditions[0].feature, dict(rules.spec.select)
    place = {"stage": mode.stage, "direction": feature.direction, "feature": feature.name} if feature else {}
    seen: set[tuple[str, str]] = set()
    for recording in filter(is_constant, rules.recordings):
        labels = dict(recording.static)
        kind = (recording.name, labels.get("of", ""))
        if kind not in seen and mode.name in rules.readers[recording.name] and place.items() <= labels.items():
            seen.add(kind)
            for label in (*(label for label in PLACE if label in labels), *selected):
                yield series(recording.name, {**labels, **selected, label: ANOTHER})


def _cases(rules: Rules, alert: Alert) -> Iterator[tuple[str, Test]]:
    spec, mode, condition = rules.spec, alert.mode, alert.mode.conditions[0]
    reference = condition_references(spec, mode, condition)[0]
    own = reference.least if condition.against is None else LEAST * reference.baseline.design_effect
    least = max(own, condition.min_count)
    values = tested_values(spec, mode, condition)
    # Of a small baseline, what is beyond the threshold may still be chance.
    chance = 0.0
    if condition.against is None:
        chance = noticed(reference, cast(Statistic, condition.argument), _PLENTY * least)
    beyond = max(values.beyond[0], chance * (1 + MARGIN))
    first = _case(spec, alert, beyond, ceil(_PLENTY * least), fires=True)
    time = _clock(spec, mode, condition, lasts=True)
    more = [constant(each, 1.0, time) for each in _constants_beside(rules, mode)]
    more += other_bins(spec, mode, condition, time)
    if condition.against is None:
        more += [constant(name, value, time) for name, value in twins(spec, mode, condition)]
        told = cast(list[Test], first["promql_expr_test"])
        told += rare_parts(spec, mode, condition, time.at(time.judged))
    first["input_series"] = [*cast(list[Test], first["input_series"]), *more]
    yield "fires just beyond the threshold", first
    if condition.against is None:
        chance = noticed(reference, cast(Statistic, condition.argument), _ENOUGH * least)
    # Of two samples so few values tell a large drift only.
    if condition.against is None and chance * (1 + MARGIN) < beyond:
        yield "fires on just enough values", _case(spec, alert, beyond, ceil(_ENOUGH * least), fires=True)
    quiet = _case(spec, alert, values.before[0], _PLENTY * least, fires=False)
    more, told = recorded_by_neighbours(rules, mode, condition, _clock(spec, mode, condition, lasts=False))
    if more:
        quiet |= {"input_series": [*cast(list[Test], quiet["input_series"]), *more], "promql_expr_test": told}
    yield "is quiet just before the threshold", quiet
    yield "is quiet on too few values", _case(spec, alert, beyond, _FEW * least, fires=False)
    other = _case(spec, alert, beyond, _PLENTY * least, fires=False, bins=True)
    if not reference.has_categories or condition.against is None:
        yield "is quiet on other bins than the baseline has", other
    if condition.against is not None:
        yield from recent_cases(spec, mode, drift_step(mode))
    elif reference.has_categories:
        yield "has none of what nobody counts", uncounted(spec, mode, condition, drift_step(mode))
    if condition.against is None and holds_a_day(spec, mode.window):
        yield "has nothing in a feature's first day", first_day(spec, mode, condition, drift_step(mode))
    if condition.against is None:
        yield from ranked_cases(spec, alert, _STEPS)


def _case(spec: Spec, alert: Alert, value: float, number: float, *, fires: bool, bins: bool = False) -> Test:
    """Return a case in which so many values in each window are so far from the baseline for a time."""
    mode, condition = alert.mode, alert.mode.conditions[0]
    time = _clock(spec, mode, condition, lasts=fires)._replace(recovers=fires)
    tested = tested_values(spec, mode, condition)
    rate, calm = number / mode.window, (tested.good,)
    others = tested.good if fires else tested.worst[0]
    state = State((value,), rate, (others,), rate)
    before = worlds(spec, mode, State(calm, rate, (others,), rate), calm)
    during = worlds(spec, mode, state, calm)
    inputs = counters(before, during, time, gone=False)
    if fires and (moved := onset_of(spec)):
        labels = {"pipeline": spec.pipeline, "stage": mode.stage or "", "direction": "input", **kept_labels(spec)}
        elsewhere = [{**labels, "stage": ANOTHER, label: ANOTHER} for label in ("pipeline", *spec.keep)]
        inputs += [constant(series(moved.origin.name, each), 1.0, time) for each in (labels, *elsewhere)]
    if bins:
        # Some replicas have others: what is counted by both is no distribution.
        inputs += [_with_other_bins(each) for each in inputs if each["series"].startswith(c.FEATURE_INFO.name)]
    elif not fires and condition.against is None:
        inputs += another_version(spec, mode, condition, number, time)
    expected = [expected_alert(spec, alert, state, gone=False)] if fires else []
    checks = [(time.judged, expected), *([(time.resolved, [])] if fires else [])]
    if fires and time.after:
        # What is as it was before is no change.
        checks.append((time.after, []))
    test: Test = {
        "interval": duration(time.step),
        "input_series": inputs,
        "alert_rule_test": [
            {"eval_time": time.at(at), "alertname": alert.name, "exp_alerts": alerts} for at, alerts in checks
        ],
    }
    read = measure(spec, mode, condition)
    if fires and read is not None:
        told = [recorded_value(spec, read.value, read.matchers, value, at=time.at(time.judged))]
        if condition.against is not None and read.count is not None:
            told.append(recorded_value(spec, read.count, read.count_matchers, number, at=time.at(time.judged)))
        test["promql_expr_test"] = told
    elif not fires:
        test["promql_expr_test"] = [nothing_of_others(spec, time.at(time.judged))]
    return test


def _clock(spec: Spec, mode: FailureMode, condition: Condition, *, lasts: bool) -> Clock:
    """Return the times of a case. What is compared with the hour before `lasts` for longer than that."""
    step, window, past = drift_step(mode), _steps(mode), condition.against
    wait, tail = (ceil(round(seconds / step, 6)) for seconds in (mode.for_, mode.keep_firing_for))
    before = 0
    if past is not None:
        before = ceil(round((max(mode.window, spec.timing.long_window) + past.offset) / step, 6))
    bad = window + before + 3
    held = before if past is not None and past.hold and lasts else 0
    judged = bad + window + held + wait + 2
    good = judged + 1
    resolved = good + window + tail + 3
    run = 0.0 if spec.schedule is None else mode.window
    return Clock(step, bad, None, judged, good, None, resolved, resolved + window + held if held else None, run=run)


def _with_other_bins(line: dict[str, str]) -> dict[str, str]:
    return {**line, "series": line["series"].replace('bins="', 'bins="other-')}

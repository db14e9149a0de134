"""promtool unit tests for generated rules: each failure mode fires, stays quiet, and resolves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from pipemon.generate.arrived import tests_arrived
from pipemon.generate.bounds_alert import bounds_cases
from pipemon.generate.drift.onset import onset_of
from pipemon.generate.expressions import keeps_own_labels
from pipemon.generate.formats.yamltext import comment, listed_one_by_one
from pipemon.generate.rules import Alert, Group, Rules
from pipemon.generate.ruletests.burn import burn_cases, burning
from pipemon.generate.ruletests.cases import (
    cases_just_before,
    cases_on_few_calls,
    cases_on_just_enough_calls,
    cases_that_fire,
)
from pipemon.generate.ruletests.clocks import Clock, clock
from pipemon.generate.ruletests.cusum import by_sum, cusum_cases
from pipemon.generate.ruletests.drift import constants_cases, drift_cases, drifting
from pipemon.generate.ruletests.expectations import fires_whatever_else, firing_at, place_if_any, place_of, waited
from pipemon.generate.ruletests.held import held_cases, held_step
from pipemon.generate.ruletests.joint import joint_of
from pipemon.generate.ruletests.lines import counters
from pipemon.generate.ruletests.lost_run import lost_run_cases
from pipemon.generate.ruletests.onset import onset_cases
from pipemon.generate.ruletests.past import past_cases, past_step
from pipemon.generate.ruletests.played import ENOUGH, Test, calls_rate, stops
from pipemon.generate.ruletests.recorded import recorded_elsewhere
from pipemon.generate.ruletests.scenes import State, up, worlds
from pipemon.generate.ruletests.schedule import by_schedule, overdue_cases, schedule_cases
from pipemon.generate.ruletests.shift import shift_cases, shifting
from pipemon.generate.ruletests.start import cases_of_a_start
from pipemon.generate.ruletests.steps import tested_every
from pipemon.generate.ruletests.together import of_several, together_cases
from pipemon.generate.ruletests.wait import by_step, waiting_case
from pipemon.generate.ruletests.worth import worth_cases, worth_step
from pipemon.spec.model import BOUNDS_DIFFER, FailureMode, Spec
from pipemon.units import duration


@dataclass(frozen=True)
class TestFile:
    """A file of rule tests: its interval in seconds, and its cases with their failure modes and names, made once."""

    name: str
    interval: float
    cases: Iterable[tuple[str, str, Test]]


_CasesByStep = Mapping[float, Iterable[tuple[str, str, Test]]]
_BY_STEP: tuple[tuple[str, Callable[[Rules, Group], _CasesByStep]], ...] = (
    (".burn-{}", lambda rules, group: burn_cases(rules.spec, group)),
    ("-{}", lambda rules, group: cusum_cases(rules.spec, group)),
    (".schedule", lambda rules, group: schedule_cases(rules.spec, group)),
    (".overdue", lambda rules, group: overdue_cases(rules.spec, group)),
    (".together-{}", lambda rules, group: together_cases(rules.spec, group)),
    (".drift-{}", drift_cases),
    (".shift-{}", lambda rules, group: shift_cases(rules.spec, group)),
)
"""What has an interval of its own: how its files are called, and its cases by that interval in seconds."""


def test_files(rules: Rules) -> dict[str, str]:
    """Return promtool test files by their name: for each rule group, which has its own interval."""
    return {name: "".join(pieces) for name, pieces in test_pieces(rules)}


def test_pieces(rules: Rules) -> Iterator[tuple[str, Iterator[str]]]:
    """Yield the name of each promtool test file, and the pieces of its text, made as they are read."""
    rule_file = f"../{rules.spec.pipeline}.rules.yml"
    for file in tests_of(rules):
        yield file.name, printed(rules.spec, rule_file, file.interval, file.cases)


def tests_of(rules: Rules) -> Iterator[TestFile]:
    """Yield the files of tests. The cases are made as they are read: a thousand failure modes have many."""
    spec = rules.spec
    for group in rules.groups:
        if not group.alerts:
            continue
        name = f"{spec.pipeline}{group.suffix}"
        apart = (burning, by_sum, drifting, shifting, of_several, partial(by_schedule, spec))
        usual: dict[float, list[Alert]] = {}
        for alert in group.alerts:
            if not any(each(alert) for each in apart):
                usual.setdefault(max(group.interval, tested_every(spec, alert.mode)), []).append(alert)
        for step, alerts in usual.items():
            often = step == group.interval
            made = ((alert.mode.name, *case) for alert in alerts for case in _cases(spec, alert))
            yield TestFile(f"{name}{'' if often else f'-{duration(step)}'}.tests.yml", step, made)
        seldom = [alert for step, alerts in usual.items() if step > group.interval for alert in alerts]
        for step, waits in by_step(waiting_case(spec, alert) for alert in seldom).items():
            yield TestFile(f"{name}.wait-{duration(step)}.tests.yml", step, waits)
        if past := list(past_cases(spec, group)):
            yield TestFile(f"{name}.past.tests.yml", past_step(spec), past)
        if held := list(held_cases(spec, group)):
            yield TestFile(f"{name}.held.tests.yml", held_step(spec), held)
        if worth := list(worth_cases(spec, group)):
            yield TestFile(f"{name}.worth.tests.yml", worth_step(spec), worth)
        for kind, cases_of in _BY_STEP:
            for step, cases in cases_of(rules, group).items():
                yield TestFile(f"{name}{kind.format(duration(step))}.tests.yml", step, cases)
    if (moved := onset_of(spec)) is not None:
        yield TestFile(f"{spec.pipeline}.onset.tests.yml", moved.step, onset_cases(rules))
    if constants := list(constants_cases(rules)):
        yield TestFile(f"{spec.pipeline}.baseline.tests.yml", spec.timing.scrape_interval, constants)


def printed(spec: Spec, rule_file: str, interval: float, cases: Iterable[tuple[str, str, Test]]) -> Iterator[str]:
    """Yield the pieces of a file of tests of a rule file, which is told as a path from there."""
    head = comment(f"Tests of {rule_file}, run by: promtool test rules <this file>. Generated by pipemon.")
    yield f"{head}rule_files:\n  - {rule_file}\nevaluation_interval: {duration(interval)}\ntests:\n"
    tests = listed_one_by_one((("", {"name": f"{mode}: {name}", **test}) for mode, name, test in cases), 2)
    yield from tests_arrived(spec.labels, tests)


def _cases(spec: Spec, alert: Alert) -> Iterator[tuple[str, Test]]:
    mode = alert.mode
    if mode.name == BOUNDS_DIFFER:
        yield from bounds_cases(spec, alert.name, alert.labels, alert.annotations)
        return
    if any(condition.signal == "promql" for condition in mode.conditions):
        yield from _written(spec, alert)
        yield from _beside_written(spec, alert)
        return
    joint = joint_of(spec, mode)
    for kind in (cases_that_fire, cases_on_just_enough_calls, cases_just_before, cases_on_few_calls):
        yield from kind(spec, alert, joint)
    yield from cases_of_a_start(spec, alert)
    yield from lost_run_cases(spec, alert)


def _written(spec: Spec, alert: Alert) -> Iterator[tuple[str, Test]]:
    """Yield the tests of a promql failure mode, on the series that its author wrote.

    Other conditions beside it hold where all must, and do not where any is enough.
    """
    mode = alert.mode
    time = clock(spec, mode)
    place: dict[str, str] = {}
    if not keeps_own_labels(mode):
        place = place_if_any(spec, mode) if mode.combine == "any" else place_of(spec, mode)
    beside = _beside(spec, mode, time) + up(spec, time, down=False)
    for name, lines, labels in (
        ("fires on its series", mode.fires_on, [{**place, **alert.labels}]),
        ("is quiet on its series", mode.quiet_on, []),
        ("is quiet without series", None, []),
    ):
        if lines == ():
            continue
        inputs = [_split(line) for line in lines or ()] + beside
        test: Test = {"interval": duration(time.step), "input_series": inputs}
        exprs = [firing_at(alert, time.at(time.judged), labels)]
        if labels and keeps_own_labels(mode):
            exprs = [fires_whatever_else(alert, time.at(time.judged), labels[0])]
        yield name, {**test, "promql_expr_test": [*exprs, *(waited(alert, time) if labels else [])]}


def _beside(spec: Spec, mode: FailureMode, time: Clock) -> list[dict[str, str]]:
    """Return the series of the conditions beside a written one, among places that must not count."""
    others = tuple(condition for condition in mode.conditions if condition.signal != "promql")
    if not others:
        return []
    known = replace(mode, conditions=others)
    joint = joint_of(spec, known)
    good, bad = joint.calm(), joint.hold() or joint.worst(0, 0)
    if good is None or bad is None:
        return []
    rate = calls_rate(spec, known, ENOUGH)
    # Where all must hold and one is that nobody calls, nobody does.
    here = State(good, rate, bad, rate)
    if mode.combine == "all":
        here = State(bad, 0.0 if stops(known) else rate, good if stops(known) else bad, rate)
    scene = worlds(spec, known, here, good)
    return counters(scene, scene, time, gone=False) + recorded_elsewhere(spec, known, here, time)


def _beside_written(spec: Spec, alert: Alert) -> Iterator[tuple[str, Test]]:
    """Yield the tests of what is enough by itself beside a written expression, which has no series here."""
    mode = alert.mode
    others = [condition for condition in mode.conditions if condition.signal != "promql"]
    if mode.combine != "any" or stops(mode):
        return
    for condition in others:
        alone = replace(alert, mode=replace(mode, conditions=(condition,)))
        joint = joint_of(spec, alone.mode)
        labels = {**place_of(spec, mode), **alert.labels}
        for name, test in (*cases_that_fire(spec, alone, joint), *cases_just_before(spec, alone, joint)):
            # The description tells of the expression, too: who fires is what is asked.
            exprs = [
                firing_at(alert, at["eval_time"], [labels] if at["exp_alerts"] else [])
                for at in cast(list[dict[str, str]], test.pop("alert_rule_test"))
            ]
            exprs += cast(list[Test], test.pop("promql_expr_test", []))
            yield f"{condition.signal} alone {name}", {**test, "promql_expr_test": exprs}


def _split(line: str) -> dict[str, str]:
    """Part `name{labels} values` at the blank after the series."""
    end = line.rfind("}") + 1 or line.find(" ")
    return {"series": line[:end].strip(), "values": line[end:].strip()}

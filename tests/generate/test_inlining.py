"""Rules inside of the queries that read them: promtool gets the same from both."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import cast

import pytest
import yaml

from pipemon import catalogue as c
from pipemon.generate.formats.yamltext import dump
from pipemon.generate.inhibition import plan
from pipemon.generate.inlining import inlined, self_referring
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, Raw, Recorded, select, text
from pipemon.generate.recordings import Recording
from pipemon.generate.rules import Alert, Group, Rules, rules
from pipemon.generate.ruletests import cases as rulecases
from pipemon.generate.ruletests.joint import joint_of
from pipemon.spec.load import load
from pipemon.spec.model import BOUNDS_DIFFER, FailureMode

HERE = Path(__file__).parent
OF_VAD = Matcher("stage", "=", "vad")


def rule(name: str, expr: Expr, *labels: str) -> Recording:
    return Recording(name, expr, labels)


def calls(window: float | None = None) -> Expr:
    return select(c.STAGE_CALLS, (Matcher("pipeline", "=", "speech"),), window=window)


SUMMED = rule("stage:calls:increase5m", Aggregate("sum", ("stage",), Call("increase", (calls(300),))), "stage")


@pytest.mark.integration
@pytest.mark.parametrize("name", ["every_signal", "combined"])
def test_an_alert_without_its_recording_rules_has_the_same_series(name: str, tmp_path: Path) -> None:
    """On the series of each alert's first generated test, at the times that it looks at."""
    made = rules(plan(load(HERE / f"{name}.yaml")).spec)
    for group in made.groups:
        for alert in group.alerts:
            if not _is_apart(alert.mode):
                _write(tmp_path, made, group, alert)
    paths = sorted(path.name for path in tmp_path.glob("*.tests"))
    command = ["promtool", "test", "rules", *paths]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def _write(folder: Path, made: Rules, group: Group, alert: Alert) -> None:
    """Write an alert's test and, to save promtool's time, no rules but those that it needs."""
    needed = [each for each in group.recordings if alert.mode.name in made.readers[each.name]]
    recordings = [{"record": each.name, "expr": text(each.expr)} for each in needed]
    rule_file = folder / f"{alert.mode.name}.rules"
    rule_file.write_text(_dumped({"groups": [{"name": "g", "rules": recordings}]} if needed else {"groups": []}))
    tests = [_test(made, group, alert)]
    document = {"rule_files": [rule_file.name], "evaluation_interval": tests[0]["interval"]}
    (folder / f"{alert.mode.name}.tests").write_text(_dumped(document | {"tests": tests}))


def _test(made: Rules, group: Group, alert: Alert) -> dict[str, object]:
    spec = made.spec
    ruled, direct = text(alert.expr), text(inlined(alert.expr, made.recordings, group.interval))
    assert _recorded(ruled)
    assert _recorded(direct) <= set(self_referring(made.recordings))
    _, test = next(rulecases.cases_that_fire(spec, alert, joint_of(spec, alert.mode)))
    test |= yaml.load(dump({"input_series": test["input_series"]}, 4), yaml.CSafeLoader)
    apart = f"(({ruled}) unless ({direct})) or (({direct}) unless ({ruled})) or (abs(({ruled}) - ({direct})) > 1e-9)"
    looks = cast("list[dict[str, object]]", test.pop("alert_rule_test"))
    checks = [{"expr": apart, "eval_time": look["eval_time"], "exp_samples": []} for look in looks]
    if not alert.mode.keep_firing_for and not _recorded(direct) and "ALERTS" not in direct:
        fires = next(look for look in looks if look["exp_alerts"])
        some = {"expr": f"count({direct}) > bool 0", "eval_time": fires["eval_time"]}
        checks.append(some | {"exp_samples": [{"labels": "{}", "value": 1}]})
    return test | {"promql_expr_test": checks}


def _recorded(query: str) -> set[str]:
    """Return the names of the recorded series in a query."""
    return set(re.findall(r"\w+(?::\w+)+(?=[{[ )])", re.sub(r'"[^"]*"', "", query)))


def _dumped(document: object) -> str:
    return yaml.dump(document, Dumper=yaml.CSafeDumper, width=10**6)


def _is_apart(mode: FailureMode) -> bool:
    """Tell whether a mode's first test has no exported series of what it reads: a person's, or of weeks."""
    return mode.name == BOUNDS_DIFFER or any(
        condition.signal == "promql"
        or condition.burns
        or (condition.reference is not None and condition.reference.offset > 0)
        for condition in mode.conditions
    )


def test_what_is_picked_of_a_recorded_series_is_picked_of_what_it_is_made_of() -> None:
    picked = inlined(Recorded(SUMMED.name, ("stage",), (OF_VAD,)), [SUMMED], 15)
    own = 'pipemon_stage_calls_total{pipeline="speech",stage="vad"}'
    assert text(picked) == f"sum by (stage) (increase({own}[5m]))"


def test_a_label_that_a_sum_drops_is_not_picked_inside_of_it() -> None:
    total = rule("all:calls:increase5m", Aggregate("sum", (), Call("increase", (calls(300),))))
    picked = inlined(Recorded(total.name, (), (OF_VAD,)), [total], 15)
    assert isinstance(picked, Binary)
    assert (picked.op, picked.on, picked.left) == ("and", ("stage",), total.expr)


def test_the_left_of_an_or_is_picked_only_where_the_right_can_be() -> None:
    either = rule("either", Binary("or", calls(), calls(), on=()), "stage")
    picked = inlined(Recorded("either", ("stage",), (OF_VAD,)), [either], 15)
    assert isinstance(picked, Binary)
    assert (picked.op, picked.left) == ("and", either.expr)


def test_a_window_of_a_recorded_series_is_a_subquery_by_the_rules_interval() -> None:
    mean = Call("avg_over_time", (Recorded(SUMMED.name, ("stage",), window=600.0, offset=60.0),))
    expected = f"avg_over_time(({text(SUMMED.expr)})[10m:15s] offset 1m)"
    assert text(inlined(mean, [SUMMED], 15.0)) == expected


def test_an_offset_is_that_of_every_series_and_of_the_clock() -> None:
    age = rule("age", Binary("-", Call("time", ()), calls()), "stage")
    ago = inlined(Recorded("age", ("stage",), offset=3600.0), [age], 15)
    assert text(ago) == 'time() - 3600 - pipemon_stage_calls_total{pipeline="speech"} offset 1h'


def test_rules_that_read_their_own_past_stay_and_are_named() -> None:
    kept = Recorded("cusum", ("stage",), offset=60.0)
    cusum = rule("cusum", Call("clamp_min", (Binary("+", kept, calls()), 0.0)), "stage")
    one, other = rule("one", Recorded("other", ()), "stage"), rule("other", Recorded("one", ()), "stage")
    onset = rule("onset", Raw("(onset offset 1m) or timestamp(cusum > 4)"), "stage")
    reader = rule("reader", Binary(">", Recorded("cusum", ("stage",)), 4.0), "stage")
    every = [cusum, one, other, onset, reader, SUMMED]
    assert self_referring(every) == ("cusum", "one", "other", "onset")
    assert text(inlined(Recorded("reader", ("stage",)), every, 60)) == "cusum > 4"


def test_rules_of_one_name_are_told_apart_by_the_labels_that_they_set() -> None:
    low, high = (
        Recording("bound", Call("vector", (value,)), ("side",), static=(("side", side),))
        for side, value in (("low", 1.0), ("high", 2.0))
    )
    both = inlined(Recorded("bound", ("side",)), [low, high], 15)
    one, other = (
        f'label_replace(vector({value}), "side", "{side}", "", "")' for side, value in (("low", 1), ("high", 2))
    )
    assert text(both) == f"{one} or {other}"
    assert text(inlined(Recorded("bound", ("side",), (Matcher("side", "=", "high"),)), [low, high], 15)) == other
    assert (
        text(inlined(Recorded("bound", ("side",), (Matcher("side", "=", "no"),)), [low, high], 15)) == "vector(0) > 1"
    )


def test_a_label_taken_over_from_the_right_is_picked_there() -> None:
    info = select(c.STAGE_INFO, ())
    joined = Binary("*", calls(), Aggregate("max", ("stage", "code"), info), ("stage", "code"), True, None, ("code",))
    found = inlined(Recorded("named", ("stage", "code"), (Matcher("code", "=", "7"),)), [rule("named", joined)], 15)
    assert text(found) == (
        'pipemon_stage_calls_total{pipeline="speech"} * on (stage, code) group_left (code) '
        'max by (stage, code) (pipemon_stage_info{code="7"})'
    )

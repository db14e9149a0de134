"""Each check of the generated files finds what it is for, finds nothing in what pipemon writes, and can be off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipemon.errors import SpecError
from pipemon.generate.alertmanager import alertmanager_file
from pipemon.generate.annotations import template
from pipemon.generate.inhibition import plan
from pipemon.generate.lint.findings import lint
from pipemon.generate.lint.routes import route_findings
from pipemon.generate.lint.rules import rule_findings
from pipemon.generate.lint.series import never_nothing, series_findings
from pipemon.generate.lint.targets import PROMETHEUS
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.checks import CHECKS
from pipemon.spec.load import load

HERE = Path(__file__).parent
SPECS = [
    HERE / "every_signal.yaml",
    HERE / "combined.yaml",
    HERE / "undecorated.yaml",
    *(HERE.parents[1] / "examples" / name / "failure_modes.yaml" for name in ("speech", "factory")),
]
SEVERITIES = ("critical", "warning", "info")
WRITTEN = """\
pipeline: shop
stages: {{pay: }}
{checks}
failure_modes:
  odd: {{what: Odd, signal: {{promql: 'mad_over_time(x[5m]) > 1'}}, fires_on: ['x 0+60x100'], quiet_on: ['x 0x100']}}
"""

JOINED = """\
pipeline: shop
stages: {{pay: }}
failure_modes:
  odd: {{what: '{what}', signals: {{{combine}: [{{promql: 'x > 1'}}, {{promql: 'y > 1'}}]}}}}
"""

LABELS = {"failure_mode": "slow", "kind": "software", "severity": "critical", "owner": "team"}
DESCRIPTION = "It takes {{ $value | humanizeDuration }}."


def recorded(name: str = "stage:pipemon_x:rate5m", expr: str = "sum by (stage) (rate(x_total[5m]))") -> dict[str, Any]:
    return {"record": name, "expr": expr}


def alert(**changed: Any) -> dict[str, Any]:
    return {
        "alert": "SpeechSlow",
        "expr": "stage:pipemon_x:rate5m > 1",
        "for": "1m",
        "labels": LABELS,
        "annotations": {"summary": "Slow.", "description": DESCRIPTION},
    } | changed


def file(*rules: dict[str, Any], interval: str = "15s") -> list[dict[str, Any]]:
    return [{"name": "speech", "interval": interval, "rules": list(rules)}]


RULES = {
    "alerts/comparison": file(recorded(), alert(expr="stage:pipemon_x:rate5m")),
    "alerts/for": file(recorded(), alert(**{"for": "20s"})),
    "alerts/template": file(recorded(), alert(labels={**LABELS, "value": "{{ $value }}"})),
    "alert-name-camelcase": file(recorded(), alert(alert="speech slow")),
    "alert-severity-rule": file(recorded(), alert(labels={**LABELS, "severity": "loud"})),
    "alert-summary-missing-rule": file(recorded(), alert(annotations={"description": DESCRIPTION})),
    "alert-description-missing-rule": file(recorded(), alert(annotations={"summary": "Slow."})),
    "annotationIsValidURL": file(
        recorded(), alert(annotations={"summary": "Slow.", "description": DESCRIPTION, "runbook_url": "wiki/speech"})
    ),
    "nonEmptyLabels": file(recorded(), alert(labels={**LABELS, "team": ""})),
    "group/interval": file(recorded(), interval="10m"),
    "promql/rate": file(recorded(expr="sum by (stage) (rate(x_total[30s]))")),
    "promql/fragile": file(recorded(), alert(expr="topk(1, stage:pipemon_x:rate5m) > 1")),
    "promql/functions": file(recorded(expr="mad_over_time(x[5m])")),
    "rateBeforeAggregation": file(recorded(expr="rate(sum by (stage) (x_total)[5m:15s])")),
    "alert-summary-templating": file(
        recorded(), alert(annotations={"summary": "{{ $labels.stage }} is slow.", "description": DESCRIPTION})
    ),
    "alert-summary-style": file(recorded(), alert(annotations={"summary": "Slow", "description": DESCRIPTION})),
    "alert-description-templating": file(recorded(), alert(annotations={"summary": "Slow.", "description": "Slow."})),
    "rule/label": file(recorded(), alert(labels={label: LABELS[label] for label in LABELS if label != "owner"})),
    "expressionDoesNotUseRangeShorterThan": file(recorded(expr="avg_over_time(x[15s])")),
    "validFunctionsOnCounters": file(recorded(), alert(expr="errors_total > 0")),
    "promql/nan": file(recorded(expr="x / y")),
    "promql/selector": file(recorded(expr="sum by (stage) (increase(pipemon_stage_calls_total[5m]))")),
    "promql/regexp": file(recorded(expr='x{stage=~"asr"}')),
    "expressionWithNoMetricName": file(recorded(expr='{stage="asr"}')),
    "promql/aggregate": file(recorded(expr="sum by (pipeline) (rate(x_total[5m]))")),
    "rule/name": file(recorded("pipemon_x_rate5m")),
    "annotationIsValidPromQL": file(
        recorded(),
        alert(annotations={"summary": "Slow.", "description": "{{ with query `sum(x` }}{{ $value }}{{ end }}"}),
    ),
    "rule/duplicate": file(recorded(), recorded()),
    "rule/dependency": file(alert(), recorded()),
}


@pytest.mark.parametrize("check", RULES)
def test_a_check_of_rules_finds_what_it_is_for_and_nothing_else(check: str) -> None:
    found = [name for name, _, _ in rule_findings(RULES[check], SEVERITIES, 15.0, PROMETHEUS, ("stage",))]
    assert set(found) == {check}


def test_a_summary_begins_with_a_capital_where_its_script_has_them() -> None:
    for summary, expected in (("slow.", ["alert-summary-style"]), ("5xx answers!", []), ("\u9045\u3044\u3002", [])):
        groups = file(recorded(), alert(annotations={"summary": summary, "description": DESCRIPTION}))
        assert [name for name, _, _ in rule_findings(groups, SEVERITIES, 15.0, PROMETHEUS)] == expected


def test_an_alert_of_what_is_not_there_has_no_value_to_tell() -> None:
    gone = alert(expr="absent(x_total)", annotations={"summary": "Gone.", "description": "Its series are gone."})
    assert list(rule_findings(file(gone), SEVERITIES, 15.0, PROMETHEUS)) == []


@pytest.mark.parametrize(
    "expr",
    [
        "rate(pipemon_stage_in_progress{pipeline='p'}[5m])",
        "pipemon_stage_calls_total{pipeline='p'} > 5",
        "increase(x_total[5m]) > 5 and y_total > 7",
    ],
)
def test_functions_suit_the_type_of_what_they_read(expr: str) -> None:
    found = [name for name, _, _ in rule_findings(file(recorded(expr=expr)), SEVERITIES, 15.0, PROMETHEUS)]
    assert found == ["validFunctionsOnCounters"]


@pytest.mark.parametrize(
    "expr",
    [
        "count by (stage) (x_total)",
        "absent(x_total)",
        "rate(x_total[5m]) / (y > 0)",
        "rate(x_total[5m]) / (2 * (y > 0) and z)",
        "x / sqrt(y > 0)",
        "x / clamp_min(y, 1)",
        "x / 60",
        "avg_over_time(x[30s])",
        "max_over_time((x)[5m:1m])",
        'x{stage=~"a|b",instance=~"web-.+"}',
    ],
)
def test_sound_reading_has_no_finding(expr: str) -> None:
    assert list(rule_findings(file(recorded(expr=expr)), SEVERITIES, 15.0, PROMETHEUS)) == []


def test_a_rule_that_reads_what_no_rule_records_is_found() -> None:
    groups = file(recorded(), alert(expr="stage:pipemon_y:rate5m > 1"))
    assert [name for name, _, _ in rule_findings(groups, SEVERITIES, 15.0, PROMETHEUS)] == ["rule/dependency"]


def routes() -> dict[str, Any]:
    """Two alerts, of which one holds back the other."""
    return {
        "route": {
            "receiver": "pipemon",
            "group_interval": "5m",
            "repeat_interval": "4h",
            "routes": [{"matchers": ['severity="critical"'], "receiver": "page"}],
        },
        "inhibit_rules": [
            {
                "source_matchers": ['failure_mode="a"'],
                "target_matchers": ['failure_mode="b"'],
                "equal": ["pipeline"],
            }
        ],
        "receivers": [{"name": "pipemon"}, {"name": "page"}],
    }


ALERTS = [{"alertname": name.upper(), "failure_mode": name, "severity": "critical"} for name in ("a", "b")]
ROUTES: dict[str, Callable[[dict[str, Any]], object]] = {
    "undefined-receiver": lambda found: found["receivers"].pop(),
    "unused-receiver": lambda found: found["receivers"].append({"name": "nobody"}),
    "shadowed-route": lambda found: found["route"]["routes"].append(
        {"matchers": ['severity="critical"', 'failure_mode="a"'], "receiver": "page"}
    ),
    "repeat-before-group": lambda found: found["route"]["routes"][0].update(repeat_interval="1m"),
    "alert-hits-default-receiver": lambda found: found["route"]["routes"][0].update(
        matchers=['severity="critical"', 'failure_mode=~"b|c"']
    ),
    "inhibit-no-equal": lambda found: found["inhibit_rules"][0].pop("equal"),
    "wait-exceeds-interval": lambda found: found["route"]["routes"][0].update(group_wait="10m"),
    "inhibit-unknown-alertname": lambda found: found["inhibit_rules"][0].update(target_matchers=['failure_mode="z"']),
    "inhibit-same-match": lambda found: found["inhibit_rules"][0].update(target_matchers=['failure_mode="a"']),
    "circular-inhibition": lambda found: found["inhibit_rules"].append(
        {"source_matchers": ['failure_mode="b"'], "target_matchers": ['failure_mode!="b"'], "equal": ["pipeline"]}
    ),
}


def test_sound_routes_have_no_finding() -> None:
    assert list(route_findings(routes(), ALERTS)) == []


@pytest.mark.parametrize("check", ROUTES)
def test_a_check_of_routes_finds_what_it_is_for_and_nothing_else(check: str) -> None:
    document = routes()
    ROUTES[check](document)
    assert {name for name, _, _ in route_findings(document, ALERTS)} == {check}


def test_every_check_has_its_case() -> None:
    assert {*RULES, *ROUTES} == {*CHECKS}


def test_every_check_is_documented() -> None:
    text = (HERE.parents[1] / "docs" / "outputs.md").read_text()
    assert [name for name in CHECKS if f"`{name}`" not in text] == []


@pytest.mark.parametrize("path", SPECS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_pipemon_writes_has_no_finding(path: Path) -> None:
    made = plan(load(path))
    assert list(lint([made])) == []
    assert yaml.safe_load(rule_file(rules(made.spec)))["groups"]
    assert yaml.safe_load(alertmanager_file([made], ""))["route"]["routes"]


@pytest.mark.parametrize(
    ("what", "summary"),
    [("it is odd", "It is odd."), ("Odd!", "Odd!"), ("It costs {{ x }}", 'It costs {{ "{{" }} x }}.')],
)
def test_a_persons_words_become_the_sentence_that_the_check_asks_for(tmp_path: Path, what: str, summary: str) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(JOINED.format(what=what, combine="all"))
    spec = load(path)
    assert list(lint([plan(spec)])) == []
    assert rules(spec).alerts[0].annotations["summary"] == summary


@pytest.mark.parametrize(
    ("combine", "holds"),
    [("all", "All written expressions hold; the first one's"), ("any", "A written expression holds; its")],
)
def test_joined_expressions_tell_the_value_of_one(tmp_path: Path, combine: str, holds: str) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(JOINED.format(what="Odd", combine=combine))
    spec = load(path)
    assert list(lint([plan(spec)])) == []
    assert rules(spec).alerts[0].annotations["description"] == f"{holds} value is {template('$value', '')}."


def written(folder: Path, checks: str = "") -> Path:
    path = folder / "shop.yaml"
    path.write_text(WRITTEN.format(checks=checks))
    return path


def test_a_function_that_not_every_prometheus_has_is_found_in_a_written_expression(tmp_path: Path) -> None:
    (found,) = lint([plan(load(written(tmp_path)))])
    assert str(found) == (
        "ShopOdd: mad_over_time is experimental: a Prometheus knows it only by a feature flag, if at all"
        " [promql/functions]"
    )


def test_a_check_is_off_with_a_reason(tmp_path: Path) -> None:
    spec = load(written(tmp_path, "checks: {promql/functions: {off: Our Prometheus has the flag}}"))
    assert spec.checks_off == (("promql/functions", "Our Prometheus has the flag"),)
    assert list(lint([plan(spec)])) == []


@pytest.mark.parametrize(
    ("checks", "told"),
    [
        ("checks: {promql/functions: {}}", "checks: promql/functions: say why it is off: {off: the reason}"),
        ("checks: {promql/functions: off}", "say why it is off: {off: the reason}"),
        ("checks: {promql/functions: {off: ' '}}", "say why it is off: {off: the reason}"),
        (
            "checks: {promql/function: {off: why}}",
            "there is no check 'promql/function'; did you mean 'promql/functions'?",
        ),
        ("checks: [promql/functions]", "expected a mapping"),
    ],
)
def test_a_check_without_a_reason_or_of_an_unknown_name_is_refused(tmp_path: Path, checks: str, told: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(written(tmp_path, checks))
    assert told in " ".join(problem.message for problem in caught.value.problems)


def test_what_a_baseline_lacks_is_divided_by_nowhere() -> None:
    """One without rare bins has no constants of them; another's series may be anything."""
    rule = {"record": "a:b:c", "expr": "x / pipemon:baseline:rare_count"}
    assert [*series_findings(rule, 15.0, 15.0, (), never_nothing([]))] == []
    other = rule | {"expr": "x / a:rare:count"}
    assert [check for check, _ in series_findings(other, 15.0, 15.0, (), never_nothing([]))] == ["promql/nan"]

"""Generated rules: accepted, named after the catalogue, tested, and equal under a time scale."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from promql_names import known_series, labels_of
from rule_subsets import LOADER, documents, failing_modes, without_drift

from pipemon.catalogue import EXTERNAL, METRICS
from pipemon.generate.inhibition import plan
from pipemon.generate.lint.series import walk
from pipemon.generate.output import Options, files
from pipemon.generate.own_series import series_rules
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.load import load
from pipemon.spec.model import Spec
from pipemon.spec.scale import scaled
from pipemon.spec.signals import DRIFT
from pipemon.units import duration, seconds

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples" / "speech" / "failure_modes.yaml"
SPECS = [
    HERE / "every_signal.yaml",
    HERE / "combined.yaml",
    HERE / "undecorated.yaml",
    EXAMPLE,
]


@pytest.fixture(params=SPECS, ids=lambda path: path.stem)
def spec(request: pytest.FixtureRequest) -> Spec:
    return plan(without_drift(load(request.param))).spec


def rules_of(spec: Spec) -> list[dict[str, Any]]:
    return [rule for group in yaml.load(rule_file(rules(spec)), LOADER)["groups"] for rule in group["rules"]]


def test_every_metric_and_label_in_the_rules_exists(spec: Spec) -> None:
    known = known_series(spec)
    for mode in spec.measurable:
        # What a person wrote names series of others: here it is as if they were known.
        for condition in mode.conditions:
            if condition.signal == "promql":
                found = re.findall(r"\w+", condition.argument)
                known |= {name: frozenset({"code", "stage", "instance"}) for name in found if name not in known}
    for rule in rules_of(spec):
        labels_of(rule["expr"], known)


def test_no_sum_over_what_is_exported_is_made_twice(spec: Spec) -> None:
    """Whoever needs it reads what was recorded of it, within one rule and in several."""
    made: list[str] = []
    for rule in rules_of(spec):
        for node in walk(promql_parser.parse(rule["expr"])):
            inner = node.expr if isinstance(node, promql_parser.AggregateExpr) else None
            if isinstance(inner, promql_parser.Call) and isinstance(inner.args[-1], promql_parser.MatrixSelector):
                made.append(str(node))
    made = [each for each in made if "pipemon_" in each]  # a person may write the same twice
    assert made
    assert sorted(made) == sorted(set(made))


@pytest.mark.integration
def test_calls_that_fail_and_then_a_dead_process_are_one_alert(tmp_path: Path) -> None:
    made = files([plan(load(HERE / "combined.yaml"))], Options())
    (tmp_path / "shop.rules.yml").write_text(made["rules/shop.rules.yml"])
    series = '{pipeline="shop",stage="classify",version="1",track="stable"}'
    fails = {"eval_time": "9m", "expr": "count(ALERTS{alertname='ShopDownOrFailing',alertstate='firing'})"}
    one = [{"labels": "{}", "value": 1}]
    tests = {
        "rule_files": ["shop.rules.yml"],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [
                    {"series": f"pipemon_stage_calls_total{series}", "values": "0+10x40 stale"},
                    {"series": f"pipemon_stage_failures_total{series}", "values": "0+10x40 stale"},
                    {"series": 'up{job="shop",instance="a"}', "values": "1+0x40 0+0x60"},
                ],
                "promql_expr_test": [
                    {**fails, "eval_time": at, "exp_samples": one} for at in ("9m", "11m", "14m", "20m")
                ],
            }
        ],
    }
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))
    command = ["promtool", "test", "rules", "tests.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_queries_in_annotations_name_what_exists(spec: Spec) -> None:
    known = known_series(spec)
    for rule in rules_of(spec):
        for query in re.findall(r"query `([^`]+)`", rule.get("annotations", {}).get("description", "")):
            labels_of(query, known)


def test_each_series_is_recorded_by_one_rule(spec: Spec) -> None:
    names = [(rule["record"], str(rule.get("labels"))) for rule in rules_of(spec) if "record" in rule]
    assert len(names) == len(set(names))


def test_a_recording_is_named_by_its_labels_metric_and_operations(spec: Spec) -> None:
    for recording in rules(spec).recordings:
        if recording in series_rules(spec):
            assert any(recording.name in metric.series for metric in METRICS.values())
            continue
        level, metric, operations = recording.name.split(":")
        assert level == "_".join(recording.labels)
        assert metric.startswith(("pipemon_", *EXTERNAL))
        assert re.fullmatch(r"sum|(\w+_)?(rate|increase|avg)\d+\w+", operations)


def test_an_alert_has_the_labels_that_routes_read(spec: Spec) -> None:
    for rule in rules_of(spec):
        if "alert" in rule:
            assert {"failure_mode", "kind", "severity", "owner"} <= rule["labels"].keys()
            assert rule["labels"]["severity"] in ("critical", "warning", "info")
            assert "$value" not in str(rule["labels"])


def test_an_idea_without_a_signal_makes_no_rule_and_is_named_in_the_file() -> None:
    spec = plan(load(SPECS[0])).spec
    text = rule_file(rules(spec))
    assert "rude-voice: not yet measurable" in text
    assert not any(rule.get("labels", {}).get("failure_mode") == "rude-voice" for rule in rules_of(spec))


def test_a_latency_on_a_bucket_bound_compares_the_share_that_its_quantile_leaves() -> None:
    (slow,) = [rule for rule in rules_of(plan(load(SPECS[0])).spec) if rule.get("alert") == "SpeechSlowAsr"]
    assert 'le="0.3"}\n) > 0.01' in slow["expr"]
    assert slow["expr"].endswith(">= 3"), "three slow calls at least: one or two happen"


@pytest.mark.integration
@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_failure_modes_rule_tests_pass(path: Path, tmp_path: Path) -> None:
    assert failing_modes(rules(plan(without_drift(load(path))).spec), tmp_path) == {}


@pytest.mark.integration
def test_the_rule_tests_of_the_examples_drift_pass(tmp_path: Path) -> None:
    # Every third of them, of each of its four failure modes: promtool takes five seconds for all of one.
    made = rules(plan(load(EXAMPLE)).spec)
    assert failing_modes(made, tmp_path, every=3, signal=DRIFT) == {}


@pytest.mark.integration
@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_prometheus_and_alertmanager_accept_all_files(path: Path, tmp_path: Path) -> None:
    for name, text in files([plan(load(path))], Options()).items():
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    for command in (
        ["promtool", "check", "rules", f"rules/{load(path).pipeline}.rules.yml"],
        ["promtool", "check", "config", "prometheus.yml"],
        ["amtool", "check-config", "alertmanager/alertmanager.yml"],
    ):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"


@pytest.mark.integration
def test_the_rule_tests_pass_under_a_time_scale_too(tmp_path: Path) -> None:
    (combined,) = [path for path in SPECS if path.stem == "combined"]
    made = files([plan(scaled(load(combined), 20))], Options())
    for name, text in made.items():
        if name.startswith("rules/"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
    command = ["promtool", "test", "rules", *map(str, (tmp_path / "rules" / "tests").glob("*.yml"))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.integration
def test_every_measurable_failure_mode_has_a_test_that_fires_and_one_that_does_not(spec: Spec) -> None:
    made = files([plan(spec)], Options())
    documents = [yaml.load(text, LOADER) for name, text in made.items() if name.startswith("rules/tests/")]
    every = [test["name"] for document in documents for test in document["tests"]]
    for mode in spec.measurable:
        names = [name.removeprefix(f"{mode.name}: ") for name in every if name.startswith(f"{mode.name}:")]
        assert any(name.startswith("fires") for name in names), mode.name
        assert any(name.startswith("is quiet") for name in names), mode.name


_DURATION = re.compile(r"((?:\d+(?:ms|[smhd]))+)(?![^\W_]|\.)")
_HELD = re.compile(r"(ALERTS_FOR_STATE[^>]*> )(\d+)")


def taken_apart(text: str) -> tuple[list[str], list[str]]:
    """A text without its durations, and the durations; how long an hour is held is compared in seconds.

    Where lines end depends on how long the durations are.
    """
    parts = _DURATION.split(_HELD.sub(r"\1\2s", re.sub(r"(?<=\()\s+|\s+(?=\))", "", " ".join(text.split()))))
    return parts[::2], parts[1::2]


@pytest.mark.parametrize("factor", [4.0, 20.0])
def test_a_time_scale_divides_every_duration_and_changes_nothing_else(spec: Spec, factor: float) -> None:
    for rule, other in zip(rules_of(spec), rules_of(scaled(spec, factor)), strict=True):
        assert rule.keys() == other.keys()
        for key in rule.keys() - {"annotations", "labels"}:
            (rest, times), (other_rest, other_times) = taken_apart(rule[key]), taken_apart(other[key])
            assert rest == other_rest
            assert list(map(seconds, other_times)) == pytest.approx([seconds(time) / factor for time in times])
        assert rule.get("labels") == other.get("labels")
        for key, text in rule.get("annotations", {}).items():
            (rest, times), (other_rest, other_times) = taken_apart(text), taken_apart(other["annotations"][key])
            assert rest == other_rest
            # Budgets and people's own words say what is measured, not how long is waited: they stay.
            for time, scaled_time in zip(times, other_times, strict=True):
                assert scaled_time in (time, duration(seconds(time) / factor))


def test_what_is_measured_is_not_scaled() -> None:
    (rule,) = [rule for rule in rules_of(scaled(plan(load(SPECS[0])).spec, 20)) if rule.get("alert") == "SpeechSlowAsr"]
    assert 'le="0.3"' in rule["expr"]
    assert "over 300ms" in rule["annotations"]["description"]


WRITTEN = {
    "alone": "signal: {promql: 'x > 1'}",
    "all of them": "signals: {all: [{promql: 'x > 1'}, {promql: 'y > 1'}]}",
    "one of them": "signals: {any: [{promql: 'x > 1'}, {promql: 'y > 1'}]}",
}


@pytest.mark.integration
@pytest.mark.parametrize("case", WRITTEN)
def test_written_expressions_are_told_as_of_their_pipeline_and_stage(case: str, tmp_path: Path) -> None:
    """Whatever labels they keep: without those of their place no route would take the alert."""
    (tmp_path / "shop.yaml").write_text(f"""\
pipeline: shop
keep: [cluster]
stages: {{pay: }}
failure_modes:
  odd:
    what: Odd
    stage: pay
    {WRITTEN[case]}
    fires_on: ['x{{job="a",stage="b"}} 2x100', 'x{{job="a",stage="c"}} 2x100', 'y{{job="b"}} 3x100']
""")
    made = rules(load(tmp_path / "shop.yaml"))
    assert failing_modes(made, tmp_path) == {}
    (test,) = [each for file in documents(made)[1] for each in file["tests"] if each["name"].startswith("odd: fires")]
    (labels,) = [sample["labels"] for sample in test["promql_expr_test"][0]["exp_samples"]]
    assert {'pipeline="shop"', 'stage="pay"'} <= set(labels.strip("{}").removeprefix("ALERTS{").split(","))

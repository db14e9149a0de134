"""A stage that is not decorated: its own series are read as if they were pipemon's, with rules and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from mutant_judge import Judge
from mutants import mutants
from rule_subsets import cases_of, documents, failing, failing_modes

from pipemon.backtest.replay import evaluations
from pipemon.generate.formats.scraping import prometheus_file
from pipemon.generate.inhibition import plan
from pipemon.generate.promql import text
from pipemon.generate.rules import Rules, rules
from pipemon.spec.load import load

OF_ONE_NAME = """
pipeline: ranking
owner: ranking-team
labels: {stage: exported_stage}
stages:
  http:
    calls: http_requests_total{handler="/rank"}
    failures: http_requests_total{handler="/rank",code=~"5.."}
    null_outputs: http_requests_total{handler="/rank",code="204"}
  listed: {calls: 'answers_total{code=~"500|200"}', failures: 'answers_total{code="500"}'}
  grpc:
    calls: grpc_server_handled_total{grpc_service="Rank"}
    failures: grpc_server_handled_total{grpc_service="Rank",grpc_code!="OK"}
    canary: {deployment: canary}
    version: model
failure_modes:
  fails: {what: It fails, stage: http, signal: error_ratio}
  is-empty: {what: It has nothing to say, stage: http, signal: null_ratio}
  answers: {what: It answers by an error, stage: listed, signal: error_ratio}
  worse: {what: The canary fails more, stage: grpc, signal: {compare: error_ratio}, above: 2x stable}
"""

pytestmark = pytest.mark.integration

READERS = {
    ("pipemon_stage_failures_total", "asr", "stable"): "asr-fails",
    ("pipemon_stage_failures_total", "asr", "canary"): "asr-worse",
    ("pipemon_stage_duration_seconds_bucket", "translate", "stable"): "translate-slow",
}
NO_DIFFERENCE = ("label series dropped", "label track dropped", 'matcher namespace="prod" dropped', "matcher le=~")
"""One series needs no name of its own, no track is no shadow, who reads selects again, and of bounds see below."""


@pytest.fixture(scope="module")
def made() -> Rules:
    return rules(plan(load(Path(__file__).with_name("undecorated.yaml"))).spec)


def test_a_fault_in_how_the_series_are_named_fails_a_generated_test(made: Rules, tmp_path: Path) -> None:
    document, files = documents(made)
    named = list(mutants({"groups": document["groups"][:1]}))
    for which, mode in READERS.items():
        faults = {
            number: mutant
            for number, mutant in enumerate(named)
            if _which(mutant.rule) == which and not any(words in mutant.what for words in NO_DIFFERENCE)
        }
        assert len(faults) > 1
        found = Judge(made, document, files, mode).found(tmp_path, faults)
        assert [mutant.what for number, mutant in faults.items() if number not in found] == []


def _which(rule: dict[str, Any]) -> tuple[str, str | None, str | None]:
    labels = rule.get("labels", {})
    return rule["record"], labels.get("stage"), labels.get("track")


def test_milliseconds_are_recorded_as_seconds_but_for_bounds_that_nobody_said(made: Rules, tmp_path: Path) -> None:
    document, _ = documents(made)
    labels = 'destination_workload="translate",namespace="prod"'
    counts = {"5": 1, "10.0": 2, "50.0": 3, "500": 4, "5000.0": 5, "+Inf": 6}
    histogram = {f'istio_request_duration_milliseconds_bucket{{{labels},le="{le}"}}': n for le, n in counts.items()}
    series = {f"istio_request_duration_milliseconds_sum{{{labels}}}": 1500.0, **histogram}
    of = 'pipeline="speech",stage="translate"'
    bounds = {"0.005": 1, "0.05": 3, "0.5": 4, "5.0": 5, "+Inf": 6}
    tests = {
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": name, "values": f"{value}"} for name, value in series.items()],
                "promql_expr_test": [
                    {
                        "expr": f"sum by (le) (pipemon_stage_duration_seconds_bucket{{{of}}})",
                        "eval_time": "0s",
                        "exp_samples": [{"labels": f'{{le="{le}"}}', "value": n} for le, n in bounds.items()],
                    },
                    {
                        "expr": f"sum(pipemon_stage_duration_seconds_sum{{{of}}})",
                        "eval_time": "0s",
                        "exp_samples": [{"labels": "{}", "value": 1.5}],
                    },
                ],
            }
        ],
    }
    assert failing(tmp_path, {"groups": document["groups"][:1]}, tests) == ""


def test_without_any_rule_the_same_is_told(made: Rules, tmp_path: Path) -> None:
    """As `check --url` and `backtest` ask a Prometheus that has no rules of the pipeline yet."""
    _, files = documents(made)
    others = ("asr-fails-more", "nothing-to-punctuate")
    # What adds up is no query's.
    now = [each for each in evaluations(made) if each.alert.mode.name not in others and each.past is None]
    assert len(now) == 10
    for each in now:
        mode = each.alert.mode.name
        every = (
            {**tests, "tests": [case for test in tests["tests"] for case in _asked(test, text(each.expr))]}
            for tests in cases_of(files, mode)
        )
        # Of some that are looked at in steps of their own, only what is recorded is judged.
        judged = [asked for asked in every if asked["tests"]]
        assert judged
        for number, asked in enumerate(judged):
            said = failing(tmp_path / f"{mode}-{number}", {"groups": []}, asked)
            assert said == "", said


def test_a_pipeline_that_others_export_all_of_is_scraped_by_their_jobs(tmp_path: Path) -> None:
    mode = "failure_modes: {fails: {what: Nothing comes}}\n"
    (tmp_path / "served.yaml").write_text("pipeline: served\nstages: {asr: {calls: nv_inference_count}}\n" + mode)
    (tmp_path / "speech.yaml").write_text(
        "pipeline: speech\nstages: {vad: {}, asr: {calls: nv_inference_count}}\n" + mode
    )
    served, speech = load(tmp_path / "served.yaml"), load(tmp_path / "speech.yaml")
    written = prometheus_file([served, speech], [], "127.0.0.1:9093")
    assert [job["job_name"] for job in yaml.safe_load(written)["scrape_configs"]] == ["speech"]
    assert "No job of served" in written
    named = yaml.safe_load(prometheus_file([served], ["triton:8002"], "127.0.0.1:9093"))
    assert named["scrape_configs"][0]["static_configs"] == [{"targets": ["triton:8002"]}]


def _asked(test: dict[str, Any], expr: str) -> Iterator[dict[str, Any]]:
    """A case that asks for the expression itself when its alert is judged."""
    judged = [each for each in test.get("alert_rule_test", []) if each["exp_alerts"]]
    for each in judged or test.get("alert_rule_test", [])[:1]:
        there = [{"labels": "{}", "value": 1}] if each["exp_alerts"] else []
        exprs = [{"expr": f"count({expr})", "eval_time": each["eval_time"], "exp_samples": there}]
        yield {**test, "alert_rule_test": [], "promql_expr_test": exprs}


def test_failures_may_be_some_of_the_series_that_calls_are(tmp_path: Path) -> None:
    """As most services count them: calls by their status, of which some tell that they failed."""
    (tmp_path / "ranking.yaml").write_text(OF_ONE_NAME)
    made = rules(plan(load(tmp_path / "ranking.yaml")).spec)
    assert failing_modes(made, tmp_path / "tests", every=3) == {}

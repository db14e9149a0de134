"""A stage that is not decorated: its own series are read as if they were pipemon's, with rules and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mutants import mutants
from rule_subsets import cases_of, documents, failing, failing_modes, only

from pipemon.backtest.replay import evaluations
from pipemon.generate.inhibition import plan
from pipemon.generate.promql import text
from pipemon.generate.rules import Rules, rules
from pipemon.spec.load import load

pytestmark = pytest.mark.integration

READERS = {"pipemon_stage_failures_total": "asr-fails", "pipemon_stage_duration_seconds_bucket": "asr-slow"}
NO_DIFFERENCE = ("label series dropped", "label track dropped", 'matcher namespace="prod" dropped')
"""One series needs no name of its own, no track is no shadow, and who reads selects again."""


@pytest.fixture(scope="module")
def made() -> Rules:
    return rules(plan(load(Path(__file__).with_name("undecorated.yaml"))).spec)


def test_every_generated_rule_test_passes_on_the_services_own_series(made: Rules, tmp_path: Path) -> None:
    assert failing_modes(made, tmp_path) == {}


def test_a_fault_in_how_the_series_are_named_fails_a_generated_test(made: Rules, tmp_path: Path) -> None:
    document, files = documents(made)
    survivors, count = [], 0
    for number, mutant in enumerate(mutants({"groups": document["groups"][:1]})):
        mode = READERS.get(mutant.rule["record"])
        if mode is None or any(words in mutant.what for words in NO_DIFFERENCE):
            continue
        count += 1
        broken = {"groups": [*mutant.document["groups"], *document["groups"][1:]]}
        said = [failing(tmp_path / f"{number}", only(made, broken, {mode}), t) for t in cases_of(files, mode)]
        survivors += [] if any(said) else [mutant.what]
    assert count > 5
    assert survivors == []


def test_without_any_rule_the_same_is_told(made: Rules, tmp_path: Path) -> None:
    """As `check --url` and `backtest` ask a Prometheus that has no rules of the pipeline yet."""
    _, files = documents(made)
    now = [each for each in evaluations(made) if each.alert.mode.name not in ("asr-fails-more", "nothing-to-punctuate")]
    assert len(now) == 7
    for each in now:
        mode = each.alert.mode.name
        for number, tests in enumerate(cases_of(files, mode)):
            asked = {**tests, "tests": [case for test in tests["tests"] for case in _asked(test, text(each.expr))]}
            assert asked["tests"]
            said = failing(tmp_path / f"{mode}-{number}", {"groups": []}, asked)
            assert said == "", said


def _asked(test: dict[str, Any], expr: str) -> Iterator[dict[str, Any]]:
    """A case that asks for the expression itself when its alert is judged."""
    judged = [each for each in test.get("alert_rule_test", []) if each["exp_alerts"]]
    for each in judged or test.get("alert_rule_test", [])[:1]:
        there = [{"labels": "{}", "value": 1}] if each["exp_alerts"] else []
        exprs = [{"expr": f"count({expr})", "eval_time": each["eval_time"], "exp_samples": there}]
        yield {**test, "alert_rule_test": [], "promql_expr_test": exprs}

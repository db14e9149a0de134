"""Rule tests of windows of hours and days take few steps, and still see how long an alert waits and lasts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rule_subsets import cases_of, documents, failing, only

from pipemon.generate.inhibition import plan
from pipemon.generate.rules import Rules, rules
from pipemon.spec.load import load
from pipemon.units import seconds

SPEC = """
pipeline: credit
owner: risk
scrape_interval: 2m
stages:
  score: {features: {output.sure: ratio, input.country: [de, fr]}}
failure_modes:
  unsure:
    what: It is less sure than last week
    stage: score
    signal: {mean: output.sure}
    below: 0.8x last week
    window: 1d
    keep_firing_for: 20m
  in-trouble:
    what: It fails, and returns nothing
    stage: score
    signals: {all: [{error_ratio: , above: 2%}, {null_ratio: , above: 20%}]}
    window: 1d
    for: 6m
  elsewhere: {what: Who knows where, stage: score, signal: {new_category: input.country}, window: 1h, for: 6m}
  lopsided:
    what: All are of one country, or hardly any
    stage: score
    signal: {share: input.country=de}
    outside: [10%, 90%]
    window: 1h
    for: 6m
  idle: {what: Nobody asks, stage: score, signal: no_calls, window: 1h}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Rules:
    file = tmp_path_factory.mktemp("long") / "credit.yaml"
    file.write_text(SPEC)
    return rules(plan(load(file)).spec)


def test_a_window_of_a_day_is_seen_in_a_dozen_steps_and_silence_as_often_as_prometheus_looks(made: Rules) -> None:
    _, files = documents(made)
    steps = {"unsure": 0.0, "in-trouble": 0.0, "idle": 0.0}
    for file in files:
        for test in file["tests"]:
            asked = [*test.get("alert_rule_test", ()), *test.get("promql_expr_test", ())]
            last = max(seconds(each["eval_time"]) for each in asked) / seconds(file["evaluation_interval"])
            mode = re.sub(":.*", "", test["name"])
            if mode in steps and "remembers" not in test["name"]:  # which goes back a week
                steps[mode] = max(steps[mode], last)
    assert max(steps["unsure"], steps["in-trouble"]) < 60
    assert steps["idle"] > 60


@pytest.mark.integration
@pytest.mark.parametrize("key", ["for", "keep_firing_for"])
@pytest.mark.parametrize("times", [0.5, 1, 2])
def test_an_alert_that_waits_or_lasts_for_half_or_twice_as_long_fails(
    made: Rules, key: str, times: float, tmp_path: Path
) -> None:
    document, files = documents(made)
    waits = [test for file in files for test in file["tests"] if "has waited for" in test["name"]]
    assert {re.sub(":.*", "", test["name"]) for test in waits} == {"unsure", "in-trouble", "elsewhere", "lopsided"}
    changed = [
        {**rule, key: f"{times * seconds(rule[key]):g}s"} if key in rule else rule
        for group in document["groups"]
        for rule in group["rules"]
    ]
    groups = {"groups": [{"name": "all", "rules": changed}]}
    beside = [file for file in files if any(test in waits for test in file["tests"])]
    said = [failing(tmp_path, groups, file) for file in beside]
    assert any(said) == (times != 1)


@pytest.mark.integration
@pytest.mark.parametrize("mode", ["elsewhere", "lopsided"])
def test_shares_of_a_category_over_hours_pass_their_tests(made: Rules, mode: str, tmp_path: Path) -> None:
    """Of which rules add up the whole themselves."""
    document, files = documents(made)
    assert [failing(tmp_path, only(made, document, {mode}), tests) for tests in cases_of(files, mode)] == ["", ""]

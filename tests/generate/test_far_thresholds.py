"""Thresholds near the ends of a share: nothing lies far beyond them, and no counter of a rule test falls."""

from __future__ import annotations

from pathlib import Path

import yaml

from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rules
from pipemon.generate.ruletests.files import test_files as rule_tests
from pipemon.spec.load import load

SPEC = """\
pipeline: speech
stages: {vad: {budget: 50ms}}
failure_modes:
  sure: {what: It is surer than it is right, stage: vad, signal: calibration, above: 35%}
  very-sure: {what: It is always sure and never right, stage: vad, signal: calibration, above: 97%}
  all-late: {what: Nearly every call is late, stage: vad, signal: {latency: p10}, above: budget}
"""
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def test_no_counter_of_a_rule_test_falls(tmp_path: Path) -> None:
    (tmp_path / "speech.yaml").write_text(SPEC)
    files = rule_tests(rules(plan(load(tmp_path / "speech.yaml")).spec))
    tests = [test for text in files.values() for test in yaml.load(text, LOADER)["tests"]]
    assert {test["name"].partition(":")[0] for test in tests} >= {"sure", "very-sure", "all-late"}
    counters = [series for test in tests for series in test["input_series"] if "_total{" in series["series"]]
    buckets = [series for test in tests for series in test["input_series"] if "_bucket{" in series["series"]]
    assert counters
    assert buckets
    falling = [series for series in (*counters, *buckets) if "+-" in str(series["values"])]
    assert not falling


LAST_HOUR = """\
pipeline: speech
select: {namespace: prod}
stages: {vad: {features: {output.kind: [noise, speech]}}}
failure_modes:
  nulls: {what: More nulls than just before, stage: vad, signal: null_ratio, above: 3x last hour}
  noise: {what: More noise than just before, stage: vad, signal: {share: output.kind=noise}, above: 3x last hour}
"""


def test_no_series_has_two_lines_of_values_in_a_rule_test(tmp_path: Path) -> None:
    """Of two, what others record of an hour before would be there when it must not."""
    (tmp_path / "speech.yaml").write_text(LAST_HOUR)
    files = rule_tests(rules(plan(load(tmp_path / "speech.yaml")).spec))
    tests = [test for text in files.values() for test in yaml.load(text, LOADER)["tests"]]
    assert {test["name"].partition(":")[0] for test in tests} >= {"nulls", "noise"}
    for test in tests:
        lines = {(series["series"], series["values"]) for series in test["input_series"]}
        assert len(lines) == len({name for name, _ in lines}), test["name"]

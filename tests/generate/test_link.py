"""Devices whose link comes and goes: a cut is no silence, a device that is heard and not called is."""

from __future__ import annotations

from pathlib import Path

import pytest
from rule_subsets import cases_of, documents, failing, failing_modes, only

from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rules
from pipemon.spec.load import load

LINE = """\
pipeline: line
link: 20m
stages: {inspect: {}}
failure_modes:
  silent: {what: Nothing is inspected, stage: inspect, signal: no_calls}
  idle: {what: The line stands still, signal: no_calls}
"""


@pytest.mark.integration
@pytest.mark.parametrize("more", ["", "keep: [site]\n", "targets: {job: line}\nselect: {namespace: prod}\n"])
def test_a_cut_is_quiet_and_one_too_long_is_not(more: str, tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text(LINE + more)
    made = rules(plan(load(tmp_path / "line.yaml")).spec)
    names = [test["name"] for file in documents(made)[1] for test in file["tests"]]
    assert "silent: is quiet while the link is cut" in names
    assert "silent: fires when the series are gone" in names
    assert failing_modes(made, tmp_path) == {}


@pytest.mark.integration
def test_a_place_that_is_expected_for_longer_fails_the_rule_tests(tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text(LINE + "keep: [site]\n")
    made = rules(plan(load(tmp_path / "line.yaml")).spec)
    document, files = documents(made)
    for rule in (rule for group in document["groups"] for rule in group["rules"] if "alert" in rule):
        rule["expr"] = rule["expr"].replace("[1h20m]", "[2h40m]")
    for mode in ("silent", "idle"):
        (file,) = cases_of(files, mode)
        assert "is quiet just before the threshold" in failing(tmp_path / mode, only(made, document, {mode}), file)

"""A target label in the place of ours: what is read of raw series, by the name under which ours arrives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from real_servers import program
from rule_subsets import documents, failing, failing_modes

from pipemon.errors import SpecError
from pipemon.generate.inhibition import plan
from pipemon.generate.lint.findings import lint
from pipemon.generate.output import Options, texts
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.load import load
from pipemon.spec.model import Spec

SPEC = """
pipeline: speech
labels: {stage: exported_stage, version: exported_version, pipeline: exported_pipeline}
stages:
  vad: {}
  asr: {after: vad, calls: nv_requests_total, failures: nv_failures_total, version: model_version}
failure_modes:
  cuts: {what: Nothing comes out, stage: vad, signal: null_ratio, above: 5%}
  silent: {what: Nobody calls, stage: vad, signal: no_calls}
  asr-fails: {what: The model server fails, stage: asr, signal: error_ratio}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    (tmp_path / "speech.yaml").write_text(SPEC)
    return load(tmp_path / "speech.yaml")


def test_rules_read_the_labels_as_they_arrive_and_record_pipemons(spec: Spec, tmp_path: Path) -> None:
    made = rules(spec)
    assert failing_modes(made, tmp_path, program("promtool"), every=6) == {}
    # The tests tell rules that read the target's label from those that read ours.
    reading_the_targets = yaml.safe_load(rule_file(replace(made, spec=replace(spec, labels=()))))
    _, files = documents(made)
    one = {**files[0], "tests": files[0]["tests"][:1]}
    assert "FAILED" in failing(tmp_path / "others", reading_the_targets, one, program("promtool"))


def test_only_what_stays_of_a_sum_is_named_back(spec: Spec) -> None:
    written = rule_file(rules(spec))
    nulls = next(line for line in written.splitlines() if "increase(pipemon_stage_null_outputs_total" in line)
    assert '"stage", "$1", "exported_stage"' in nulls
    assert "exported_version" not in nulls
    assert list(lint([plan(spec)])) == []


def test_panels_and_the_runbook_read_them_too(spec: Spec) -> None:
    made = texts([plan(spec)], Options())
    for name in ("grafana/dashboards/speech.json", "runbooks/speech.md"):
        assert "exported_stage" in "".join(made[name])
    assert "exported_stage" not in "".join(made["alertmanager/alertmanager.yml"])


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("{stge: exported_stage}", "pipemon's series have no label 'stge'; did you mean 'stage'?"),
        ("{stage: track}", "'track' is a label of pipemon"),
        ("{stage: a-b}", "'a-b' is not a label name"),
        ("{stage: x, version: x}", "another label arrives as 'x'"),
        ("{stage: cluster}", "'cluster' is a label of the targets"),
        ("[stage]", "such as {stage: exported_stage}, found a list"),
    ],
)
def test_what_can_not_be_is_told(tmp_path: Path, labels: str, said: str) -> None:
    file = tmp_path / "speech.yaml"
    file.write_text(f"pipeline: speech\nkeep: [cluster]\nlabels: {labels}\nstages: {{vad: {{}}}}\n")
    with pytest.raises(SpecError) as refused:
        load(file)
    assert said in str(refused.value)

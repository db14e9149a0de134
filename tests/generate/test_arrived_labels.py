"""A target label in the place of ours: what is read of raw series, by the name under which ours arrives."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from promql_names import known_series, labels_of
from real_servers import program
from rule_subsets import documents, failing, failing_modes
from test_boards import filled
from test_dashboard import panels

from pipemon.catalogue import METRICS
from pipemon.cli import cli
from pipemon.errors import SpecError
from pipemon.generate.inhibition import plan
from pipemon.generate.lint.findings import lint
from pipemon.generate.output import Options, generic_dashboard_files, texts
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
    nulls = written.partition("increase(pipemon_stage_null_outputs_total")[2].partition("- record")[0]
    assert '"stage", "$1", "exported_stage"' in nulls
    assert "exported_version" not in nulls
    assert list(lint([plan(spec)])) == []


def test_panels_and_the_runbook_read_them_too(spec: Spec) -> None:
    made = texts([plan(spec)], Options())
    for name in ("grafana/dashboards/speech.json", "runbooks/speech.md"):
        assert "exported_stage" in "".join(made[name])
    assert "exported_stage" not in "".join(made["alertmanager/alertmanager.yml"])


def test_named_checks_read_the_rules_as_they_are_written(tmp_path: Path) -> None:
    asked = 'sum(rate(pipemon_stage_failures_total{%s="speech"}[5m])) > 1'
    written = "".join(
        f"  {name}: {{what: It fails, signal: {{promql: '{asked % label}'}}}}\n"
        for name, label in (("ours", "exported_pipeline"), ("of-targets", "pipeline"))
    )
    (tmp_path / "speech.yaml").write_text(SPEC + written)
    (found,) = lint([plan(load(tmp_path / "speech.yaml"))])
    assert str(found) == (
        "SpeechOfTargets: pipemon_stage_failures_total is read of every pipeline; "
        "pipemon's label arrives as exported_pipeline [promql/selector]"
    )


def arriving_series(spec: Spec) -> dict[str, frozenset[str]]:
    """What there is to read: pipemon's series with the labels under which they arrive, and those alone."""
    names = dict(spec.labels)
    exported = {name for metric in METRICS.values() for name in metric.series}
    return {
        name: frozenset(names.get(label, label) for label in labels) | {"instance"} if name in exported else labels
        for name, labels in (known_series(load(Path(__file__).with_name("drifting.yaml"))) | known_series(spec)).items()
    }


def test_dashboards_for_any_pipeline_read_them_where_all_pipelines_do(spec: Spec) -> None:
    series = arriving_series(spec)
    for name, text in generic_dashboard_files([spec, replace(spec, pipeline="chat")]).items():
        board = json.loads(text)
        asked = [
            (target["expr"], target["legendFormat"]) for panel in panels(board) for target in panel.get("targets", ())
        ]
        asked += [(mark["expr"], "") for mark in board["annotations"]["list"]]
        assert asked
        for query, legend in asked:
            # A label that is not there as it arrives is an error, in a matcher, a grouping or a join.
            given = labels_of(filled(query), series)
            assert set(re.findall(r"{{(\w+)}}", legend)) <= given, (name, query)
        variables = {v["name"]: v["query"]["query"] for v in board["templating"]["list"] if v["type"] == "query"}
        assert variables["pipeline"] == "label_values(pipemon_stage_calls_total, exported_pipeline)"
        for query in variables.values():
            found = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
            assert found is not None
            assert found[2] in labels_of(filled(found[1]), series), query


def test_where_pipelines_differ_they_read_pipemons_own(spec: Spec) -> None:
    other = replace(spec, pipeline="chat", labels=())
    assert generic_dashboard_files([spec, other]) == generic_dashboard_files([other])
    folder = Path(spec.files[0]).parent
    (folder / "chat.yaml").write_text(
        "pipeline: chat\nstages: {write: {}}\nfailure_modes: {late: {what: It writes late}}\n"
    )
    told = CliRunner().invoke(cli, ["generate", spec.files[0], str(folder / "chat.yaml"), "--out", str(folder / "out")])
    assert told.exit_code == 0
    assert "`labels:` is not the same for all pipelines" in told.stderr


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

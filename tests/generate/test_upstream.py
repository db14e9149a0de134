"""An alert says which stages before its own fire too, in the order in which they began: run by promtool, by hand."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.load import load

SPEC = """\
pipeline: speech
stages: {vad: , noise: {after: vad}, asr: {after: noise}}
keep: [cluster]
failure_modes:
  vad-fails: {what: V, stage: vad, signal: error_ratio, above: 5%, for: 1m}
  noise-fails: {what: N, stage: noise, signal: error_ratio, above: 5%, for: 1m}
  asr-fails: {what: A, stage: asr, signal: error_ratio, above: 5%, for: 1m}
  queue-full: {what: Q, stage: asr, signal: {promql: max(queue_length) > 100}, for: 1m}
  queue-full-there: {what: Q, stage: asr, signal: {promql: max by (cluster) (queue_length) > 100}, for: 1m}
"""

CANARIES = """\
pipeline: speech
stages: {vad: , asr: {after: vad}}
failure_modes:
  canary-fails: {what: C, stage: vad, signal: {compare: error_ratio}, above: 1.5x stable, for: 1m}
  asr-fails: {what: A, stage: asr, signal: error_ratio, above: 5%, for: 1m}
"""


def series(stage: str, cluster: str, failures: str) -> list[dict[str, str]]:
    labels = f'pipeline="speech",stage="{stage}",cluster="{cluster}",version="1",track="stable"'
    return [
        {"series": f"pipemon_stage_calls_total{{{labels}}}", "values": "0+15x120"},
        {"series": f"pipemon_stage_skipped_total{{{labels}}}", "values": "0x120"},
        {"series": f"pipemon_stage_failures_total{{{labels}}}", "values": failures},
    ]


def test_the_earliest_upstream_is_named_first_and_another_clusters_not_at_all(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool on the PATH")
    (tmp_path / "speech.yaml").write_text(SPEC)
    made = rules(plan(load(tmp_path / "speech.yaml")).spec)
    (tmp_path / "rules.yml").write_text(rule_file(made))
    fails_from_5m, fails_from_10m, never = "0x20 0+10x100", "0x40 0+10x80", "0x120"
    began = {("noise", "a"): fails_from_5m, ("vad", "a"): fails_from_10m, ("asr", "a"): fails_from_10m}
    began |= {("vad", "b"): never, ("noise", "b"): never, ("asr", "b"): fails_from_10m}
    began |= {("vad", "c (new)"): never, ("noise", "c (new)"): fails_from_10m}
    queues = [{"series": f'queue_length{{cluster="{cluster}"}}', "values": "200x120"} for cluster in ("b", "c (new)")]

    def told(name: str, description: str, **upstream: str) -> dict[str, object]:
        (one,) = [each for each in made.alerts if each.mode.name == name]
        labels = {"pipeline": "speech", "stage": "asr"} | one.labels
        alerts = []
        for cluster, moved in upstream.items():
            where = {} if cluster == "nowhere" else {"cluster": cluster.replace("c", "c (new)")}
            said = one.annotations | {"description": description, "upstream": moved}
            alerts.append({"exp_labels": labels | where, "exp_annotations": said})
        return {"eval_time": "25m", "alertname": one.name, "exp_alerts": alerts}

    nothing, first = "Nothing fires upstream.", "Fires upstream, the earliest first: "
    expected = [
        told(
            "asr-fails", "Failures of asr: 66.67% over 5m, above 5%.",
            a=f"{first}noise/noise-fails, vad/vad-fails.", b=nothing,
        ),
        # An expression that has lost where it is is told of all places, each failure mode once.
        told("queue-full", "The expression's value is 200.", nowhere=f"{first}noise/noise-fails, vad/vad-fails."),
        told("queue-full-there", "The expression's value is 200.", b=nothing, c=f"{first}noise/noise-fails."),
    ]  # fmt: skip
    test = {
        "interval": "15s",
        "input_series": [
            *(each for (stage, cluster), began_at in began.items() for each in series(stage, cluster, began_at)),
            *queues,
        ],
        "alert_rule_test": expected,
    }
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "15s", "tests": [test]}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(document, sort_keys=False, width=1_000_000))
    command = ["promtool", "test", "rules", "tests.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_failure_mode_that_fires_for_two_canaries_is_named_once(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool on the PATH")
    (tmp_path / "speech.yaml").write_text(CANARIES)
    made = rules(plan(load(tmp_path / "speech.yaml")).spec)
    (tmp_path / "rules.yml").write_text(rule_file(made))
    (fails,) = [each for each in made.alerts if each.mode.name == "asr-fails"]

    def counted(stage: str, version: str, track: str, failures: str) -> list[dict[str, str]]:
        labels = f'pipeline="speech",stage="{stage}",version="{version}",track="{track}"'
        return [
            {"series": f"pipemon_stage_{what}_total{{{labels}}}", "values": values}
            for what, values in (("calls", "0+15x120"), ("skipped", "0x120"), ("failures", failures))
        ]

    canaries = [each for version in ("2", "3") for each in counted("vad", version, "canary", "0+10x120")]
    said = fails.annotations | {
        "description": "Failures of asr: 66.67% over 5m, above 5%.",
        "upstream": "Fires upstream, the earliest first: vad/canary-fails.",
    }
    fired = {"exp_labels": {"pipeline": "speech", "stage": "asr", **fails.labels}, "exp_annotations": said}
    two = [{"labels": f'{{version="{version}"}}', "value": 1} for version in ("2", "3")]
    firing = 'max by (version) (ALERTS{failure_mode="canary-fails",alertstate="firing"})'
    test = {
        "interval": "15s",
        "input_series": [
            *canaries, *counted("vad", "1", "stable", "0x120"), *counted("asr", "1", "stable", "0+10x120"),
        ],
        "alert_rule_test": [{"eval_time": "25m", "alertname": fails.name, "exp_alerts": [fired]}],
        "promql_expr_test": [{"expr": firing, "eval_time": "25m", "exp_samples": two}],
    }  # fmt: skip
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "15s", "tests": [test]}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(document, sort_keys=False, width=1_000_000))
    command = ["promtool", "test", "rules", "tests.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

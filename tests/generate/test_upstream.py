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

"""What a failure mode's receiver may act on goes along with its alert, for machines and for people."""

from __future__ import annotations

from pathlib import Path

from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rules
from pipemon.generate.runbook import runbook
from pipemon.spec.load import load

SPEC = """\
pipeline: speech
stages: {vad: {}, asr: {after: vad}}
failure_modes:
  vad-cuts: {what: The VAD returns nothing, stage: vad, signal: null_ratio, then: {rollback: vad}}
  asr-fails: {what: The recogniser raises, stage: vad, signal: error_ratio}
"""


def test_an_action_is_an_annotation_of_its_alert_alone_and_stands_in_the_runbook(tmp_path: Path) -> None:
    (tmp_path / "speech.yaml").write_text(SPEC)
    spec = load(tmp_path / "speech.yaml")
    actions = {alert.mode.name: alert.annotations.get("then") for alert in rules(spec).alerts}
    assert actions == {"vad-cuts": "rollback vad", "asr-fails": None, "bucket-bounds-differ": None}
    page = runbook(plan(spec))
    assert page.count("- **Then:** rollback vad: by `pipemon serve`, where its file of actions says how") == 1

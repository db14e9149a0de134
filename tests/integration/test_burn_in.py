"""`mode: observe`: the alert is there and recorded, and reaches nobody; labels and severities are the team's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from real_servers import tool

from pipemon.generate.inhibition import plan
from pipemon.generate.output import generate
from pipemon.spec.load import load

pytestmark = pytest.mark.integration

SPEECH = """\
pipeline: speech
owner: speech-team
severities: {page: P1}
stages: {vad: {}, asr: {after: vad}}
defaults: {labels: {team: voice}}
failure_modes:
  vad-fails: {what: it fails, stage: vad, signal: error_ratio, leads_to: [asr-empty, asr-new], mode: observe}
  vad-empty: {what: nothing, stage: vad, signal: null_ratio, severity: page, leads_to: asr-new, labels: {tier: "1"}}
  asr-fails: {what: it fails, stage: asr, signal: error_ratio, severity: page}
  asr-empty: {what: nothing, stage: asr, signal: null_ratio, severity: page}
  asr-new: {what: new, stage: asr, signal: error_ratio, above: 1%, mode: {observe: 2026-11-20}}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("burn-in")
    (folder / "speech.yaml").write_text(SPEECH)
    generate([folder / "speech.yaml"], folder / "out")
    return folder / "out"


def receivers(made: Path, labels: str) -> list[str]:
    config = made / "alertmanager" / "alertmanager.yml"
    return tool("amtool", "config", "routes", "test", f"--config.file={config}", *labels.split()).split()


def test_what_is_observed_reaches_a_receiver_that_tells_nobody(made: Path) -> None:
    same = "pipeline=speech owner=speech-team severity=P1 failure_mode=vad-fails"
    assert receivers(made, f"{same} mode=observe") == ["null"]
    assert receivers(made, same) == ["speech-team-page"]
    config = yaml.safe_load((made / "alertmanager" / "alertmanager.yml").read_text())
    assert {"name": "null"} in config["receivers"]
    tool("amtool", "check-config", str(made / "alertmanager" / "alertmanager.yml"))


def test_what_is_observed_holds_nothing_back_and_is_not_held_back(made: Path, tmp_path: Path) -> None:
    (tmp_path / "speech.yaml").write_text(SPEECH)
    (tmp_path / "told.yaml").write_text(SPEECH.replace(", mode: observe", ""))
    observed, told = plan(load(tmp_path / "speech.yaml")), plan(load(tmp_path / "told.yaml"))
    assert told.targets["vad-fails"] == ("asr-fails", "asr-empty")
    assert observed.targets == {"vad-empty": ("asr-fails", "asr-empty")}
    assert {(r.source, r.target): r.reason for r in observed.refused} == {
        ("vad-fails", "asr-empty"): "vad-fails is in burn-in, and told to nobody",
        ("vad-fails", "asr-new"): "vad-fails is in burn-in, and told to nobody",
        ("vad-empty", "asr-new"): "asr-new is in burn-in, and told to nobody",
    }


def test_the_alerts_carry_the_teams_labels_and_words_and_their_tests_pass(made: Path) -> None:
    groups = yaml.safe_load((made / "rules" / "speech.rules.yml").read_text())["groups"]
    labels = {rule["labels"]["failure_mode"]: rule["labels"] for g in groups for rule in g["rules"] if "alert" in rule}
    assert labels["vad-fails"] | {"mode": "observe", "team": "voice", "severity": "P1"} == labels["vad-fails"]
    assert labels["vad-empty"]["tier"] == "1"
    assert "mode" not in labels["vad-empty"]
    tool("promtool", "check", "rules", "rules/speech.rules.yml", cwd=made)
    tool("promtool", "test", "rules", *map(str, sorted((made / "rules" / "tests").glob("*.yml"))), cwd=made)


def test_what_is_observed_does_not_colour_its_stage(made: Path) -> None:
    board = (made / "grafana" / "dashboards" / "speech.json").read_text()
    assert 'severity=\\"P1\\"' in board
    assert 'severity=\\"critical\\"' not in board
    assert 'mode!=\\"observe\\"' in board

"""Which receiver gets an alert, as amtool tells of the generated configuration."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import yaml
from real_servers import running_alertmanager, tool, until

from pipemon.generate.output import generate

pytestmark = pytest.mark.integration

SPEECH = """\
pipeline: speech
owner: speech-team
stages: {vad: {}, asr: {after: vad}}
failure_modes:
  fails: {what: it fails, stage: vad, signal: error_ratio, severity: page}
  empty: {what: it returns nothing, stage: vad, signal: null_ratio, severity: ticket}
  quiet: {what: nobody calls, signal: no_calls, severity: notice}
  asr-fails: {what: it fails, stage: asr, signal: error_ratio, severity: page, owner: recogniser-team}
"""
VISION = """\
pipeline: vision
owner: vision-team
stages: {detect: {}}
failure_modes:
  fails: {what: it fails, stage: detect, signal: error_ratio, severity: page}
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("routes")
    specs = [folder / "speech.yaml", folder / "vision.yaml"]
    for path, text in zip(specs, (SPEECH, VISION), strict=True):
        path.write_text(text)
    generate(specs, folder / "out")
    return folder / "out" / "alertmanager" / "alertmanager.yml"


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (
            "pipeline=speech owner=speech-team severity=critical failure_mode=fails",
            "speech-team-page",
        ),
        (
            "pipeline=speech owner=speech-team severity=warning failure_mode=empty",
            "speech-team-ticket",
        ),
        (
            "pipeline=speech owner=speech-team severity=info failure_mode=quiet",
            "speech-team-notice",
        ),
        (
            "pipeline=speech owner=recogniser-team severity=critical failure_mode=asr-fails",
            "recogniser-team-page",
        ),
        (
            "pipeline=vision owner=vision-team severity=critical failure_mode=fails",
            "vision-team-page",
        ),
        ("pipeline=vision owner=speech-team severity=critical", "pipemon"),
        ("alertname=DiskFull severity=critical", "pipemon"),
    ],
)
def test_an_alert_goes_to_its_owner_by_its_severity_and_any_other_to_the_root(
    config: Path, labels: str, receiver: str
) -> None:
    told = tool("amtool", "config", "routes", "test", f"--config.file={config}", *labels.split())
    assert told.split() == [receiver]


def test_the_owner_of_several_pipelines_has_one_receiver_for_each_severity(
    tmp_path: Path,
) -> None:
    specs = [tmp_path / "speech.yaml", tmp_path / "vision.yaml"]
    for path, text in zip(specs, (SPEECH, VISION.replace("vision-team", "speech-team")), strict=True):
        path.write_text(text)
    generate(specs, tmp_path)
    told = tool("amtool", "check-config", str(tmp_path / "alertmanager" / "alertmanager.yml"))
    assert "5 receivers" in told


def test_a_file_that_takes_in_the_routes_before_its_own_keeps_its_own_receivers(config: Path, tmp_path: Path) -> None:
    ours = yaml.safe_load(config.read_text())
    theirs = {
        "route": {
            "receiver": "on-call",
            "routes": [*ours["route"]["routes"], {"matchers": ['severity="critical"'], "receiver": "pager"}],
        },
        "receivers": [
            {"name": "on-call"},
            {"name": "pager"},
            *(each for each in ours["receivers"] if each["name"] != ours["route"]["receiver"]),
        ],
        "inhibit_rules": ours.get("inhibit_rules", []),
        "templates": [str(config.parent / name) for name in ours["templates"]],
    }
    merged = tmp_path / "alertmanager.yml"
    merged.write_text(yaml.safe_dump(theirs))
    tool("amtool", "check-config", str(merged))
    asked = ["pipeline=speech owner=speech-team severity=critical", "severity=critical", "severity=warning"]
    test = ("amtool", "config", "routes", "test", f"--config.file={merged}")
    assert [tool(*test, *labels.split()).strip() for labels in asked] == ["speech-team-page", "pager", "on-call"]


def test_below_the_root_of_another_file_a_storm_is_still_one_notification_a_cluster(tmp_path: Path) -> None:
    (tmp_path / "speech.yaml").write_text(f"keep: [cluster]\n{SPEECH}")
    generate([tmp_path / "speech.yaml"], tmp_path)
    ours = yaml.safe_load((tmp_path / "alertmanager" / "alertmanager.yml").read_text())
    theirs = {
        "route": {
            "receiver": "theirs",
            "group_by": ["alertname"],
            "group_wait": "1h",
            "routes": ours["route"]["routes"],
        },
        "inhibit_rules": ours["inhibit_rules"],
        "receivers": [{"name": "theirs"}, *ours["receivers"]],
    }
    fired = [
        {"alertname": f"Speech{number}", "pipeline": "speech", "owner": "speech-team", "severity": "critical"}
        | {"failure_mode": f"mode-{number}", "cluster": cluster}
        for number in range(20)
        for cluster in ("eu", "us")
    ]
    with running_alertmanager(yaml.safe_dump(theirs), tmp_path / "theirs") as inbox:
        sent = json.dumps([{"labels": labels} for labels in fired]).encode()
        urlopen(Request(f"{inbox.url}/api/v2/alerts", sent, {"Content-Type": "application/json"}), timeout=120).close()

        def groups() -> list[tuple[str, str, int]]:
            found = json.load(urlopen(f"{inbox.url}/api/v2/alerts/groups", timeout=120))
            return sorted((g["receiver"]["name"], g["labels"]["cluster"], len(g["alerts"])) for g in found)

        told = [("speech-team-page", "eu", 20), ("speech-team-page", "us", 20)]
        until(lambda: groups() == told, f"{told}")

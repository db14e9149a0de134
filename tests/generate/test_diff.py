"""A change of the failure modes is told in words: what of alerts, routes and panels becomes different."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipemon.generate.diff import differences
from pipemon.generate.inhibition import plan
from pipemon.spec.load import load_all

SPEECH = """\
pipeline: speech
owner: speech-team
stages:
  vad: {budget: 50ms, features: {input.level: dBFS}}
  asr: {after: vad}
failure_modes:
  vad-cuts:
    what: The VAD returns nothing
    stage: vad
    signal: null_ratio
    above: 5%
    severity: page
  asr-fails: {what: The recogniser raises, stage: asr, signal: error_ratio, severity: ticket}
  rude: {what: Users find it rude}
"""
CUTS = "alert SpeechVadCuts: "


def told(folder: Path, *changes: tuple[str, str], old: str = SPEECH) -> list[str]:
    new = old
    for good, other in changes:
        assert good in new
        new = new.replace(good, other, 1)
    plans = []
    for name, text in (("old", old), ("new", new)):
        (folder / f"{name}.yaml").write_text(text)
        plans.append([plan(spec) for spec in load_all([folder / f"{name}.yaml"])])
    return [line.removeprefix("  ") for line in differences(plans[0], plans[1])]


def of_alerts(lines: list[str]) -> list[str]:
    assert lines[0] == "speech:"
    return [line for line in lines[1:] if not line.startswith("panel ")]


def test_nothing_is_told_where_nothing_changes(tmp_path: Path) -> None:
    assert told(tmp_path) == []
    assert told(tmp_path, ("failure_modes:", "# A comment\nfailure_modes:"), ("above: 5%", "above: 0.05")) == []


@pytest.mark.parametrize(
    ("good", "other", "line"),
    [
        ("above: 5%", "above: 7%",
         "fires on null outputs of vad above 7%, for 2m (was null outputs of vad above 5%, for 2m)"),
        ("severity: page", "severity: notice",
         "is info, told to speech-team-notice (was critical, told to speech-team-page)"),
        ("severity: page", "severity: page\n    mode: observe",
         "is critical, in burn-in and told to nobody (was critical, told to speech-team-page)"),
        ("severity: page", "severity: page\n    owner: vad-team",
         "is critical, told to vad-team-page (was critical, told to speech-team-page)"),
        ("severity: page", "severity: page\n    window: 10m", "looks back 10m (was 5m)"),
        ("severity: page", "severity: page\n    labels: {team: voice}", "has the labels team=voice (was nothing)"),
        ("severity: page", "severity: page\n    do: Roll it back", "asks to 'Roll it back' (was '')"),
        ("severity: page", "severity: page\n    then: {rollback: vad}",
         "asks its receiver for rollback vad (was no action)"),
        ("severity: page", "severity: page\n    runbook: https://x", "is explained at https://x (was no page)"),
        ("The VAD returns", "It returns", "means 'It returns nothing' (was 'The VAD returns nothing')"),
        ("severity: page", "severity: page\n    min_calls: 50", "its expression changes"),
    ],
)  # fmt: skip
def test_each_change_of_an_alert_is_told(tmp_path: Path, good: str, other: str, line: str) -> None:
    assert CUTS + line in of_alerts(told(tmp_path, (good, other)))


def test_new_and_gone_alerts_are_told_with_what_they_hold_back(tmp_path: Path) -> None:
    assert of_alerts(told(tmp_path, ("  vad-cuts:", "  vad-silent:"))) == [
        "alert SpeechVadCuts: gone",
        "alert SpeechVadSilent: new, null outputs of vad above 5%, for 2m; critical, told to speech-team-page",
        "route: vad-cuts no longer holds back asr-fails",
        "route: vad-silent now holds back asr-fails",
    ]


def test_routes_to_new_receivers_are_told_with_what_to_do(tmp_path: Path) -> None:
    found = of_alerts(told(tmp_path, ("severity: page", "severity: page\n    owner: vad-team")))
    assert "route: the receiver vad-team-page is new; add its pager or chat" in found
    assert "route: the receiver speech-team-page is gone" in found


def test_an_idea_that_comes_goes_or_can_be_measured_is_told(tmp_path: Path) -> None:
    assert of_alerts(told(tmp_path, ("rude: {what: Users find it rude}", "loud: {what: Users find it loud}"))) == [
        "idea loud: new, not yet measurable: nobody has named a signal",
        "idea rude: gone",
    ]
    measured = told(
        tmp_path, ("Users find it rude", "Users find it rude, stage: asr, signal: {feedback: redo}, above: 5%")
    )
    assert "idea rude: now has an alert" in measured


def test_panels_are_told_by_row_and_title(tmp_path: Path) -> None:
    found = told(tmp_path, ("asr: {after: vad}", "asr: {after: vad, features: {output.words: words}}"))
    panels = [line for line in found if line.startswith("panel ")]
    assert panels
    assert any("asr" in line and "words" in line and line.endswith("new") for line in panels)
    back = told(tmp_path, ("features: {input.level: dBFS}", "features: {}"))
    assert any("level" in line and line.endswith("gone") for line in back)


def test_whole_pipelines_and_their_settings_are_told(tmp_path: Path) -> None:
    assert told(tmp_path, ("pipeline: speech", "pipeline: talk")) == [
        "speech: the pipeline is gone, with its 2 alerts",
        "talk: the pipeline is new, with 2 alerts",
    ]
    found = of_alerts(told(tmp_path, ("owner:", "scrape_interval: 30s\nselect: {namespace: prod}\nowner:")))
    assert "rules: evaluated every 30s (was 15s)" in found
    assert "rules: select is namespace=prod (was nothing)" in found

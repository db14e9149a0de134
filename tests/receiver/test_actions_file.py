"""The file of actions: what it says, and what is told of a wrong one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from notifications import firing, told

from pipemon.cli import cli
from pipemon.errors import SpecError
from pipemon.receiver.actions import Action, Asked, asked_for, place
from pipemon.receiver.actions_file import read_actions
from pipemon.spec.load import load


def written(folder: Path, text: str) -> Path:
    path = folder / "actions.yaml"
    path.write_text(text)
    return path


def test_an_action_of_a_stage_is_a_command_or_a_url(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """\
speech:
  rollback:
    vad: {command: [kubectl, rollout, undo, deployment/vad], timeout: 5m, every: 2h, by: cluster}
  retrain:
    asr: {url: "https://ci.example/retrain", token_file: /run/secrets/ci}
""",
    )
    assert read_actions(path) == {
        Asked("speech", "rollback", "vad"): Action(
            ("kubectl", "rollout", "undo", "deployment/vad"), timeout=300.0, every=7200.0, by=("cluster",)
        ),
        Asked("speech", "retrain", "asr"): Action(
            url="https://ci.example/retrain", token_file=Path("/run/secrets/ci"), attempts=3
        ),
    }


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("speech: {rolback: {vad: {command: [x]}}}", 1, "no action 'rolback'; did you mean 'rollback'?"),
        ("speech: {rollback: {vad: {command: kubectl}}}", 1, "a list of words, such as [kubectl, get]"),
        ("speech: {rollback: {vad: {command: []}}}", 1, "found an empty list"),
        ("speech: {rollback: {vad: {url: ci.example}}}", 1, "'ci.example' is no URL; write https://host/path"),
        ("speech: {rollback: {vad: {command: [x], url: 'http://a'}}}", 1, "`command:` or `url:`, not both"),
        ("speech: {rollback: {vad: {command: [x], token_file: t}}}", 1, "token_file is for a url"),
        ("speech: {rollback: {vad: {command: [x], attempts: 0}}}", 1, "expected 1 to 20, found the number 0"),
        ("speech: {rollback: {vad: {command: [x], timeout: 5}}}", 1, "expected a duration with its unit"),
        ("speech: {rollback: {vad: {comand: [x]}}}", 1, "unknown key 'comand'; did you mean 'command'?"),
        ("speech:\n  rollback:\n    vad: undo", 3, "expected `command:` or `url:`, found the text 'undo'"),
        ("speech:\n  rollback: {}", 2, "expected a mapping, found an empty mapping"),
        ("- speech", 1, "expected a mapping of pipelines to their actions, found a list"),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_actions(written(tmp_path, text))
    assert [problem.line for problem in caught.value.problems if message in problem.message] == [line]


def test_only_what_a_rule_of_ours_asks_for_is_asked() -> None:
    (ours, foreign, none, other) = told(
        firing(),
        {"status": "firing", "labels": {"pipeline": "speech"}, "annotations": {"then": "rollback vad"}},
        firing(then=""),
        firing(then="reboot vad"),
    ).alerts
    assert asked_for(ours) == Asked("speech", "rollback", "vad")
    assert asked_for(foreign) is None
    assert asked_for(none) is None
    assert asked_for(other) is None


def test_places_are_told_apart_by_the_labels_that_the_file_names() -> None:
    alert = told(firing(cluster="eu", zone="a")).alerts[0]
    asked = Asked("speech", "rollback", "vad")
    assert place(asked, Action(), alert) == "speech/vad"
    assert place(asked, Action(by=("cluster", "room")), alert) == "speech/vad/eu/"


def test_the_example_s_file_rolls_its_stages_back(tmp_path: Path) -> None:
    example = Path(__file__).resolve().parents[2] / "examples" / "speech"
    actions = read_actions(example / "actions.yaml")
    modes = load(example / "failure_modes.yaml").measurable
    asked = {Asked("speech", mode.then.name, mode.then.stage) for mode in modes if mode.then}
    assert {each for each in asked if each.name == "rollback"} == set(actions)
    for action in actions.values():
        (tmp_path / "control.json").write_text('{"fault": "slow", "strength": 2.0}')
        command = [sys.executable, str(example / action.command[1]), *action.command[2:]]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        assert json.loads((tmp_path / "control.json").read_text())["fault"] is None


def test_what_is_asked_for_and_what_the_file_knows_are_compared(tmp_path: Path) -> None:
    spec = tmp_path / "speech.yaml"
    spec.write_text(
        """\
pipeline: speech
stages: {vad: {}, asr: {after: vad}}
failure_modes:
  cuts: {what: It cuts, stage: vad, signal: null_ratio, then: {rollback: vad}}
  drifts: {what: It drifts, stage: asr, signal: null_ratio, then: {retrain: asr}}
"""
    )
    how = "{command: [x]}"
    known = f"speech: {{rollback: {{vad: {how}, asr: {how}}}}}\nother: {{retrain: {{a: {how}}}}}"
    path = written(tmp_path, known)
    ended = CliRunner().invoke(cli, ["check", str(spec), "--actions", str(path)])
    assert ended.exit_code == 1
    assert [line.strip() for line in ended.output.splitlines() if "actions.yaml" in line] == [
        f"drifts: asks to retrain asr, and {path} does not say how that is done",
        f"{path}: no failure mode of speech asks to rollback asr",
    ]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (
            "{command: [x]}",
            "rollback vad is done once in 1h whatever the cluster; where each has its own, say by: [cluster]",
        ),
        ("{command: [x], by: [cluster]}", ""),
    ],
)
def test_a_rollback_that_one_cluster_would_keep_from_another_is_told(tmp_path: Path, how: str, told: str) -> None:
    spec = tmp_path / "speech.yaml"
    spec.write_text(
        """\
pipeline: speech
keep: [cluster]
stages: {vad: {}}
failure_modes:
  cuts: {what: It cuts, stage: vad, signal: null_ratio, then: {rollback: vad}}
"""
    )
    path = written(tmp_path, f"speech: {{rollback: {{vad: {how}}}}}")
    ended = CliRunner().invoke(cli, ["check", str(spec), "--actions", str(path)])
    assert ended.exit_code == 0
    assert [line.partition(": ")[2] for line in ended.output.splitlines() if "actions.yaml" in line] == [told][
        : bool(told)
    ]

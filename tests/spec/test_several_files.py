"""A team writes its failure modes in as many files as it likes: those of one pipeline are one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipemon.errors import SpecError
from pipemon.spec.load import load, load_all, load_each

CASCADE = """\
pipeline: speech
owner: speech-team
stages:
  vad: {budget: 50ms}
  asr: {after: vad}
"""
SOFTWARE = """\
pipeline: speech
defaults: {owner: platform, severity: page}
failure_modes:
  vad-fails: {what: The VAD raises, stage: vad, signal: error_ratio}
"""
QUALITY = """\
pipeline: speech
failure_modes:
  vad-cuts: {what: The VAD returns nothing, stage: vad, signal: null_ratio, severity: ticket, leads_to: vad-fails}
"""
VISION = "pipeline: vision\nstages: {crop: {}}\nfailure_modes: {dark: {what: The lamps are off}}\n"


def written(folder: Path, **texts: str) -> tuple[Path, ...]:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return tuple(folder / f"{name}.yaml" for name in texts)


def told(folder: Path, **texts: str) -> list[str]:
    with pytest.raises(SpecError) as refused:
        load_all(written(folder, **texts))
    return [str(problem).replace(f"{folder}/", "") for problem in refused.value.problems]


def test_files_of_one_pipeline_are_one_spec_in_the_order_given(tmp_path: Path) -> None:
    (spec,) = load_all(written(tmp_path, cascade=CASCADE, software=SOFTWARE, quality=QUALITY))
    assert [mode.name for mode in spec.failure_modes] == ["vad-fails", "vad-cuts"]
    assert [stage.name for stage in spec.stages] == ["vad", "asr"]
    assert spec.source == "cascade.yaml, software.yaml, quality.yaml"
    assert [Path(file).name for file in spec.files] == ["cascade.yaml", "software.yaml", "quality.yaml"]


def test_defaults_are_those_of_their_own_file(tmp_path: Path) -> None:
    (spec,) = load_all(written(tmp_path, cascade=CASCADE, software=SOFTWARE, quality=QUALITY))
    assert [(mode.owner, mode.severity) for mode in spec.failure_modes] == [
        ("platform", "page"),
        ("speech-team", "ticket"),
    ]


def test_the_same_said_in_two_files_is_no_fault(tmp_path: Path) -> None:
    (spec,) = load_all(written(tmp_path, cascade=CASCADE, quality=QUALITY + "owner: speech-team\n", software=SOFTWARE))
    assert spec.owner == "speech-team"


def test_a_name_in_two_files_is_told_with_both_places(tmp_path: Path) -> None:
    again = SOFTWARE + "stages:\n  vad: {}\n"
    assert told(tmp_path, cascade=CASCADE, software=SOFTWARE, again=again) == [
        "again.yaml:4:3: failure_modes: 'vad-fails' is here twice; first at software.yaml:4:3 [duplicate]",
        "again.yaml:6:3: stages: 'vad' is here twice; first at cascade.yaml:4:3 [duplicate]",
    ]


def test_a_setting_that_differs_between_files_is_told_with_both_places(tmp_path: Path) -> None:
    assert told(tmp_path, cascade=CASCADE, software=SOFTWARE, quality=QUALITY + "owner: others\n") == [
        "quality.yaml:4:1: 'owner' is said already, and differently, at cascade.yaml:2:8; say it once [duplicate]",
    ]


def test_faults_of_all_files_are_told_each_in_its_own_file(tmp_path: Path) -> None:
    faults = told(
        tmp_path,
        cascade=CASCADE.replace("50ms", "50"),
        software=SOFTWARE.replace("stage: vad", "stage: vat").replace("platform", "[]"),
        quality=QUALITY.replace("leads_to: vad-fails", "leads_to: vad-falls"),
    )
    assert [fault.split(": ")[0] for fault in faults] == [
        "cascade.yaml:4:17",
        "quality.yaml:3:105",
        "software.yaml:2:19",
        "software.yaml:4:44",
    ]


def test_a_circle_of_causes_through_two_files_is_told(tmp_path: Path) -> None:
    circle = SOFTWARE.replace("error_ratio}", "error_ratio, leads_to: vad-cuts}")
    assert told(tmp_path, cascade=CASCADE, software=circle, quality=QUALITY) == [
        "software.yaml:4:80: leads_to goes in a circle: vad-fails to vad-cuts to vad-fails; "
        "each would silence the next [cycle]"
    ]


def test_a_file_that_is_no_yaml_is_told_beside_the_faults_of_the_others(tmp_path: Path) -> None:
    paths = written(tmp_path, vision=VISION.replace("what", "waht"), broken="a: [", good=VISION.replace("vision", "x"))
    specs, problems = load_each(paths)
    assert [spec.pipeline for spec in specs] == ["x"]
    assert {problem.rule for problem in problems} == {"not-yaml", "unknown-key", "missing"}


def test_pipelines_beside_each_other_stay_apart(tmp_path: Path) -> None:
    paths = written(tmp_path, cascade=CASCADE, vision=VISION, quality=QUALITY.replace("leads_to: vad-fails", ""))
    assert [spec.pipeline for spec in load_all(paths)] == ["speech", "vision"]


def test_a_folder_stands_for_its_yaml_files(tmp_path: Path) -> None:
    written(tmp_path, cascade=CASCADE, software=SOFTWARE)
    (tmp_path / "speech.baseline.json").write_text("{}")
    (spec,) = load_all([tmp_path])
    assert spec == load(tmp_path)
    assert len(spec.failure_modes) == 1


def test_the_baseline_and_the_code_are_beside_the_file_that_names_them(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "beside_inner.py").write_text(
        "import pipemon\nspeech = pipemon.Pipeline('speech')\n@speech.stage('vad')\ndef vad(a): ...\n"
    )
    written(tmp_path, modes=SOFTWARE)
    written(inner, cascade="pipeline: speech\ncode: beside_inner:speech\n")
    (spec,) = load_all([tmp_path / "modes.yaml", inner / "cascade.yaml"])
    assert [stage.name for stage in spec.stages] == ["vad"]


def test_what_begins_with_x_only_holds_anchors(tmp_path: Path) -> None:
    (spec,) = load_all(
        written(
            tmp_path,
            vision="x-lamps: &lamps {stage: crop, signal: null_ratio}\npipeline: vision\nstages: {crop: {}}\n"
            "failure_modes:\n  dark: {<<: *lamps, what: The lamps are off}\n",
        )
    )
    assert spec.failure_modes[0].stage == "crop"

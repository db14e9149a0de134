"""A failure-mode file that is wrong: told where, with the nearest valid word, and nothing is written."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from command_line import pipemon, snapshot

GOOD = """\
pipeline: speech
budget: 500ms
stages:
  vad: {budget: 50ms}
  asr: {after: vad, budget: 300ms}
failure_modes:
  vad-cuts-everything:
    what: The VAD returns nothing
    stage: vad
    signal: null_ratio
    above: 5%
"""

BAD = {
    "an unknown key": ("stage: vad", "stagee: vad", "9:5", "did you mean 'stage'?"),
    "an unknown stage": ("stage: vad", "stage: vat", "9:12", "did you mean 'vad'?"),
    "an unknown signal": ("null_ratio", "null_ration", "10:13", "did you mean 'null_ratio'?"),
    "a wrong unit": ("above: 5%", "above: 5ms", "11:12", "expected a share such as 5% or 0.05, found '5ms'"),
    "a duplicate name": (
        "    above: 5%\n",
        "    above: 5%\n  vad-cuts-everything: {what: again}\n",
        "12:3",
        "'vad-cuts-everything'",
    ),
    "a cycle in after": ("vad: {budget", "vad: {after: asr, budget", "4:16", "asr"),
    "no YAML at all": ("pipeline: speech", "pipeline: [speech", "", ""),
    "an empty file": (GOOD, "", "1:1", ""),
}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("earlier")
    (folder / "speech.yaml").write_text(GOOD)
    assert pipemon("generate", "speech.yaml", cwd=folder).code == 0
    return folder


@pytest.fixture
def here(generated: Path, tmp_path: Path) -> Path:
    """A folder with an earlier generation of the good file."""
    return Path(shutil.copytree(generated, tmp_path / "here"))


@pytest.mark.parametrize("case", BAD)
def test_each_fault_is_told_with_its_place_and_leaves_the_output_as_it_was(here: Path, case: str) -> None:
    good, bad, place, hint = BAD[case]
    assert good in GOOD
    (here / "speech.yaml").write_text(GOOD.replace(good, bad, 1))
    before = snapshot(here / "monitoring")
    told = pipemon("generate", "speech.yaml", cwd=here)
    assert (told.code, told.out) == (2, "")
    first, *_ = told.err.splitlines()
    assert first.startswith(f"speech.yaml:{place}"), told.err
    _, line, column, message = first.split(":", 3)
    assert line.isdecimal()
    assert column.isdecimal()
    assert hint in message
    assert "Traceback" not in told.err
    assert snapshot(here / "monitoring") == before


def test_no_output_folder_is_made_for_a_wrong_file(tmp_path: Path) -> None:
    (tmp_path / "speech.yaml").write_text(GOOD.replace("5%", "5ms"))
    assert pipemon("generate", "speech.yaml", cwd=tmp_path).code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["speech.yaml"]


def test_one_wrong_file_among_several_keeps_all_from_being_written(tmp_path: Path) -> None:
    (tmp_path / "speech.yaml").write_text(GOOD)
    (tmp_path / "vision.yaml").write_text(GOOD.replace("speech", "vision", 1).replace("5%", "5ms"))
    told = pipemon("generate", "speech.yaml", "vision.yaml", cwd=tmp_path)
    assert told.code == 2
    assert told.err.startswith("vision.yaml:11:12: ")
    assert not (tmp_path / "monitoring").exists()


def test_all_faults_of_all_files_are_told_at_once_by_check(tmp_path: Path) -> None:
    (tmp_path / "speech.yaml").write_text(GOOD.replace("5%", "5ms").replace("stage: vad", "stage: vat"))
    (tmp_path / "vision.yaml").write_text(GOOD.replace("speech", "vision", 1).replace("null_ratio", "nul_ratio"))
    told = pipemon("check", "speech.yaml", "vision.yaml", cwd=tmp_path)
    assert told.code == 2
    places = [line.split(": ")[0] for line in told.err.splitlines() if not line.startswith("  ")]
    assert places == ["speech.yaml:9:12", "speech.yaml:11:12", "vision.yaml:10:13"]


def test_the_source_line_stands_under_each_fault_with_a_caret_under_the_word(tmp_path: Path) -> None:
    (tmp_path / "speech.yaml").write_text(GOOD.replace("5%", "5ms").replace("stage: vad", "stage: vat"))
    told = pipemon("check", "speech.yaml", cwd=tmp_path)
    assert told.err.splitlines() == [
        "speech.yaml:9:12: vad-cuts-everything: there is no stage 'vat'; did you mean 'vad'? [unknown-stage]",
        "      stage: vat",
        "             ^~~",
        "speech.yaml:11:12: vad-cuts-everything: above: expected a share such as 5% or 0.05, found '5ms' [unit]",
        "      above: 5ms",
        "             ^~~",
    ]


@pytest.mark.parametrize("command", ["check", "generate"])
def test_a_file_that_is_not_there_is_told_by_its_name(tmp_path: Path, command: str) -> None:
    told = pipemon(command, "speach.yaml", cwd=tmp_path)
    assert (told.code, told.out) == (2, "")
    assert told.err.startswith("speach.yaml:1:1: ")
    assert len(told.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_yaml_file_is_told_to_have_none(tmp_path: Path) -> None:
    told = pipemon("check", str(tmp_path))
    assert (told.code, told.err) == (2, f"{tmp_path}:1:1: there is no *.yaml or *.yml in this folder [file]\n")


def test_every_wrong_file_that_there_is_ends_in_lines_that_name_file_line_column_and_rule() -> None:
    files = sorted(map(str, (Path(__file__).parents[1] / "spec" / "bad").glob("*.yaml")))
    told = pipemon("check", *files)
    assert (told.code, told.out) == (2, "")
    # A source line and its caret stand two spaces in.
    lines = [line for line in told.err.split("\n") if line and not line.startswith("  ")]
    assert len(lines) >= len(files)
    assert [line for line in lines if not re.fullmatch(r"\S+\.(yaml|json):\d+:\d+: \S.* \[[a-z-]+\]", line)] == []


def test_a_baseline_from_a_wrong_file_is_refused_before_prometheus_is_asked(tmp_path: Path) -> None:
    (tmp_path / "speech.yaml").write_text(GOOD.replace("5%", "5ms"))
    told = pipemon("baseline", "speech.yaml", "--url", "http://127.0.0.1:1", "--over", "30m", cwd=tmp_path)
    assert told.code == 2
    assert told.err.startswith("speech.yaml:11:12: ")

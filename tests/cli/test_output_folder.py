"""What `pipemon generate` does to the output folder: only what differs is written, all of it or nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from command_line import pipemon, snapshot

SPEC = """\
pipeline: speech
stages: {vad: {}}
failure_modes:
  vad-fails: {what: The VAD raises, stage: vad, signal: error_ratio, above: 5%}
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "speech.yaml").write_text(SPEC)
    return tmp_path


def test_a_second_run_writes_nothing_and_a_changed_threshold_only_what_it_is_in(here: Path) -> None:
    first = pipemon("generate", "speech.yaml", cwd=here)
    written = [line for line in first.out.splitlines() if line.startswith("wrote ")]
    before = snapshot(here / "monitoring")
    assert len(written) == len(before)
    second = pipemon("generate", "speech.yaml", cwd=here)
    assert (second.code, "wrote " in second.out) == (0, False)
    assert snapshot(here / "monitoring") == before
    (here / "speech.yaml").write_text(SPEC.replace("5%", "7%"))
    pipemon("generate", "speech.yaml", cwd=here)
    after = snapshot(here / "monitoring")
    changed = {name for name in after if after[name] != before[name]}
    rules = {"rules/speech.rules.yml", "rules/tests/speech.tests.yml"}
    assert changed == rules | {"grafana/dashboards/speech.json", "runbooks/speech.md"}


def test_what_others_put_beside_the_generated_files_stays(here: Path) -> None:
    (here / "monitoring" / "rules").mkdir(parents=True)
    (here / "monitoring" / "rules" / "own.rules.yml").write_text("groups: []\n")
    pipemon("generate", "speech.yaml", cwd=here)
    assert (here / "monitoring" / "rules" / "own.rules.yml").read_text() == "groups: []\n"


def block(here: Path, how: str) -> None:
    folder = here / "monitoring"
    match how:
        case "a file where a folder has to be":
            folder.mkdir()
            (folder / "grafana").write_text("a file")
        case "a folder where a file has to be":
            (folder / "prometheus.yml").mkdir(parents=True)
        case "a read-only folder":
            folder.mkdir()
            folder.chmod(0o500)


# Root may write into a read-only folder.
BLOCKS = ["a file where a folder has to be", "a folder where a file has to be"]
BLOCKS += ["a read-only folder"] if os.geteuid() else []


@pytest.mark.parametrize("how", BLOCKS)
def test_an_output_folder_that_cannot_be_written_is_told_in_one_sentence_and_left_as_it_was(
    here: Path, how: str
) -> None:
    block(here, how)
    before = snapshot(here / "monitoring")
    told = pipemon("generate", "speech.yaml", cwd=here)
    assert (told.code, told.out) == (1, "")
    assert told.err.startswith("pipemon: cannot write monitoring")
    assert len(told.err.splitlines()) == 1
    assert snapshot(here / "monitoring") == before


@pytest.mark.parametrize("command", ["init", "generate"])
def test_a_file_that_cannot_be_written_is_told_in_one_sentence(here: Path, command: str) -> None:
    (here / "shop.py").write_text("import pipemon\nshop = pipemon.Pipeline('shop')\n")
    (here / "occupied").write_text("a file")
    source = "shop:shop" if command == "init" else "speech.yaml"
    told = pipemon(command, source, "--out", "occupied/made", cwd=here)
    assert (told.code, told.out) == (1, "")
    assert told.err.startswith("pipemon: cannot write occupied")
    assert told.err.endswith(": not a directory\n")
    assert len(told.err.splitlines()) == 1

"""Files with lines and words lost, moved and replaced: refused in words, or generated whole; never anything else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.malformed import MARK, ROOT, STRANGE, mutated, outcome, run
from pipemon.generate.rules import rules
from pipemon.spec.load import RESERVED_OF_TARGETS, load


def test_some_of_the_ten_thousand_end_as_they_must() -> None:
    ends, hurt = run(120, seed=1)
    assert [trace for _, trace in hurt] == []
    assert ends["refused"] > 30
    assert ends["generated"] > 5


@pytest.mark.parametrize("text", [each for each in STRANGE if MARK in each])
def test_a_text_that_means_to_break_out_does_not(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(
        f"pipeline: x\nowner: {text}\nstages: {{v: {{features: {{output.l: {text}}}}}}}\n"
        f"failure_modes:\n  a: {{what: b, stage: v, signal: null_ratio}}\n"
        f"  c:\n    what: {text}\n    do: {text}\n    stage: v\n    signal: {{mean: output.l}}\n    above: 3\n"
    )
    assert outcome(tmp_path / "a.yaml", tmp_path / "out") in ("refused", "generated")


def test_the_same_seed_draws_the_same_files() -> None:
    assert mutated(random.Random(3), "a: b\nc: d\n") == mutated(random.Random(3), "a: b\nc: d\n")


@pytest.mark.parametrize("file", ["drifting", "shifting", "undecorated"])
def test_no_label_of_a_target_can_be_one_of_a_recorded_series(file: str) -> None:
    spec = load(ROOT / "tests" / "generate" / f"{file}.yaml")
    theirs = {label for stage in spec.stages for own in stage.series for label, *_ in (*own.matchers, *own.by_track)}
    ours = {label for each in rules(spec).recordings for label in (*each.labels, *dict(each.static))}
    assert ours - theirs - set(spec.keep) <= RESERVED_OF_TARGETS

"""A new model version brings a new baseline, while the old one still serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipemon.spec.baseline import Baseline, FeatureBaseline, dump
from pipemon.spec.load import load

SPEC = """\
pipeline: speech
stages: {vad: {features: {output.segments: segments}}}
baseline: [new.json, old.json]
failure_modes:
  fewer: {what: Fewer segments, stage: vad, signal: {mean: output.segments}, changes_by: 2 sd}
"""


def baseline(mean: float, version: str) -> Baseline:
    return Baseline("speech", 0, 0, {"vad.output.segments": FeatureBaseline(mean, 1, 100)}, version)


def folder_of(tmp_path: Path, **baselines: Baseline) -> Path:
    (tmp_path / "speech.yaml").write_text(SPEC)
    for name, one in baselines.items():
        (tmp_path / f"{name}.json").write_text(dump(one))
    return tmp_path / "speech.yaml"


def test_all_are_known_and_thresholds_are_around_the_first(tmp_path: Path) -> None:
    new, old = baseline(7, "2"), baseline(3, "1")
    spec = load(folder_of(tmp_path, new=new, old=old))
    assert spec.baselines == (new, old)
    assert spec.baseline == "new.json"
    (condition,) = spec.failure_modes[0].conditions
    assert condition.threshold is not None
    assert (condition.threshold.low, condition.threshold.high) == (5, 9)


def test_one_that_is_not_there_yet_leaves_the_other(tmp_path: Path) -> None:
    spec = load(folder_of(tmp_path, old=baseline(3, "1")))
    assert [one.version for one in spec.baselines] == ["1"]
    assert not spec.failure_modes[0].waiting


def test_where_none_is_there_failure_modes_wait(tmp_path: Path) -> None:
    (mode,) = load(folder_of(tmp_path)).failure_modes
    assert "new.json or old.json is not there yet" in mode.waiting


CODE = """\
from prometheus_client import CollectorRegistry
import pipemon
from pipemon.features import length
speech = pipemon.Pipeline("speech", baseline="learned.json", registry=CollectorRegistry())
@speech.stage("vad", output=length("segments"))
def find(audio): return audio
"""


@pytest.mark.parametrize("where", ["beside", "here"])
def test_the_one_that_the_code_gives_to_its_pipeline_need_not_be_named_again(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for folder in ("beside", "here"):
        (tmp_path / folder).mkdir()
    module = f"code_with_a_baseline_{where}"
    (tmp_path / f"{module}.py").write_text(CODE)
    file = tmp_path / "beside" / "speech.yaml"
    file.write_text(
        SPEC.replace("stages: {vad: {features: {output.segments: segments}}}\nbaseline: [new.json, old.json]", "")
        + f"code: {module}:speech\n"
    )
    monkeypatch.chdir(tmp_path / "here")
    assert "learned.json is not there yet" in load(file).failure_modes[0].waiting
    assert not caplog.records
    (tmp_path / where / "learned.json").write_text(dump(baseline(7, "0")))
    spec = load(file)
    assert (spec.baseline, [one.version for one in spec.baselines]) == ("learned.json", ["0"])
    assert not spec.failure_modes[0].waiting
    file.write_text(file.read_text() + "baseline: other.json\n")
    assert "other.json is not there yet" in load(file).failure_modes[0].waiting

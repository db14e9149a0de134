"""The service reads the budgets and bounds that the generator wrote, and lives without them."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from pipemon import DeclarationError, Feature, Pipeline
from pipemon.features import level_dbfs
from pipemon.instrument.bounds_file import BoundsFile, StageBounds, read_bounds_file
from pipemon.topology import being_described

FILE = {
    "pipeline": "speech",
    "budget": 0.5,
    "durations": [0.35, 0.5],
    "stages": {
        "vad": {"budget": 0.05, "durations": [0.05], "features": {"input.level_dbfs": [-60, -20.5]}},
        "asr": {"budget": None, "durations": [], "features": {}},
    },
}


def written(folder: Path, document: object) -> Path:
    path = folder / "speech.bounds.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def test_the_budgets_and_bounds_are_those_of_the_file(tmp_path: Path) -> None:
    found = read_bounds_file(written(tmp_path, FILE), "speech")
    assert (found.budget, found.durations) == (0.5, (0.35, 0.5))
    assert found.stage("vad") == StageBounds(0.05, (0.05,), {"input.level_dbfs": (-60.0, -20.5)})
    assert found.stage("asr") == found.stage("not in the file") == StageBounds()


def test_no_path_is_no_bounds() -> None:
    assert read_bounds_file(None, "speech") == BoundsFile()


def test_code_that_is_only_described_reads_no_file_of_yesterday(tmp_path: Path) -> None:
    token = being_described.set(True)
    try:
        assert read_bounds_file(written(tmp_path, FILE), "speech") == BoundsFile()
    finally:
        being_described.reset(token)


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "[" * 100_000,
        "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"),
        [],
        {},
        {**FILE, "pipeline": "video"},
        {**FILE, "budget": "500ms"},
        {**FILE, "budget": True},
        {**FILE, "budget": -1},
        {**FILE, "durations": [2, 1]},
        {**FILE, "durations": ["a"]},
        {**FILE, "stages": [1]},
        {**FILE, "stages": {"vad": {}}},
        {**FILE, "stages": {"vad": {"budget": 1, "durations": [], "features": {"input.x": [1, 1]}}}},
    ],
    ids=lambda document: str(document)[-60:],
)
def test_a_file_that_says_anything_else_is_logged_once_and_nothing_of_it_used(
    document: object, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, document)
    with caplog.at_level(logging.WARNING, logger="pipemon"):
        assert read_bounds_file(path, "speech") == read_bounds_file(path, "speech") == BoundsFile()
    assert [record.getMessage().startswith(f"bounds {path} are not used: ") for record in caplog.records] == [True]


def test_a_missing_file_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_bounds_file(tmp_path / "none.json", "speech") == BoundsFile()
    assert "FileNotFoundError" in caplog.text


def test_a_pipeline_takes_budgets_and_bounds_from_the_file(tmp_path: Path, registry: CollectorRegistry) -> None:
    path = written(tmp_path, FILE)
    speech = Pipeline("speech", registry=registry, spec=path)
    speech.stage("vad", inputs={"audio": level_dbfs()})(lambda audio: audio)
    speech.stage("vaad", inputs={"audio": level_dbfs()})(lambda audio: audio)
    vad, vaad = speech.describe().stages
    assert (speech.budget, vad.budget, vaad.budget) == (0.5, 0.05, None)
    assert {0.35, 0.5} <= set(speech.describe().duration_bounds)
    assert 0.05 in vad.duration_bounds
    # The file's feature is `level_dbfs`, this one is `audio_level_dbfs`.
    assert -20.5 not in vad.features[0].bounds
    other = Pipeline("speech", budget="500ms", registry=CollectorRegistry(), spec=path)
    feature = Feature("level_dbfs", len, unit="dBFS")
    other.stage("vad", inputs={"audio": feature}, budget="50ms")(lambda audio: audio)
    assert -20.5 in other.describe().stages[0].features[0].bounds


def test_a_budget_in_code_that_differs_from_the_files_is_refused(tmp_path: Path, registry: CollectorRegistry) -> None:
    path = written(tmp_path, FILE)
    with pytest.raises(DeclarationError, match=r"'speech': budget: 600ms in the code, 500ms in the bounds file; run"):
        Pipeline("speech", budget="600ms", registry=registry, spec=path)
    speech = Pipeline("speech", registry=registry, spec=path)
    with pytest.raises(DeclarationError, match=r"stage 'vad': budget: 60ms in the code, 50ms in the bounds file"):
        speech.stage("vad", budget="60ms")(lambda: 1)


def test_a_number_is_no_file_and_whose_it_is_stays_open(registry: CollectorRegistry) -> None:
    reading, writing = os.pipe()
    Pipeline("speech", spec=reading, baseline=reading, registry=registry)  # type: ignore[arg-type]
    os.close(reading)
    os.close(writing)

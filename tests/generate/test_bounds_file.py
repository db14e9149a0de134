"""Thresholds become bucket bounds: the generator writes them, and the service reads the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from prometheus_client import CollectorRegistry

from pipemon import Pipeline
from pipemon.generate.bounds_file import bounds_file, interpolated
from pipemon.instrument.bounds_file import StageBounds, read_bounds_file
from pipemon.spec.latency import BoundShare, bound_share
from pipemon.spec.load import load

EVERY_SIGNAL = Path(__file__).with_name("every_signal.yaml")


def test_the_service_reads_what_the_generator_writes(tmp_path: Path) -> None:
    (tmp_path / "speech.bounds.json").write_text(bounds_file(load(EVERY_SIGNAL)), encoding="utf-8")
    found = read_bounds_file(tmp_path / "speech.bounds.json", "speech")
    assert (found.budget, found.durations) == (0.5, (0.5,))
    assert found.stage("asr") == StageBounds(0.3, (0.12, 0.3), {"output.confidence": (0.4, 0.98)})
    assert found.stage("punctuate") == StageBounds()


def test_a_threshold_that_moves_with_the_baseline_is_no_bound() -> None:
    spec = load(EVERY_SIGNAL)

    def learned(learned: bool) -> object:
        modes = tuple(
            replace(mode, conditions=tuple(
                replace(each, threshold=replace(each.threshold, learned=learned)) if each.threshold else each
                for each in mode.conditions
            ))
            for mode in spec.failure_modes
        )  # fmt: skip
        return json.loads(bounds_file(replace(spec, failure_modes=modes)))["stages"]["vad"]["features"]

    assert learned(False) == {"input.level_dbfs": [-60, -32, -20], "output.segments": [0.5, 40]}
    assert learned(True) == {}


def test_where_the_service_reads_the_file_each_latency_is_counted_at_its_own_bound() -> None:
    spec = load(EVERY_SIGNAL)
    (mode,) = [mode for mode in spec.failure_modes if mode.name == "sluggish-asr"]
    assert bound_share(spec, "asr", mode.conditions[0]) is None
    assert bound_share(replace(spec, reads_bounds=True), "asr", mode.conditions[0]) == BoundShare(0.12, 0.5)


def test_check_tells_which_latency_is_interpolated_and_the_line_that_mends_it() -> None:
    spec = load(EVERY_SIGNAL)
    (unknown,) = interpolated(spec)
    assert unknown.startswith("sluggish-asr: whether 120ms is a bucket bound of asr is not known without `code:`")
    (known,) = interpolated(replace(spec, code="app:speech"))
    assert known == (
        "sluggish-asr: 120ms is no bucket bound of asr, so p50 is interpolated; "
        'add spec="speech.bounds.json" to pipemon.Pipeline(...)'
    )
    assert interpolated(replace(spec, reads_bounds=True)) == []


def test_code_tells_whether_it_reads_the_file() -> None:
    for spec in (None, "shop.bounds.json"):
        shop = Pipeline("shop", version="1", registry=CollectorRegistry(), spec=spec)
        assert shop.describe().reads_bounds == (spec is not None)

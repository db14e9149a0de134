"""Training data through the decorated stages: what they see becomes the baseline."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

import pipemon
from pipemon.errors import OptionError
from pipemon.spec.baseline import load

DRAW = np.random.default_rng(11)
LEVELS = DRAW.normal(-28, 6, 3000)


def level_of(value: float) -> float:
    return value


def cascade(**more: Any) -> tuple[pipemon.Pipeline, Callable[[float | None], float]]:
    speech = pipemon.Pipeline("speech", "1.4", registry=CollectorRegistry(), **more)

    @speech.stage(
        "vad",
        inputs={"audio": pipemon.Feature("level", level_of, unit="dBFS")},
        output=[
            pipemon.Feature("own", abs, unit="dB", bounds=[10, 20, 30]),
            pipemon.Category("sign", lambda value: "low" if value < -28 else "high", categories=("low", "high")),
        ],
        version="7",
    )
    def find(audio: float | None) -> float:
        return 0.0 if audio is None else audio

    return speech, find


def test_each_feature_has_the_bins_shares_and_quantiles_of_what_the_stages_saw() -> None:
    speech, find = cascade()
    find(-100.0)  # before: not seen
    with pipemon.learning(speech) as learned:
        for level in LEVELS:
            find(float(level))
    find(-100.0)
    found = learned.baseline.features["vad.input.level"]
    assert found.count == 3000
    assert (found.mean, found.sd) == pytest.approx((LEVELS.mean(), LEVELS.std()), rel=1e-5)
    assert found.quantiles["p50"] == pytest.approx(np.median(LEVELS), rel=1e-5)
    assert found.unit == "dBFS"
    assert len(found.bounds) == 11
    true = np.histogram(LEVELS, [-np.inf, *np.nextafter(found.bounds, np.inf), np.inf])[0] / 3000
    assert found.shares == pytest.approx(true.tolist(), abs=1e-6)
    assert found.design_effect < 1.2


def test_the_codes_own_bounds_stay_and_categories_have_shares() -> None:
    speech, find = cascade()
    with pipemon.learning(speech) as learned:
        for level in (-40.0, -30.0, -20.0, None):
            find(level)
    features = learned.baseline.features
    assert features["vad.output.own"].bounds == (10, 20, 30)
    assert features["vad.output.own"].shares == (0.25, 0.25, 0.25, 0.25)
    assert features["vad.output.sign"].categories == {"low": 0.5, "high": 0.5, "other": 0}
    assert features["vad.input.level"].missing == 0.25


def test_it_says_what_it_was_made_of() -> None:
    speech, find = cascade()
    with pipemon.learning(speech, source="train-2026.wav") as learned:
        for level in LEVELS[:50]:
            find(float(level))
    found = learned.baseline
    assert (found.pipeline, found.version, found.stage_versions) == ("speech", "1.4", {"vad": "7"})
    assert (found.source, found.rows) == ("train-2026.wav", 50)
    assert found.version_of("vad") == "7"


def test_the_same_data_are_the_same_bytes_and_others_have_another_hash(tmp_path: Path) -> None:
    def saved(levels: list[float], most: int = 1000) -> bytes:
        speech, find = cascade()
        with pipemon.learning(speech, max_values=most) as learned:
            for level in levels:
                find(level)
        learned.save(tmp_path / "speech.baseline.json")
        return (tmp_path / "speech.baseline.json").read_bytes()

    first = saved(LEVELS.tolist())
    assert first == saved(LEVELS.tolist())
    assert json.loads(first)["data_hash"] != json.loads(saved(LEVELS[:-1].tolist()))["data_hash"]
    assert load(tmp_path / "speech.baseline.json").features["vad.input.level"].count == 1000
    assert [path.name for path in tmp_path.iterdir()] == ["speech.baseline.json"]


def test_the_runtime_sorts_by_the_bins_that_were_learned(tmp_path: Path) -> None:
    speech, find = cascade()
    with pipemon.learning(speech) as learned:
        for level in LEVELS:
            find(float(level))
    learned.save(tmp_path / "b.json")
    again, _ = cascade(baseline=tmp_path / "b.json")
    (level, own, _) = again.describe().stages[0].features
    assert level.bounds == learned.baseline.features["vad.input.level"].bounds
    assert own.bounds == (10, 20, 30)


def test_batches_streams_and_blocks_are_seen_too() -> None:
    speech = pipemon.Pipeline("speech", registry=CollectorRegistry())
    size = pipemon.Feature("size", float)

    @speech.stage("batch", output=size, batch=True)
    def double(items: list[float]) -> list[float]:
        return [2 * item for item in items]

    @speech.stage("stream", output=size)
    def count(upto: int) -> Iterator[int]:
        yield from range(upto)

    block = speech.stage("block", inputs={"x": size})
    with pipemon.learning(speech) as learned:
        double([1.0, 2.0, 3.0])
        list(count(4))
        with block.call(x=5.0):
            pass
    means = {name: feature.mean for name, feature in learned.baseline.features.items()}
    assert means == {"batch.output.size": 4.0, "stream.output.size": 1.5, "block.input.size": 5.0}


def test_many_threads_are_seen_whole() -> None:
    speech, find = cascade()

    def work() -> None:
        for level in LEVELS[:500]:
            find(float(level))

    with pipemon.learning(speech) as learned:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert learned.baseline.features["vad.input.level"].count == 2000


def test_where_nothing_was_called_it_says_so() -> None:
    speech, _ = cascade()
    with pipemon.learning(speech) as learned:
        pass
    with pytest.raises(OptionError, match="no stage of speech saw a value"):
        _ = learned.baseline


def test_a_feature_that_is_the_machines_is_left_out_and_one_that_there_is_not_is_refused() -> None:
    speech, find = cascade()
    with pipemon.learning(speech, without=("vad.input.level",)) as learned:
        find(-20.0)
    assert set(learned.baseline.features) == {"vad.output.own", "vad.output.sign"}
    with (
        pytest.raises(OptionError, match=r"no feature 'vad.input.levle' .* did you mean 'vad.input.level'"),
        pipemon.learning(speech, without=("vad.input.levle",)),
    ):
        pass


def test_while_disabled_nothing_is_learned_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPEMON_DISABLED", "1")
    speech, _ = cascade()
    with pytest.raises(OptionError, match="PIPEMON_DISABLED"), pipemon.learning(speech):
        pass


def test_an_exception_of_the_training_code_passes_and_ends_the_watching() -> None:
    speech, find = cascade()
    learned = pipemon.learning(speech)
    seen = learned.__enter__()
    find(-20.0)
    assert not learned.__exit__(KeyError, KeyError(), None)
    find(-30.0)
    assert seen.baseline.features["vad.input.level"].count == 1

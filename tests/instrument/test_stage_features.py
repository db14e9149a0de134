# mypy: disable-error-code="no-untyped-call"
"""Numbers taken from a stage's inputs and outputs."""

from __future__ import annotations

import gc
import json
import logging
import math
import re
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from pipemon import Feature, Pipeline
from pipemon.features import audio_seconds, length, words
from pipemon.instrument import wrapping
from pipemon.instrument.recorder import Recorder
from pipemon.instrument.sampling import Look, sampled

Read = Callable[..., float | None]


def itself(name: str = "score", **options: object) -> Feature:
    return Feature(name, lambda number: number, **options)  # type: ignore[arg-type]


def counts(read: Read, feature: str) -> tuple[float | None, ...]:
    """(observed, missing, in the histogram, extractor errors)."""
    return (
        read("pipemon_feature_observed_total", feature=feature),
        read("pipemon_feature_missing_total", feature=feature),
        read("pipemon_feature_value_bucket", le="+Inf", feature=feature),
        read("pipemon_extractor_errors_total", feature=feature),
    )


def test_an_input_is_named_after_its_parameter_and_the_extractor(speech: Pipeline, read: Read) -> None:
    @speech.stage("vad", inputs={"audio": [audio_seconds(rate=2), length("samples"), len, itself("audio_score")]})
    def vad(audio: list[int]) -> int:
        return len(audio)

    shapes = {shape.name: shape.short for shape in speech.describe().stages[0].features}
    assert shapes == {
        "audio_seconds": "audio_seconds",
        "samples": "samples",
        "audio_len": "len",
        "audio_score": "audio_score",
    }


def test_an_output_has_the_extractors_name_with_or_without_a_list(speech: Pipeline, read: Read) -> None:
    one = speech.stage("one", output=words())(lambda: "hello world")
    two = speech.stage("two", output=[words(), length()])(lambda: "hello world")
    one()
    two()
    assert read("pipemon_feature_sum_total", stage="one", direction="output", feature="words", sign="positive") == 2
    assert read("pipemon_feature_sum_total", stage="two", direction="output", feature="words", sign="positive") == 2
    assert read("pipemon_feature_sum_total", stage="two", direction="output", feature="length", sign="positive") == 11


@pytest.mark.parametrize("given", ["positional", "keyword", "default"])
def test_a_parameter_is_found_however_the_call_gives_it(speech: Pipeline, read: Read, given: str) -> None:
    @speech.stage("vad", inputs={"rate": itself("rate")})
    def vad(audio: str, rate: int = 16, *more: int) -> str:
        return audio

    {"positional": lambda: vad("x", 16), "keyword": lambda: vad(audio="x", rate=16), "default": lambda: vad("x")}[
        given
    ]()
    assert read("pipemon_feature_sum_total", feature="rate", sign="positive") == 16


def test_a_keyword_of_a_function_that_takes_any_can_be_an_input(speech: Pipeline, read: Read) -> None:
    vad = speech.stage("vad", inputs={"rate": itself("rate")})(lambda **options: 1)
    vad(rate=16)
    vad()
    assert counts(read, "rate") == (2, 1, 1, 0)


MISSING = [None, math.nan, math.inf, -math.inf, "12", b"1", [], [1.0], np.array([1.0]), 10**400, 1e250, object(), 1j]


@pytest.mark.parametrize("number", MISSING, ids=lambda value: type(value).__name__)
def test_what_is_no_finite_number_is_missing_and_never_reaches_the_histogram(
    speech: Pipeline, read: Read, number: object
) -> None:
    vad = speech.stage("vad", inputs={"text": Feature("score", lambda _: number)})(lambda text: 1)
    vad("x")
    assert counts(read, "score") == (1, 1, 0, 0)
    assert read("pipemon_feature_value_bucket", feature="score", le="+Inf") == 0


@pytest.mark.parametrize(
    "number", [2, 2.0, True + True, np.float32(2), np.int64(2), np.array(2)], ids=lambda value: type(value).__name__
)
def test_numbers_of_every_kind_are_observed(speech: Pipeline, read: Read, number: object) -> None:
    vad = speech.stage("vad", output=itself())(lambda: number)
    vad()
    assert counts(read, "score") == (1, 0, 1, 0)
    assert read("pipemon_feature_sum_total", feature="score", sign="positive") == 2


def test_an_argument_of_none_is_missing_without_asking_the_extractor(speech: Pipeline, read: Read) -> None:
    vad = speech.stage("vad", inputs={"text": words()})(lambda text: 1)
    vad(None)
    assert counts(read, "text_words") == (1, 1, 0, 0)


def test_an_extractor_that_raises_is_counted_logged_once_and_disturbs_nothing(
    speech: Pipeline, read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> float:
        raise LookupError("no such key")

    @speech.stage("vad", inputs={"text": Feature("in", broken)}, output=[Feature("out", broken), length()])
    def vad(text: str) -> str:
        return text

    with caplog.at_level(logging.WARNING, logger="pipemon"):
        assert [vad("abc") for _ in range(3)] == ["abc"] * 3
    assert counts(read, "in") == (0, 0, 0, 3)
    assert counts(read, "out") == (0, 0, 0, 3)
    assert counts(read, "length") == (3, 0, 3, 0)
    assert [record.getMessage() for record in caplog.records] == [
        "stage vad: the extractor of input in raised",
        "stage vad: the extractor of output out raised",
    ]


def test_a_call_that_raises_has_inputs_but_no_outputs(speech: Pipeline, read: Read) -> None:
    @speech.stage("vad", inputs={"text": [length(), Feature("broken", lambda text: text.nothing)]}, output=words())
    def vad(text: str) -> str:
        raise ValueError(text)

    with pytest.raises(ValueError, match="abc"):
        vad("abc")
    assert counts(read, "text_length") == (1, 0, 1, 0)
    assert counts(read, "broken") == (0, 0, 0, 1)
    assert counts(read, "words") == (0, 0, 0, 0)


def test_a_result_of_none_has_no_outputs(speech: Pipeline, read: Read) -> None:
    speech.stage("vad", output=words())(lambda: None)()
    assert counts(read, "words") == (0, 0, 0, 0)


def test_extractors_run_when_the_stages_clock_has_stopped(
    speech: Pipeline, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [0.0]
    monkeypatch.setattr(wrapping, "perf_counter", lambda: seconds[0])

    def takes(time: float) -> Callable[[object], float]:
        def spend(text: object) -> float:
            seconds[0] += time
            return 1.0

        return spend

    vad = speech.stage("vad", inputs={"text": Feature("in", takes(100))}, output=Feature("out", takes(100)))(takes(2))
    assert vad("x") == 1
    assert read("pipemon_stage_duration_seconds_sum", stage="vad") == 2
    assert read("pipemon_feature_observed_total", feature="in") == 1


def test_signed_sums_give_the_mean_of_negative_values(speech: Pipeline, read: Read) -> None:
    level = speech.stage("vad", output=itself(unit="dBFS"))(lambda value: value)
    for value in (-30.0, -20.0, 5.0):
        level(value)
    positive = read("pipemon_feature_sum_total", feature="score", sign="positive")
    negative = read("pipemon_feature_sum_total", feature="score", sign="negative")
    assert (positive, negative) == (5.0, 50.0)


def test_inputs_and_outputs_are_not_kept_alive(speech: Pipeline) -> None:
    class Audio(list[int]):
        pass

    vad = speech.stage("vad", inputs={"audio": length()}, output=length())(lambda audio: Audio([*audio]))
    audio = Audio([1])
    result = vad(audio)
    references = [weakref.ref(audio), weakref.ref(result)]
    del audio, result
    gc.collect()
    assert [reference() for reference in references] == [None, None]


def buckets(registry: CollectorRegistry, feature: str) -> dict[str, float]:
    return {
        sample.labels["le"]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "pipemon_feature_value_bucket" and sample.labels["feature"] == feature
    }


def test_each_feature_of_the_one_family_has_bounds_of_its_own(speech: Pipeline, registry: CollectorRegistry) -> None:
    vad = speech.stage("vad", output=[itself("a", bounds=[0.5, 1]), itself("b", bounds=(-1, 0, 10_000_000))])(
        lambda value: value
    )
    for value in (0.5, 0.6, 1.0, 1.5):
        vad(value)
    assert buckets(registry, "a") == {"0.5": 1, "1.0": 3, "+Inf": 4}
    assert buckets(registry, "b") == {"-1.0": 0, "0.0": 0, "1e+07": 4, "+Inf": 4}
    text = generate_latest(registry).decode()
    assert 'pipemon_feature_value_bucket{direction="output",feature="a",le="0.5"' in text


def test_bounds_come_from_the_feature_else_the_baseline_else_the_unit(
    registry: CollectorRegistry, tmp_path: Path
) -> None:
    path = tmp_path / "speech.baseline.json"
    entries = {
        "vad.output.own": [7],
        "vad.output.learned": [1, 2, 3],
        "vad.input.by_unit": [9],
        "vad.output.bad": [2, 1],
    }
    path.write_text(json.dumps({"features": {key: {"bounds": value} for key, value in entries.items()}}))
    pipeline = Pipeline("speech", registry=registry, baseline=path)
    pipeline.stage(
        "vad",
        output=[itself("own", bounds=[5]), itself("learned"), itself("by_unit", unit="ratio"), itself("bad", unit="x")],
    )(lambda: 1)
    bounds = {shape.name: shape.bounds for shape in pipeline.describe().stages[0].features}
    assert bounds["own"] == (5.0,)
    assert bounds["learned"] == (1.0, 2.0, 3.0)
    assert bounds["by_unit"][-1] == 1.0
    assert bounds["bad"][:3] == (0.0, 1.0, 2.0)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"features": []}', '{"features": {"a": 1}}', '{"features": {"a": {"bounds": 1}}}', "\xff"]
)
def test_a_broken_baseline_is_logged_and_otherwise_ignored(
    registry: CollectorRegistry, tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text, encoding="latin-1")
    for _ in range(2):
        Pipeline("speech", registry=registry, baseline=path).stage("vad", output=itself())(lambda: 1)()
    assert len(caplog.records) == 1
    assert "broken.json" in caplog.text


def test_a_missing_baseline_is_logged_and_otherwise_ignored(
    registry: CollectorRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Pipeline("speech", registry=registry, baseline=tmp_path / "none.json")
    assert "none.json" in caplog.text


def test_of_several_baselines_a_stage_takes_that_of_its_version_else_the_first(
    registry: CollectorRegistry, tmp_path: Path
) -> None:
    def written(name: str, bound: float, **head: object) -> Path:
        path = tmp_path / name
        stages = {f"{stage}.output.size": {"bounds": [bound]} for stage in ("vad", "asr")}
        path.write_text(json.dumps({"pipeline": "speech", "features": stages, **head}))
        return path

    files = [
        written("new.json", 3, version="3"),
        written("old.json", 2, version="2", stage_versions={"asr": "asr-7"}),
    ]

    def bound_of(stage: str, version: str) -> float:
        pipeline = Pipeline("speech", version, registry=CollectorRegistry(), baseline=files)
        pipeline.stage(stage, output=itself("size"))(lambda: 1)
        return pipeline.describe().stages[0].features[0].bounds[0]

    assert (bound_of("vad", "3"), bound_of("vad", "2"), bound_of("vad", "9")) == (3, 2, 3)
    assert (bound_of("asr", "2"), bound_of("asr", "asr-7")) == (3, 2)


def test_a_baseline_of_another_pipeline_is_logged_and_otherwise_ignored(
    registry: CollectorRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "vision.json"
    path.write_text(json.dumps({"pipeline": "vision", "features": {"vad.output.size": {"bounds": [7]}}}))
    pipeline = Pipeline("speech", registry=registry, baseline=path)
    pipeline.stage("vad", output=itself("size"))(lambda: 1)
    assert 7.0 not in pipeline.describe().stages[0].features[0].bounds
    assert "it is of the pipeline 'vision', not 'speech'" in caplog.text


def test_the_info_series_tells_the_unit_and_a_hash_that_depends_on_the_bounds_alone(
    speech: Pipeline, registry: CollectorRegistry
) -> None:
    speech.stage("vad", output=[itself("a", bounds=[1, 2]), itself("b", bounds=[1.0, 2.0]), itself("c", bounds=[1])])(
        lambda: 1
    )
    bins = {
        sample.labels["feature"]: sample.labels["bins"]
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "pipemon_feature_info"
    }
    assert bins["a"] == bins["b"] == "fc8de1ed"
    assert bins["c"] != bins["a"]


def test_what_an_extractors_exception_says_is_not_logged_but_where_it_was_raised(
    speech: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(text: str) -> float:
        return float(text)

    speech.stage("asr", output=Feature("score", broken))(lambda: "Jane Doe")()
    assert "Jane" not in caplog.text
    assert "ValueError" in caplog.text
    assert "return float(text)" in caplog.text


def test_extractors_that_make_callers_wait_are_told_by_a_counter_and_in_the_log(
    speech: Pipeline, read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    def slow(text: str) -> float:
        time.sleep(0.11)
        return 1.0

    asr = speech.stage("asr", output=Feature("score", slow))(lambda: "text")
    for _ in range(3):
        asr()
    waited = read("pipemon_extractor_seconds_total", stage="asr")
    assert waited is not None
    assert waited >= 0.33
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert re.match(r"stage asr of pipeline speech: its extractors took [1-9]\d\d+ ms", messages[0])


def test_slow_extractors_are_told_of_each_stage_whichever_had_its_place_in_memory_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for number in range(50):
        recorder = Recorder(4, Mock(), Mock(), [])
        recorder.name = f"stage {number}"
        sampled(recorder, Look(), 0.0, ended=time.perf_counter() - 1)
        del recorder
        gc.collect()
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [f"stage {n}" for n in range(50)]


def test_a_test_that_stops_the_clock_loses_no_call(
    speech: Pipeline, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipemon.instrument.sampling.perf_counter", lambda: 0.0)  # before every call's end
    speech.stage("asr", output=Feature("score", float))(lambda: "1")()
    assert read("pipemon_stage_calls_total", stage="asr") == 1
    assert read("pipemon_observations_dropped_total", stage="asr") == 0
    assert read("pipemon_extractor_seconds_total", stage="asr") == 0

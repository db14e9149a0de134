"""Batches, blocks of code, calls that decline, items dropped, categories, and the time before a call."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import asyncio
import gc
import math
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas
import polars
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

import pipemon
from pipemon import Category, Feature, Model, Pipeline
from pipemon.features import length, mean, value

Read = Callable[..., float | None]


def counts(read: Read, stage: str) -> dict[str, float]:
    names = [f"{name}_total" for name in ("calls", "failures", "null_outputs", "cancelled", "skipped")]
    names += [f"items_{way}_total" for way in ("in", "out", "null", "failed", "dropped")]
    found = {name.removesuffix("_total"): read(f"pipemon_stage_{name}", stage=stage) for name in names}
    return {name: number for name, number in found.items() if number}


def reasons(registry: CollectorRegistry) -> dict[str, float]:
    return {
        sample.labels["reason"]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "pipemon_stage_drop_reasons_total"
    }


def test_a_batch_counts_its_items_and_features_are_taken_of_each(speech: Pipeline, read: Read) -> None:
    @speech.stage("score", batch=True, inputs={"texts": length()}, output=value("score"))
    def score(texts: list[str]) -> list[float | None]:
        return [None if not text else float(len(text)) for text in texts]

    assert score(["a", "", "bcd"]) == [1.0, None, 3.0]
    assert counts(read, "score") == {"calls": 1, "items_in": 3, "items_out": 2, "items_null": 1}
    assert read("pipemon_feature_value_sum", feature="texts_length") == 4
    assert read("pipemon_feature_observed_total", feature="score") == 3
    assert read("pipemon_feature_missing_total", feature="score") == 1
    assert read("pipemon_feature_sum_total", feature="score", sign="positive") == 4


def test_an_array_is_looked_at_in_one_call(speech: Pipeline, read: Read) -> None:
    calls = []

    def norms(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        calls.append(len(rows))
        lengths: NDArray[np.float64] = np.sqrt((rows**2).sum(axis=1))
        return lengths

    feature = Feature("norm", lambda row: 1 / 0, many=norms)

    @speech.stage("embed", batch="rows", inputs={"rows": feature}, output=mean("mean"))
    def embed(scale: float, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return rows * scale

    rows = np.array([[3.0, 4.0], [6.0, 8.0], [math.nan, math.nan]])
    embed(2.0, rows)
    assert calls == [3]
    assert read("pipemon_feature_sum_total", feature="norm", sign="positive") == 15
    assert read("pipemon_feature_missing_total", feature="norm") == 1
    assert read("pipemon_feature_sum_total", feature="mean", sign="positive") == 21
    assert counts(read, "embed") == {"calls": 1, "items_in": 3, "items_out": 2, "items_null": 1}


def test_an_item_that_an_extractor_can_not_take_costs_itself_only(speech: Pipeline, read: Read) -> None:
    def lengths(texts: list[str]) -> list[float]:
        return [float(len(text)) for text in texts]

    feature = Feature("size", len, many=lengths, prefix=True)
    speech.stage("score", batch=True, inputs={"texts": feature})(lambda texts: texts)(["a", 3, "bcd"])
    assert read("pipemon_feature_value_bucket", le="+Inf", feature="texts_size") == 2
    assert read("pipemon_feature_observed_total", feature="texts_size") == 2
    assert read("pipemon_extractor_errors_total", feature="texts_size") == 2  # the whole, then the one


def test_a_data_frames_items_are_its_rows(speech: Pipeline, read: Read) -> None:
    frame = pandas.DataFrame({"age": [20, 30, 40], "name": ["a", "b", "c"]})
    stage = speech.stage("score", batch=True, inputs={"rows": Feature("age", lambda row: row.age)})(lambda rows: rows)
    stage(frame)
    assert counts(read, "score") == {"calls": 1, "items_in": 3, "items_out": 3}
    assert read("pipemon_feature_sum_total", feature="age", sign="positive") == 90
    other = Feature("age", lambda row: row[0])
    speech.stage("polars", batch=True, inputs={"rows": other})(lambda rows: rows)(polars.from_pandas(frame[["age"]]))
    assert read("pipemon_feature_sum_total", stage="polars", feature="age", sign="positive") == 90


def test_a_batch_of_nulls_is_a_null_output_and_one_that_raises_fails_whole(speech: Pipeline, read: Read) -> None:
    @speech.stage("score", batch=True)
    def score(texts: list[str]) -> list[str] | None:
        if "bad" in texts:
            raise LookupError
        return ["" for _ in texts] if texts else None

    score(["a", "b"])
    score([])
    with pytest.raises(LookupError):
        score(["a", "bad", "c"])
    assert counts(read, "score") == {
        "calls": 3, "failures": 1, "null_outputs": 2, "items_in": 5, "items_null": 2, "items_failed": 3
    }  # fmt: skip


async def test_batches_may_be_async_and_methods(speech: Pipeline, read: Read) -> None:
    class Model_:
        @speech.stage("score", batch=True)
        async def score(self, texts: list[str]) -> list[str]:
            await asyncio.sleep(0)
            return texts

    assert await Model_().score(["a", "b"]) == ["a", "b"]
    assert counts(read, "score") == {"calls": 1, "items_in": 2, "items_out": 2}


def test_a_batch_says_which_items_it_leaves_out(speech: Pipeline, read: Read, registry: CollectorRegistry) -> None:
    @speech.stage("score", batch=True, one_to_one=True)
    def score(texts: list[str]) -> list[str]:
        kept = [text for text in texts if len(text) < 3]
        if len(kept) < len(texts):
            pipemon.drop("too long", len(texts) - len(kept))
        return kept

    score(["a", "bcd", "efg"])
    assert counts(read, "score") == {"calls": 1, "items_in": 3, "items_out": 1, "items_dropped": 2}
    assert reasons(registry) == {"too long": 2}


def test_nothing_of_a_batch_is_kept_alive(speech: Pipeline) -> None:
    @speech.stage("embed", batch=True, inputs={"rows": value()}, output=value())
    def embed(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return rows + 1

    rows = np.zeros(1000)
    seen = weakref.ref(rows), weakref.ref(embed(rows))
    del rows
    assert [reference() for reference in seen] == [None, None]


def test_a_call_that_declines_is_neither_ok_nor_null_nor_timed(
    speech: Pipeline, read: Read, registry: CollectorRegistry
) -> None:
    @speech.stage("asr", inputs={"audio": length()}, output=length())
    def transcribe(audio: list[int]) -> list[int] | None:
        return pipemon.skip("too short") if len(audio) < 2 else audio

    assert transcribe([1]) is None
    assert transcribe([1, 2]) == [1, 2]
    assert counts(read, "asr") == {"calls": 2, "skipped": 1, "items_in": 2, "items_out": 1, "items_dropped": 1}
    assert reasons(registry) == {"too short": 1}
    assert read("pipemon_stage_duration_seconds_count", stage="asr") == 1
    assert read("pipemon_feature_observed_total", feature="audio_length") == 2
    assert read("pipemon_feature_observed_total", feature="length") == 1


def test_the_innermost_call_is_the_one_that_declines(speech: Pipeline, read: Read) -> None:
    @speech.stage
    def inner() -> str | None:
        return pipemon.skip("no", "given")

    outer = speech.stage("outer")(inner)
    assert outer() == "given"
    assert counts(read, "inner")["skipped"] == 1
    assert "skipped" not in counts(read, "outer")


async def test_tasks_decline_for_themselves(speech: Pipeline, read: Read) -> None:
    @speech.stage("asr")
    async def transcribe(number: int) -> int | None:
        await asyncio.sleep(0)
        if number % 2:
            return pipemon.skip("odd")
        await asyncio.sleep(0.001)
        return number

    await asyncio.gather(*map(transcribe, range(2, 12)))
    assert counts(read, "asr") == {"calls": 10, "skipped": 5, "items_in": 10, "items_out": 5, "items_dropped": 5}


def test_what_declines_and_then_raises_has_failed(speech: Pipeline, read: Read) -> None:
    @speech.stage("asr")
    def transcribe() -> None:
        pipemon.skip("no")
        raise LookupError

    with pytest.raises(LookupError):
        transcribe()
    assert counts(read, "asr")["failures"] == 1
    assert "skipped" not in counts(read, "asr")


def test_outside_of_a_stage_declining_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    assert pipemon.skip("why", 3) == 3
    pipemon.skip("why")
    pipemon.drop("why", 2)
    assert [record.message for record in caplog.records if "outside" in record.message] == [
        "pipemon.skip() outside of a stage's call counts nothing",
        "pipemon.drop() outside of a stage's call counts nothing",
    ]


def test_the_twenty_first_reason_counts_as_other(speech: Pipeline, registry: CollectorRegistry) -> None:
    @speech.stage("asr")
    def transcribe(number: int) -> None:
        pipemon.drop(f"reason {number}")

    for number in range(25):
        transcribe(number)
    assert len(reasons(registry)) == 21
    assert reasons(registry)["other"] == 5


def test_a_cancelled_call_drops_its_item(speech: Pipeline, read: Read, registry: CollectorRegistry) -> None:
    @speech.stage("asr")
    def transcribe() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transcribe()
    assert counts(read, "asr") == {"calls": 1, "cancelled": 1, "items_in": 1, "items_dropped": 1}
    assert reasons(registry) == {"cancelled": 1}


def test_a_block_is_a_call(speech: Pipeline, read: Read) -> None:
    asr = speech.stage("asr", inputs={"audio": length()}, output=length(), null=lambda text: text == "?")
    with asr.call(audio=[1, 2, 3]) as call:
        assert read("pipemon_stage_in_progress", stage="asr") == 1
        call.output("four")
    with asr.call(audio=[1]) as call:
        call.output("?")
    with asr.call(audio=[1]):
        pass
    assert counts(read, "asr") == {
        "calls": 3, "null_outputs": 1, "items_in": 3, "items_out": 2, "items_null": 1
    }  # fmt: skip
    assert read("pipemon_feature_value_sum", stage="asr", feature="audio_length") == 5
    assert read("pipemon_feature_value_sum", stage="asr", feature="length") == 5
    assert read("pipemon_feature_observed_total", stage="asr", feature="length") == 2
    assert read("pipemon_stage_in_progress", stage="asr") == 0


def test_a_block_that_raises_has_failed_and_one_may_decline(speech: Pipeline, read: Read) -> None:
    asr = speech.stage("asr")
    with pytest.raises(LookupError), asr.call():
        raise LookupError
    with asr.call() as call:
        call.skip("too short")
    with asr.call() as call:
        call.drop("noise", 2)
        pipemon.drop("noise")
    with asr.call():
        pipemon.skip("too short")
    assert counts(read, "asr") == {
        "calls": 4, "failures": 1, "skipped": 2, "items_in": 4, "items_out": 1, "items_failed": 1, "items_dropped": 5
    }  # fmt: skip


def test_a_block_around_a_stage_and_in_one_keep_their_words_apart(speech: Pipeline, read: Read) -> None:
    outer = speech.stage("outer")

    @speech.stage
    def inner() -> None:
        pipemon.skip("no")

    with outer.call():
        inner()
    assert "skipped" not in counts(read, "outer")

    @speech.stage("around")
    def around() -> int:
        with outer.call():
            pipemon.skip("no")
        return 1

    around()
    assert counts(read, "outer")["skipped"] == 1
    assert "skipped" not in counts(read, "around")


async def test_blocks_may_be_async_and_belong_to_runs(speech: Pipeline, registry: CollectorRegistry) -> None:
    vad = speech.stage("vad")
    asr = speech.stage("asr")

    @speech.run
    async def answer() -> None:
        async with vad.call():
            await asyncio.sleep(0)
        async with asr.call() as call:
            call.output("text")

    await answer()
    edges = [
        (sample.labels["upstream"], sample.labels["stage"])
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "pipemon_stage_upstream_info"
    ]
    assert edges == [("vad", "asr")]


def test_a_block_of_a_batch_counts_its_items(speech: Pipeline, read: Read) -> None:
    score = speech.stage("score", batch=True, inputs={"texts": length()}, output=value("score"))
    with score.call(texts=["a", "bc"]) as call:
        call.output([1.0, None])
    with score.call(texts=["a"]):
        pass
    assert counts(read, "score") == {"calls": 2, "items_in": 3, "items_out": 2, "items_null": 1}
    assert read("pipemon_feature_value_sum", feature="texts_length") == 4


def test_a_blocks_series_are_there_from_the_start_and_the_generator_sees_it(speech: Pipeline, read: Read) -> None:
    stage = speech.stage("asr", output=length(), budget="300ms")
    assert [shape.name for shape in speech.describe().stages] == ["asr"]
    assert read("pipemon_stage_calls_total", stage="asr") == 0
    assert read("pipemon_feature_observed_total", stage="asr", feature="length") == 0
    stage(len)("four")  # and it may still decorate a function
    assert read("pipemon_stage_calls_total", stage="asr") == 1


def test_a_block_that_was_not_given_what_it_reads_says_so_once(
    speech: Pipeline, read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    asr = speech.stage("asr", inputs={"audio": length()})
    for _ in range(2):
        with asr.call(adio=[1]):
            pass
    assert [record.message for record in caplog.records] == [
        "stage asr: call() was not given 'audio'; did you mean 'adio'?"
    ]
    assert read("pipemon_feature_missing_total", stage="asr", feature="audio_length") == 2


def test_a_block_keeps_nothing_alive(speech: Pipeline) -> None:
    asr = speech.stage("asr", inputs={"audio": value()}, output=value())
    audio = np.zeros(1000)
    with asr.call(audio=audio) as call:
        call.output(audio)
    seen = weakref.ref(audio)
    del audio
    assert seen() is None
    assert call is not None


def test_a_category_is_counted_by_its_declared_values(speech: Pipeline, read: Read) -> None:
    @speech.stage("asr", output=Category("language", lambda text: text or None, categories=("en", "de")))
    def transcribe(text: str) -> str:
        return text

    for text in ("en", "en", "fr", "", "de"):
        transcribe(text)
    found = {name: read("pipemon_feature_category_total", category=name) for name in ("en", "de", "other")}
    assert found == {"en": 2, "de": 1, "other": 1}
    assert read("pipemon_feature_observed_total", feature="language") == 5
    assert read("pipemon_feature_missing_total", feature="language") == 1
    assert read("pipemon_feature_value_bucket", le="+Inf", feature="language") is None


def test_what_is_sampled_is_told_by_the_counts(speech: Pipeline, read: Read) -> None:
    @speech.stage("asr", inputs={"audio": Feature("cost", float, sample=0.5)})
    def transcribe(audio: float) -> float:
        return audio

    for _ in range(400):
        transcribe(1.0)
    observed = read("pipemon_feature_observed_total", feature="cost")
    assert observed is not None
    assert 100 < observed < 300
    assert read("pipemon_feature_value_bucket", le="+Inf", feature="cost") == observed
    assert read("pipemon_feature_missing_total", feature="cost") == 0


@dataclass
class Job:
    queued_at: Any


def test_the_time_in_the_queue_is_told_by_the_input(speech: Pipeline, read: Read) -> None:
    begun: list[float] = []

    @speech.stage("asr", queued_at={"job": lambda job: job.queued_at})
    def work(job: Job) -> int:
        begun.append(time.time())
        time.sleep(0.05)
        return 1

    queued = time.time() - 2
    work(Job(queued))
    work(Job(time.time() + 5))  # another machine's clock is ahead
    work(Job(None))
    work(Job("soon"))
    waited = read("pipemon_stage_wait_seconds_sum", stage="asr")
    assert waited is not None
    assert 1.96 <= waited <= begun[0] - queued + 0.001  # none of the 50 ms that the call took
    assert read("pipemon_stage_wait_seconds_count", stage="asr") == 2
    assert read("pipemon_extractor_errors_total", stage="asr", feature="queued_at") == 1


def test_a_version_is_what_the_model_is_made_of(speech: Pipeline, read: Read) -> None:
    model = Model(code="v7", params={"beam": 5}, data="2026-06", trained="2026-06-30T00:00:00Z")

    @speech.stage("asr", model=model, workers=4)
    def work() -> int:
        return 1

    work()
    assert read("pipemon_stage_calls_total", stage="asr", version=model.version) == 1
    assert read("pipemon_stage_info", stage="asr", code="v7", data="2026-06", params=model.labels["params"]) == 1
    assert read("pipemon_stage_trained_timestamp_seconds", stage="asr") == 1782777600
    assert read("pipemon_stage_workers", stage="asr") == 4


def test_a_version_of_which_nothing_is_told_has_its_info_too(speech: Pipeline, read: Read) -> None:
    speech.stage("vad", version="1.4")(lambda: 1)
    assert read("pipemon_stage_info", stage="vad", version="1.4", code="", data="", params="") == 1


def test_the_processor_time_of_a_stage_is_that_of_its_thread(speech: Pipeline, read: Read) -> None:
    @speech.stage("busy")
    def busy() -> int:
        until = time.thread_time() + 0.03
        while time.thread_time() < until:
            pass
        return 1

    @speech.stage("idle")
    def idle() -> int:
        time.sleep(0.03)
        return 1

    busy()
    idle()
    worked, slept = (read("pipemon_stage_cpu_seconds_total", stage=name) for name in ("busy", "idle"))
    assert worked is not None
    assert slept is not None
    assert worked >= 0.03
    assert slept < worked / 2


def test_of_many_short_calls_the_processor_time_is_scaled_to_all(
    speech: Pipeline, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [time.perf_counter()]

    @speech.stage("busy")
    def busy() -> None:
        now[0] += 0.001

    stand_in: Any = busy
    monkeypatch.setitem(stand_in.__globals__, "pm_clock", lambda: now[0])
    monkeypatch.setattr("pipemon.instrument.sampling.thread_time", lambda: now[0] / 2)
    for _ in range(2000):
        busy()
    # One call in five is sampled.
    assert read("pipemon_stage_duration_seconds_sum", stage="busy") == pytest.approx(2)
    assert read("pipemon_stage_cpu_seconds_total", stage="busy") == pytest.approx(1, rel=0.01)


def test_exceptions_and_results_are_not_kept_alive(speech: Pipeline) -> None:
    class Large:
        pass

    @speech.stage("asr", inputs={"audio": Feature("x", lambda audio: 1.0)})
    def work(audio: Large) -> None:
        raise LookupError

    audio = Large()
    seen = weakref.ref(audio)
    with pytest.raises(LookupError):
        work(audio)
    del audio
    gc.collect()
    assert seen() is None


def test_static_and_class_methods_may_be_decorated_from_either_side(speech: Pipeline, read: Read) -> None:
    class Models:
        @speech.stage("a")
        @staticmethod
        def a(number: int) -> int:
            return number

        @speech.stage("b")
        @classmethod
        def b(cls, number: int) -> int:
            return number

    assert (Models.a(1), Models().a(2), Models.b(3), Models().b(4)) == (1, 2, 3, 4)
    assert (counts(read, "a")["calls"], counts(read, "b")["calls"]) == (2, 2)


def test_feedback_is_kept_apart_by_declared_slices(registry: CollectorRegistry, read: Read) -> None:
    speech = Pipeline("speech", registry=registry, slices={"age": ["young", "old"]})
    speech.stage("asr")(lambda: 1)
    speech.feedback("redo", stage="asr", slice={"age": "young"})
    speech.feedback("redo", stage="asr", slice={"age": "Methuselah"})
    speech.feedback("redo", stage="asr")
    found = {name: read("pipemon_feedback_total", signal="redo", slice=name) for name in ("", "age=young", "age=old")}
    assert found == {"": 3, "age=young": 1, "age=old": 0}  # the one without a name has all
    assert read("pipemon_feedback_total", signal="redo", slice="other") == 1

"""What a drill does to calls of every kind: it is seen in the metrics, and in no more calls than it may be."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

import pipemon
from pipemon.instrument.drill import Drills
from pipemon.instrument.drill_effects import DrillError, Effect, Share, parse

Begin = Callable[..., None]
Read = Callable[..., float]


@pytest.fixture
def speech(registry: CollectorRegistry) -> pipemon.Pipeline:
    return pipemon.Pipeline("speech", registry=registry)


@pytest.fixture
def read(registry: CollectorRegistry) -> Read:
    def read(name: str, **labels: str) -> float:
        return sum(
            sample.value
            for family in registry.collect()
            for sample in family.samples
            if sample.name == f"pipemon_{name}" and labels.items() <= sample.labels.items()
        )

    return read


@pytest.fixture
def begin(speech: pipemon.Pipeline) -> Iterator[Begin]:
    """Begin a drill of the one stage there is."""
    allowed: list[Drills] = []

    def begin(*effects: str, share: float = 1.0, **options: Any) -> None:
        (stage,) = speech.describe().stages
        drills = pipemon.allow_drills(speech, token="x" * 16, most=1.0, **options)
        assert drills is not None
        allowed.append(drills)
        drills.begin(stage.name, effects, 60, share, "stable", "a test")

    yield begin
    for drills in allowed:
        drills.close()


LEVEL = pipemon.Feature("level", float)


class TestFunctions:
    @pytest.fixture
    def stage(self, speech: pipemon.Pipeline) -> Callable[[float], float]:
        return speech.stage("vad", inputs={"audio": LEVEL}, output=pipemon.Feature("out", float))(_double)

    def test_an_exception_passes_to_the_caller_and_counts_as_a_failure(
        self, stage: Any, begin: Begin, read: Read
    ) -> None:
        begin("exception")
        with pytest.raises(DrillError, match="was asked for"):
            stage(1.0)
        assert read("stage_failures_total") == 1
        assert read("stage_exceptions_total", exception="DrillError") == 1

    def test_a_null_output_is_none_or_what_the_service_says(self, stage: Any, begin: Begin, read: Read) -> None:
        begin("null")
        assert stage(1.0) is None
        begin("null", null={"vad": list})
        assert stage(1.0) == []
        assert read("stage_null_outputs_total") == 2

    def test_a_null_output_that_can_not_be_made_leaves_the_call_as_it_is(self, stage: Any, begin: Begin) -> None:
        begin("null", null={"vad": lambda: 1 / 0})
        assert stage(1.0) == 2.0

    def test_latency_lies_within_the_stage(self, stage: Any, begin: Begin, read: Read) -> None:
        begin("latency=60ms")
        assert stage(1.0) == 2.0
        assert read("stage_duration_seconds_sum") >= 0.06

    def test_a_shift_changes_what_is_recorded_and_not_the_data(self, stage: Any, begin: Begin, read: Read) -> None:
        begin("shift=input.level:10", "shift=output.out:-5")
        assert stage(1.0) == 2.0
        assert read("feature_sum_total", feature="level", sign="positive") == 11
        assert read("feature_sum_total", feature="out", sign="negative") == 3

    def test_what_is_missing_is_counted_so(self, stage: Any, begin: Begin, read: Read) -> None:
        begin("missing=input.level")
        assert stage(1.0) == 2.0
        assert read("feature_missing_total", feature="level") == 1
        assert read("feature_missing_total", feature="out") == 0

    def test_feedback_is_given(self, stage: Any, begin: Begin, read: Read) -> None:
        begin("feedback=redo")
        assert stage(1.0) == 2.0
        assert read("feedback_total", signal="redo") == 1

    def test_half_of_the_calls_are_every_second_one(self, stage: Any, begin: Begin, read: Read) -> None:
        begin("null", share=0.5)
        assert [stage(1.0) for _ in range(6)] == [2.0, None] * 3

    def test_a_canary_is_drilled_by_itself(self, speech: pipemon.Pipeline, stage: Any, begin: Begin) -> None:
        canary = speech.stage("vad", version="2", track="canary")(_same)
        begin("null")
        assert (stage(1.0), canary(1.0)) == (None, 1.0)


def _double(audio: float) -> float:
    return 2 * audio


def _same(audio: float) -> float:
    return audio


class Detector:
    def find(self, audio: float) -> float:
        return audio


def test_methods(speech: pipemon.Pipeline, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Detector, "find", speech.stage("vad")(Detector.find))
    begin("null")
    assert Detector().find(1.0) is None


async def test_coroutines(speech: pipemon.Pipeline, begin: Begin, read: Read) -> None:
    @speech.stage("vad")
    async def stage(audio: float) -> float:
        return audio

    begin("latency=60ms", "null")
    assert await stage(1.0) is None
    assert read("stage_duration_seconds_sum") >= 0.06
    assert read("stage_null_outputs_total") == 1


class TestStreams:
    @pytest.fixture
    def stage(self, speech: pipemon.Pipeline) -> Any:
        @speech.stage("vad", inputs={"audio": LEVEL}, output=pipemon.Feature("out", float))
        def stage(audio: float) -> Generator[float, float, None]:
            sent = yield audio
            yield sent

        return stage

    @pytest.fixture
    def async_stage(self, speech: pipemon.Pipeline) -> Any:
        @speech.stage("vad", inputs={"audio": LEVEL}, output=pipemon.Feature("out", float))
        async def stage(audio: float) -> AsyncIterator[float]:
            yield audio
            yield audio + 1

        return stage

    def test_a_null_stream_has_no_items(self, stage: Any, begin: Begin, read: Read) -> None:
        begin("null")
        assert list(stage(1.0)) == []
        assert read("stage_null_outputs_total") == 1

    def test_a_stream_fails_before_its_first_item(self, stage: Any, begin: Begin, read: Read) -> None:
        begin("exception")
        with pytest.raises(DrillError):
            next(stage(1.0))
        assert read("stage_failures_total") == 1

    def test_what_is_sent_passes(self, stage: Any, begin: Begin, read: Read) -> None:
        begin("latency=60ms", "shift=output.out:10", "shift=input.level:100")
        stream = stage(1.0)
        assert next(stream) == 1.0
        assert stream.send(5.0) == 5.0
        assert list(stream) == []
        assert read("stage_duration_seconds_sum") >= 0.06
        assert read("feature_sum_total", feature="out", sign="positive") == 26
        assert read("feature_sum_total", feature="level", sign="positive") == 101

    async def test_async_ones_likewise(self, async_stage: Any, begin: Begin, read: Read) -> None:
        begin("latency=60ms", "shift=output.out:10")
        assert [item async for item in async_stage(1.0)] == [1.0, 2.0]
        assert read("feature_sum_total", feature="out", sign="positive") == 23
        assert read("stage_duration_seconds_sum") >= 0.06

    async def test_async_ones_are_closed_and_thrown_into_as_ever(
        self, speech: pipemon.Pipeline, begin: Begin, read: Read
    ) -> None:
        seen = []

        @speech.stage("vad")
        async def stage() -> AsyncGenerator[float, float]:
            try:
                while True:
                    try:
                        seen.append((yield 1.0))
                    except KeyError:
                        seen.append(-1.0)
            finally:
                seen.append(0.0)

        begin("latency=1ms")
        stream = stage()
        assert [await anext(stream), await stream.asend(2.0), await stream.athrow(KeyError())] == [1.0, 1.0, 1.0]
        await stream.aclose()
        assert seen == [2.0, -1.0, 0.0]

    async def test_async_ones_without_items_or_with_an_exception(
        self, async_stage: Any, begin: Begin, read: Read
    ) -> None:
        begin("null")
        assert [item async for item in async_stage(1.0)] == []
        begin("exception")
        with pytest.raises(DrillError):
            [item async for item in async_stage(1.0)]
        assert (read("stage_null_outputs_total"), read("stage_failures_total")) == (1, 1)


def test_batches(speech: pipemon.Pipeline, begin: Begin, read: Read) -> None:
    @speech.stage("vad", batch=True, inputs={"items": LEVEL}, output=pipemon.Feature("out", float))
    def stage(items: list[float]) -> list[float]:
        return items

    begin("shift=input.level:10", "missing=output.out")
    assert stage([1.0, 2.0]) == [1.0, 2.0]
    assert read("feature_sum_total", feature="level", sign="positive") == 23
    assert read("feature_missing_total", feature="out") == 2
    begin("null")
    assert stage([1.0, 2.0]) is None
    assert read("stage_null_outputs_total") == 1


def test_effects_are_counted_by_their_kinds(speech: pipemon.Pipeline, begin: Begin, read: Read) -> None:
    stage = speech.stage("vad", inputs={"audio": LEVEL})(_double)
    begin("null", "latency=1ms", "shift=input.level:1")
    for _ in range(3):
        stage(1.0)
    begin("null")  # ends the one before it
    counted = {kind: read("drill_effects_total", effect=kind) for kind in ("null", "latency", "shift", "exception")}
    assert counted == {"null": 3, "latency": 3, "shift": 3, "exception": 0}


@given(st.floats(0.001, 1.0), st.integers(1, 2000))
def test_never_more_calls_are_picked_than_the_share(share: float, calls: int) -> None:
    picks = Share(share)
    picked = sum(picks.picks() for _ in range(calls))
    assert calls * share - 1 - 1e-6 <= picked <= calls * share + 1e-6


def test_effects_as_they_are_written() -> None:
    assert parse("latency=1m 30s") == Effect("latency", amount=90)
    assert parse("shift=output.confidence:-0.3") == Effect("shift", "output.confidence", -0.3)
    for wrong in ("", "null=1", "latency", "latency=0s", "shift=output.x", "shift=x:1", "shift=a.b:0", "missing=x"):
        with pytest.raises(ValueError, match=r"is no effect|duration"):
            parse(wrong)

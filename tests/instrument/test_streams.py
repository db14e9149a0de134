"""Generators and async generators as stages: items, time, and each way in which a stream can end."""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, suppress
from time import sleep

import pytest
from prometheus_client import CollectorRegistry

import pipemon
from pipemon import Feature, Pipeline
from pipemon.features import length

Read = Callable[..., float | None]
OUTCOMES = ("failures", "null_outputs", "cancelled", "skipped")


def counts(read: Read, stage: str) -> dict[str, float]:
    """What is not zero of a stage's calls and items, and what is in progress."""
    names = [f"pipemon_stage_{name}_total" for name in ("calls", *OUTCOMES)]
    names += [f"pipemon_stage_items_{way}_total" for way in ("in", "out", "null", "failed", "dropped")]
    names += ["pipemon_stage_in_progress"]
    found = {name: read(name, stage=stage) for name in names}
    return {name.split("_", 2)[2].removesuffix("_total"): number for name, number in found.items() if number}


def cut(words: list[str]) -> Generator[str, str | None, int]:
    yield from words
    return len(words)


def test_the_items_of_a_stream_are_counted_and_its_value_is_returned(speech: Pipeline, read: Read) -> None:
    stage = speech.stage("vad")(cut)
    assert inspect.isgeneratorfunction(stage)
    returned = []

    def consumer() -> Iterator[str]:
        returned.append((yield from stage(["a", "", "b"])))

    assert list(consumer()) == ["a", "", "b"]
    assert returned == [3]
    assert counts(read, "vad") == {"calls": 1, "items_in": 1, "items_out": 2, "items_null": 1}


def test_nothing_runs_or_counts_before_the_first_item_is_asked_for(speech: Pipeline, read: Read) -> None:
    stage = speech.stage("vad")(cut)
    stream = stage(["a"])
    assert counts(read, "vad") == {}
    next(stream)
    assert counts(read, "vad") == {"in_progress": 1}
    del stream
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'words'"):
        stage()  # type: ignore[call-arg]


def test_the_time_of_a_stream_is_its_own_and_not_its_consumers(speech: Pipeline, read: Read) -> None:
    @speech.stage("vad")
    def slow() -> Iterator[int]:
        for number in range(3):
            sleep(0.02)
            yield number

    for _ in slow():
        sleep(0.3)
    took = read("pipemon_stage_duration_seconds_sum", stage="vad")
    first = read("pipemon_stage_first_item_seconds_sum", stage="vad")
    assert took is not None
    assert first is not None
    assert 0.06 <= took < 0.9
    assert 0.02 <= first <= took - 0.04
    assert read("pipemon_stage_first_item_seconds_count", stage="vad") == 1


def test_a_stream_without_a_usable_item_is_a_null_output(speech: Pipeline, read: Read) -> None:
    stage = speech.stage("vad")(cut)
    assert list(stage([])) == []
    assert list(stage([""])) == [""]
    assert counts(read, "vad") == {"calls": 2, "null_outputs": 2, "items_in": 2, "items_null": 1}
    assert read("pipemon_stage_first_item_seconds_count", stage="vad") == 1


def test_whoever_breaks_off_has_what_it_wanted_and_the_generator_is_closed(speech: Pipeline, read: Read) -> None:
    closed = []

    @speech.stage("vad")
    def stage() -> Iterator[int]:
        try:
            yield from range(9)
        finally:
            closed.append(True)

    for _ in stage():
        break
    gc.collect()
    assert closed == [True]
    assert counts(read, "vad") == {"calls": 1, "items_in": 1, "items_out": 1}


def test_a_half_read_stream_that_is_thrown_away_ends_its_call(speech: Pipeline, read: Read) -> None:
    stream = speech.stage("vad")(cut)(["a", "b"])
    next(stream)
    del stream
    gc.collect()
    assert counts(read, "vad") == {"calls": 1, "items_in": 1, "items_out": 1}


def test_an_exception_midway_passes_untouched_and_is_a_failure(speech: Pipeline, read: Read) -> None:
    @speech.stage("vad")
    def stage() -> Iterator[int]:
        yield 1
        raise LookupError("here")

    stream = stage()
    assert next(stream) == 1
    with pytest.raises(LookupError, match="here") as raised:
        next(stream)
    assert raised.value.__cause__ is raised.value.__context__ is None
    with pytest.raises(StopIteration):
        next(stream)
    assert counts(read, "vad") == {
        "calls": 1, "failures": 1, "items_in": 1, "items_out": 1, "items_failed": 1
    }  # fmt: skip
    assert read("pipemon_stage_exceptions_total", stage="vad", exception="LookupError") == 1


def test_a_stream_that_raises_while_it_is_closed_failed(speech: Pipeline, read: Read) -> None:
    @speech.stage("vad")
    def stage() -> Iterator[int]:
        with suppress(GeneratorExit):
            yield 1
        raise LookupError

    stream = stage()
    next(stream)
    with pytest.raises(LookupError):
        stream.close()  # type: ignore[attr-defined]
    assert counts(read, "vad")["failures"] == 1


def test_what_is_sent_and_thrown_arrives(speech: Pipeline, read: Read) -> None:
    def echo() -> Generator[object, object, str]:
        got: object = "begun"
        while True:
            try:
                got = yield got
            except ValueError as error:
                got = f"caught {error}"
            except KeyError:
                return "done"

    for make in (echo, speech.stage("echo")(echo)):
        stream = make()
        assert [next(stream), stream.send(1), stream.throw(ValueError("x")), stream.send(None), stream.send(0)] == [
            "begun", 1, "caught x", None, 0
        ]  # fmt: skip
        with pytest.raises(StopIteration) as stopped:
            stream.throw(KeyError())
        assert stopped.value.value == "done"
    assert counts(read, "echo") == {"calls": 1, "items_in": 1, "items_out": 4, "items_null": 1}


def test_a_consumer_gets_what_a_plain_generator_gives_when_it_ignores_its_end(speech: Pipeline) -> None:
    @speech.stage("vad")
    def stubborn() -> Iterator[int]:
        with suppress(GeneratorExit):
            yield 1
        yield 2

    stream = stubborn()
    next(stream)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        stream.close()  # type: ignore[attr-defined]


def test_output_features_are_of_each_item_and_input_features_of_the_call(speech: Pipeline, read: Read) -> None:
    stage = speech.stage("vad", inputs={"words": length()}, output=[length(), Feature("broken", lambda item: 1 / 0)])(
        cut
    )
    list(stage(["a", "bcd", ""]))
    assert read("pipemon_feature_value_sum", stage="vad", feature="words_length") == 3
    assert read("pipemon_feature_value_count", stage="vad", feature="words_length") == 1
    assert read("pipemon_feature_value_sum", stage="vad", feature="length") == 4
    assert read("pipemon_feature_value_count", stage="vad", feature="length") == 3
    assert read("pipemon_extractor_errors_total", stage="vad", feature="broken") == 3


def test_a_stream_that_reads_a_stream_has_it_as_its_upstream(speech: Pipeline, registry: CollectorRegistry) -> None:
    @speech.stage
    def vad(audio: list[int]) -> Iterator[int]:
        yield from audio

    @speech.stage
    def asr(segments: Iterator[int]) -> Iterator[str]:
        for segment in segments:
            yield str(segment)

    @speech.run
    def answer() -> list[str]:
        return list(asr(vad([1, 2, 3])))

    answer()
    answer()
    edges = {
        (sample.labels["upstream"], sample.labels["stage"])
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "pipemon_stage_upstream_info"
    }
    assert edges == {("vad", "asr")}


def test_while_its_consumer_has_an_item_a_stream_keeps_it_not_alive(speech: Pipeline) -> None:
    class Large:
        pass

    @speech.stage("vad", output=Feature("score", lambda item: 1.0))
    def stage() -> Iterator[Large]:
        yield Large()
        yield Large()

    stream = stage()
    seen = weakref.ref(next(stream))
    assert seen() is None


def test_a_stream_may_be_skipped_and_drop_items(speech: Pipeline, read: Read) -> None:
    @speech.stage("vad")
    def stage(audio: list[int]) -> Iterator[int]:
        if not audio:
            pipemon.skip("silence")
            return
        for number in audio:
            if number > 2:
                pipemon.drop("too loud")
            else:
                yield number

    assert list(stage([])) == []
    assert list(stage([1, 3, 4])) == [1]
    assert counts(read, "vad") == {"calls": 2, "skipped": 1, "items_in": 2, "items_out": 1, "items_dropped": 3}
    assert read("pipemon_stage_drop_reasons_total", stage="vad", reason="too loud") == 2
    assert read("pipemon_stage_drop_reasons_total", stage="vad", reason="silence") == 1
    assert read("pipemon_stage_duration_seconds_count", stage="vad") == 1


def test_a_run_may_be_a_stream_and_is_current_only_while_it_runs_itself(speech: Pipeline, read: Read) -> None:
    seen = []

    @speech.run
    def answer() -> Iterator[int]:
        seen.append(pipemon.current_run())
        yield 1
        seen.append(pipemon.current_run())
        yield 2

    for _ in answer():
        assert pipemon.current_run() is None
    assert seen[0] is seen[1] is not None
    assert read("pipemon_pipeline_runs_total") == 1
    assert read("pipemon_pipeline_duration_seconds_count") == 1


async def words_later(words: list[str]) -> AsyncGenerator[str, str | None]:
    for word in words:
        await asyncio.sleep(0)
        yield word


async def test_async_streams_are_counted_too(speech: Pipeline, read: Read) -> None:
    stage = speech.stage("vad", output=length())(words_later)
    assert inspect.isasyncgenfunction(stage)
    assert [word async for word in stage(["a", "", "bc"])] == ["a", "", "bc"]
    assert counts(read, "vad") == {"calls": 1, "items_in": 1, "items_out": 2, "items_null": 1}
    assert read("pipemon_feature_value_sum", stage="vad", feature="length") == 3


async def test_an_async_stream_that_is_broken_off_or_closed_ends_its_call(speech: Pipeline, read: Read) -> None:
    stage = speech.stage("vad")(words_later)
    async with aclosing(stage(["a", "b"])) as stream:
        async for _ in stream:
            break
    never = stage(["a"])
    await never.aclose()
    assert counts(read, "vad") == {"calls": 1, "items_in": 1, "items_out": 1}


async def test_a_half_read_async_stream_that_is_thrown_away_ends_its_call(speech: Pipeline, read: Read) -> None:
    closed = []

    @speech.stage("vad")
    async def stage() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    async for _ in stage():
        break
    gc.collect()
    await asyncio.sleep(0.01)
    assert closed == [True]
    assert counts(read, "vad") == {"calls": 1, "items_in": 1, "items_out": 1}


async def test_a_cancelled_async_stream_is_no_failure(speech: Pipeline, read: Read) -> None:
    @speech.stage("vad")
    async def stage() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(60)

    async def consume() -> None:
        async for _ in stage():
            pass

    task = asyncio.create_task(consume())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counts(read, "vad") == {
        "calls": 1, "cancelled": 1, "items_in": 1, "items_out": 1, "items_dropped": 1
    }  # fmt: skip


async def test_what_is_sent_and_thrown_into_an_async_stream_arrives(speech: Pipeline) -> None:
    async def echo() -> AsyncGenerator[object, object]:
        got: object = "begun"
        while True:
            try:
                got = yield got
            except ValueError as error:
                got = f"caught {error}"
            except KeyError:
                return

    for make in (echo, speech.stage("echo")(echo)):
        stream = make()
        assert await anext(stream) == "begun"
        assert await stream.asend(1) == 1
        assert await stream.athrow(ValueError("x")) == "caught x"
        with pytest.raises(StopAsyncIteration):
            await stream.athrow(KeyError())


async def test_the_processor_time_of_an_async_stream_is_not_that_of_other_tasks(speech: Pipeline, read: Read) -> None:
    @speech.stage("vad")
    async def stage() -> AsyncIterator[int]:
        for number in range(5):
            await asyncio.sleep(0.01)
            yield number

    async def others() -> None:
        while True:
            sum(range(20_000))
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    async for _ in stage():
        pass
    task.cancel()
    took, cpu = (read(f"pipemon_stage_{name}", stage="vad") for name in ("duration_seconds_sum", "cpu_seconds_total"))
    assert took is not None
    assert cpu is not None
    assert 0 < cpu < took / 4

# mypy: disable-error-code="no-untyped-call"
"""What a careful person would try to break the decorator with: nothing of the user's changes, nothing is lost."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import os
import subprocess
import sys
import types
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
import pandas
import pytest
from prometheus_client import CollectorRegistry, generate_latest

import pipemon
from pipemon import Feature, Pipeline
from pipemon.features import length, value

Read = Callable[..., float | None]


def counts(read: Read, stage: str) -> dict[str, float]:
    names = [f"{name}_total" for name in ("calls", "failures", "null_outputs", "cancelled", "skipped")]
    names += [f"items_{way}_total" for way in ("in", "out", "null", "failed", "dropped")] + ["in_progress"]
    found = {name.removesuffix("_total"): read(f"pipemon_stage_{name}", stage=stage) for name in names}
    return {name: number for name, number in found.items() if number}


def test_what_can_be_read_only_once_is_left_to_the_user(speech: Pipeline, read: Read) -> None:
    @speech.stage("b", batch=True, inputs={"texts": length()}, output=length(), null=lambda text: text == "2")
    def b(texts: Iterator[str]) -> Iterator[str]:
        next(texts)
        return map(str, texts)

    given = iter(["a", "b", "c", "d"])
    assert list(b(given)) == ["b", "c", "d"]
    assert counts(read, "b")["calls"] == 1
    assert read("pipemon_feature_observed_total", feature="texts_length") == 0


@pytest.mark.parametrize(
    ("batch", "result", "expected"),
    [
        ({"x": [1, 2, 3], "y": [4, 5, 6]}, [1, 2, 3], {"items_in": 3, "items_out": 3}),
        ([1, 2, 3], (["a", "b", "c"], [0.1, 0.2, 0.3]), {"items_in": 3, "items_out": 3}),
        ([1, 2], (0.1, None), {"items_in": 2, "items_out": 1, "items_null": 1}),
        (np.zeros((4, 2)), np.array([[1.0], [np.nan], [2.0], [3.0]]), {"items_in": 4, "items_out": 3, "items_null": 1}),
        (pandas.DataFrame({"": [1, 2]}), pandas.DataFrame({"": [1, 2]}), {"items_in": 2, "items_out": 2}),
        (pandas.Series([1.0, 2.0]), pandas.Series([np.nan, 2.0]), {"items_in": 2, "items_out": 1, "items_null": 1}),
    ],
)
def test_a_batchs_items_are_its_rows(
    batch: object, result: object, expected: dict[str, float], speech: Pipeline, read: Read
) -> None:
    speech.stage("b", batch=True)(lambda rows: result)(batch)
    assert counts(read, "b") == {"calls": 1, **expected}


def test_a_batch_that_the_stage_uses_up_was_as_long_as_it_came(speech: Pipeline, read: Read) -> None:
    @speech.stage("b", batch=True)
    def b(jobs: deque[int]) -> list[int]:
        return [jobs.popleft() for _ in range(len(jobs))]

    b(deque([1, 2, 3]))
    assert counts(read, "b") == {"calls": 1, "items_in": 3, "items_out": 3}


def test_an_odd_container_costs_no_call(speech: Pipeline, read: Read) -> None:
    class Odd:
        def __len__(self) -> int:
            raise ValueError

    speech.stage("b", batch=True)(lambda rows: rows)(Odd())
    assert counts(read, "b")["calls"] == 1


def test_a_reason_that_is_somebodys_data_is_other_and_breaks_no_scrape(
    speech: Pipeline, registry: CollectorRegistry, read: Read
) -> None:
    @speech.stage("asr")
    def asr(reason: object) -> None:
        pipemon.skip(reason)  # type: ignore[arg-type]

    class Unprintable:
        def __str__(self) -> str:
            raise ValueError

    for reason in (os.fsdecode(b"caf\xe9"), "z" * 5000, "a\nb", "", Unprintable()):
        asr(reason)
    generate_latest(registry)
    assert read("pipemon_stage_drop_reasons_total", reason="other") == 5


@pytest.mark.parametrize("items", [None, float("nan"), "many", -1])
def test_a_number_of_items_that_is_none_never_raises(items: Any, speech: Pipeline, read: Read) -> None:
    speech.stage("asr")(lambda: pipemon.drop("noise", items))()
    with speech.stage("block").call() as call:
        call.drop("noise", items)
    assert "items_dropped" not in counts(read, "asr") | counts(read, "block")


def test_the_innermost_code_under_way_is_whose_items_are_dropped(speech: Pipeline, read: Read) -> None:
    @speech.stage("stream")
    def stream() -> Iterator[int]:
        while True:
            pipemon.drop("noise")
            yield 1

    block = speech.stage("block")
    items = stream()
    next(items)
    with block.call():
        next(items)
        pipemon.drop("silence")
    items.close()  # type: ignore[attr-defined]
    assert counts(read, "stream")["items_dropped"] == 2
    assert counts(read, "block")["items_dropped"] == 1
    with ExitStack() as stack:
        stack.enter_context(block.call())
        pipemon.drop("silence")
    assert counts(read, "block")["items_dropped"] == 2


async def test_a_task_that_outlives_the_block_it_began_in_is_in_no_block(speech: Pipeline, read: Read) -> None:
    over = asyncio.Event()

    async def late() -> None:
        await over.wait()
        pipemon.drop("late")

    with speech.stage("block").call():
        task = asyncio.create_task(late())
        await asyncio.sleep(0)
    over.set()
    await task
    assert "items_dropped" not in counts(read, "block")


def test_an_extractor_that_drops_keeps_nothing_alive(speech: Pipeline) -> None:
    class Audio:
        pass

    def extract(audio: Audio) -> float:
        pipemon.drop("noise")
        return 1.0

    vad = speech.stage("vad", inputs={"audio": Feature("x", extract)})(lambda audio: 1)
    audio = Audio()
    vad(audio)
    seen = weakref.ref(audio)
    del audio
    gc.collect()
    assert seen() is None


async def test_whatever_can_be_awaited_can_be_a_stage(speech: Pipeline, read: Read) -> None:
    @types.coroutine
    def old() -> Generator[Any, Any, int]:
        yield from asyncio.sleep(0).__await__()
        return 1

    class Later:
        async def __call__(self) -> int:
            return await asyncio.wrap_future(self.future)

        def __init__(self) -> None:
            import concurrent.futures

            self.future: concurrent.futures.Future[int] = concurrent.futures.Future()
            self.future.set_result(2)

    assert await speech.stage("old")(old)() == 1
    assert await speech.stage("later")(Later())() == 2
    assert counts(read, "old") == counts(read, "later") == {"calls": 1, "items_in": 1, "items_out": 1}


if sys.version_info >= (3, 12):

    async def test_a_function_marked_as_one_that_is_awaited(speech: Pipeline) -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        future.set_result(1)
        marked = inspect.markcoroutinefunction(lambda: future)
        assert await speech.stage("marked")(marked)() == 1


def test_a_loop_that_ends_closes_a_half_read_stream_as_it_would_without_pipemon() -> None:
    code = """
import asyncio, sys
from prometheus_client import CollectorRegistry
from pipemon import Pipeline

@Pipeline("p", registry=CollectorRegistry()).stage("s")
async def stream():
    try:
        yield 1
        yield 2
    finally:
        await asyncio.sleep(0.01)
        print("closed")

async def main():
    global kept
    kept = stream()
    async for _ in kept:
        break

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("closed\n", "")


async def test_of_stages_that_fail_together_the_first_is_blamed(speech: Pipeline, read: Read) -> None:
    @speech.stage("asr")
    async def asr() -> None:
        raise LookupError

    @speech.stage("tts")
    async def tts() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise OSError

    @speech.run
    async def answer() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(tts())
            await asyncio.sleep(0)
            group.create_task(asr())

    with pytest.raises(ExceptionGroup):
        await answer()
    assert read("pipemon_pipeline_failures_total", failed_stage="asr") == 1
    assert read("pipemon_pipeline_failures_total", failed_stage="tts") == 0


def test_an_exception_that_answers_anything_is_counted(speech: Pipeline, read: Read) -> None:
    class Odd(Exception):
        def __getattr__(self, name: str) -> None:
            return None

    @speech.stage("asr")
    def asr() -> None:
        raise Odd

    with pytest.raises(Odd):
        asr()
    assert counts(read, "asr")["failures"] == 1


def test_calls_that_use_up_the_stack_leave_nothing_in_progress(speech: Pipeline, read: Read) -> None:
    @speech.stage("deep", output=Feature("x", lambda result: 1.0))
    def deep(left: int) -> int:
        return deep(left + 1)

    for _ in range(3):
        with pytest.raises(RecursionError):
            deep(0)
    assert "in_progress" not in counts(read, "deep")


def test_ctrl_c_in_an_extractor_is_the_users_and_leaves_nothing_in_progress(speech: Pipeline, read: Read) -> None:
    def interrupted(result: object) -> float:
        raise KeyboardInterrupt

    asr = speech.stage("asr", output=Feature("x", interrupted))(lambda: 1)
    with pytest.raises(KeyboardInterrupt):
        asr()
    assert counts(read, "asr") == {}
    assert read("pipemon_observations_dropped_total", stage="asr") == 1


def test_arguments_of_any_kind_are_wrong_as_early_as_without_pipemon(speech: Pipeline) -> None:
    def stream(first: int, *rest: int, flag: bool = False, **more: int) -> Iterator[int]:
        yield from (first, *rest, *more.values())

    stage = speech.stage("s", inputs={"more": length(), "first": value()})(stream)
    assert list(stage(1, 2, 3, flag=True, x=4)) == [1, 2, 3, 4]
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        stage()  # type: ignore[call-arg]
    assert inspect.signature(stage) == inspect.signature(stream)


def test_a_stream_lets_go_of_its_input_when_the_generator_does(speech: Pipeline) -> None:
    class Audio:
        pass

    @speech.stage("vad")
    def vad(audio: Audio) -> Iterator[int]:
        del audio
        yield 1

    audio = Audio()
    stream = vad(audio)
    seen = weakref.ref(audio)
    del audio
    next(stream)
    assert seen() is None


def test_partials_and_objects_keep_their_names_and_caches_their_methods(speech: Pipeline) -> None:
    @functools.lru_cache
    def cached(number: int) -> int:
        return number

    stage: Any = speech.stage("cached")(cached)
    assert (stage(1), stage(1), stage.cache_info().hits) == (1, 1, 1)
    stage.cache_clear()
    assert stage.cache_info().hits == 0
    partial: Any = speech.stage("partial")(functools.partial(cached, 1))
    assert partial.__name__ == "cached"


async def test_bound_coroutine_functions_run_in_the_run(speech: Pipeline) -> None:
    async def run_id() -> str:
        run = pipemon.current_run()
        return "" if run is None else run.id

    run = pipemon.Run.from_headers({})
    assert await run.bound(run_id)() == run.id


def test_the_documented_code_runs_where_pipemon_is_disabled() -> None:
    code = """
import pipemon
speech = pipemon.Pipeline("speech")

@speech.run
def answer():
    run = pipemon.current_run()
    return run.bound(len)("four"), run.headers(), run.id

assert answer() == (4, {}, "")
with pipemon.Run.from_headers({}):
    pass
"""
    environment = {**os.environ, "PIPEMON_DISABLED": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


async def test_an_async_stream_closed_by_another_task_ends_once(speech: Pipeline, read: Read) -> None:
    @speech.stage("s")
    async def stream() -> AsyncIterator[int]:
        with suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(0)
                yield 1

    items = stream()
    await anext(items)
    await asyncio.create_task(items.aclose())  # type: ignore[attr-defined]
    assert counts(read, "s") == {"calls": 1, "items_in": 1, "items_out": 1}

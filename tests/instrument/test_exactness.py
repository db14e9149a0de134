"""Whatever calls do, in whatever order, between whichever flushes, scrapes and forks: all is counted, once."""

from __future__ import annotations

import asyncio
import gc
import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from contextlib import suppress
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

import pipemon
from pipemon import Feature, Pipeline
from pipemon.instrument import recorder
from pipemon.instrument.exporter import exporter_for
from pipemon.instrument.stage import Stage

KINDS = ("function", "async_function", "block", "batch", "generator", "async_generator")
ONE_TO_ONE = KINDS[:4]
COUNTERS = (
    *(f"pipemon_stage_{name}_total" for name in ("calls", "failures", "null_outputs", "cancelled", "skipped")),
    *(f"pipemon_stage_items_{way}_total" for way in ("in", "out", "null", "failed", "dropped")),
)

items = st.lists(st.sampled_from([1, 2.5, None]), max_size=4)
ends = st.sampled_from(["return", "raise", "interrupt", "skip", "drop", "skip and raise"])
stream_ends = st.sampled_from(
    ["return", "raise", "skip", "skip and raise", "drop", "close", "collect", "throw", "interrupt"]
)
steps = st.one_of(
    st.tuples(st.sampled_from(ONE_TO_ONE), items, ends),
    st.tuples(st.sampled_from(KINDS[4:]), items, stream_ends),
    st.tuples(st.sampled_from(["flush", "scrape", "finish", "finish", "finish"]), st.just([]), st.just("")),
)


class Stages:
    """One stage of each kind, that does what it is told, with a feature of its input and one of its output."""

    def __init__(self, registry: CollectorRegistry) -> None:
        pipeline = Pipeline("p", registry=registry)
        self.open: list[Callable[[], None]] = []
        feature = Feature("size", lambda value: value if isinstance(value, float | int) else len(value), bounds=[1, 2])

        def stage(name: str, **options: Any) -> Stage:
            return pipeline.stage(name, inputs={"items": feature}, output=feature, **options)

        @stage("function", one_to_one=True)
        def function(items: list[Any], end: str) -> Any:
            return self.ended(items, end)

        @stage("async_function", one_to_one=True)
        async def async_function(items: list[Any], end: str) -> Any:
            await Pause()
            return self.ended(items, end)

        @stage("batch", batch=True, one_to_one=True)
        def batch(items: list[Any], end: str) -> Any:
            self.ended(items, end)
            return self.without_first(items) if end == "drop" else items

        @stage("generator")
        def generator(items: list[Any], end: str) -> Iterator[Any]:
            yield from self.without_first(items) if end == "drop" else items
            self.ended(items, end)

        @stage("async_generator")
        async def async_generator(items: list[Any], end: str) -> AsyncGenerator[Any]:
            for item in self.without_first(items) if end == "drop" else items:
                await Pause()
                yield item
            self.ended(items, end)

        self.function, self.async_function, self.batch = function, async_function, batch
        self.generator, self.async_generator = generator, async_generator
        self.block = stage("block", one_to_one=True)

    def without_first(self, items: list[Any]) -> list[Any]:
        if items:
            pipemon.drop("told to")
        return items[1:]

    def ended(self, items: list[Any], end: str) -> Any:
        if end.startswith("skip"):
            pipemon.skip("told to")
        if end.endswith("raise"):
            raise ValueError
        if end == "interrupt":
            raise KeyboardInterrupt
        return items[0] if items else None

    def call(self, kind: str, items: list[Any], end: str) -> None:
        if kind == "block":
            with self.block.call(items=items) as block:
                block.output(self.ended(items, end))
        elif kind == "async_function":
            _run(self.async_function(items, end))
        elif kind in ONE_TO_ONE:
            getattr(self, kind)(items, end)
        else:
            self.begin(kind, items, end)

    def begin(self, kind: str, items: list[Any], end: str) -> None:
        """Read a stream's first item, and leave the rest for later."""
        stream: Any = self.generator(items, end) if kind == "generator" else _Sync(self.async_generator(items, end))
        holder = [stream]
        del stream
        if next(holder[0], ...) is not ...:
            self.open.append(lambda: _finish(holder, end))

    def finish(self, all_of_them: bool = False) -> None:
        while self.open:
            with suppress(ValueError, KeyboardInterrupt):
                self.open.pop(0)()
            if not all_of_them:
                return


def _finish(holder: list[Any], end: str) -> None:
    if end == "collect":
        holder.clear()
        gc.collect(0)
    elif end == "close":
        holder.pop().close()
    elif end in ("throw", "interrupt"):
        holder.pop().throw(ValueError() if end == "throw" else KeyboardInterrupt())
    else:
        list(holder.pop())


class Pause:
    """Lets the event loop run others."""

    def __await__(self) -> Generator[None, None, None]:
        yield


def _run(steps: Any) -> Any:
    try:
        while True:
            steps.send(None)
    except StopIteration as stop:
        return stop.value


class _Sync:
    """An async generator, driven by hand."""

    def __init__(self, stream: AsyncGenerator[Any]) -> None:
        self._stream = stream

    def __iter__(self) -> _Sync:
        return self

    def __next__(self) -> Any:
        try:
            return _run(self._stream.asend(None))
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        _run(self._stream.aclose())

    def throw(self, error: BaseException) -> None:
        _run(self._stream.athrow(error))

    def __del__(self) -> None:
        self.close()  # as the event loop's hook does


def expected(calls: Sequence[tuple[str, list[Any], str]], kind: str) -> Counter[str]:
    """Count as a person would."""
    counts: Counter[str] = Counter()
    for _, given_items, told in (call for call in calls if call[0] == kind):
        stream, batch = "generator" in kind, kind == "batch"
        size = len(given_items) if batch else 1
        results = given_items if batch or stream else given_items[:1] or [None]
        end = told
        if stream and end in ("close", "collect", "throw", "interrupt"):
            results = results[:1]
            # What is exhausted before it can be broken off has returned.
            end = "return" if not results and end != "interrupt" else end
        if end == "drop" and (batch or stream):
            results = given_items[1:]
        nothing = all(result is None for result in results)
        way = {"raise": "failures", "skip and raise": "failures", "throw": "failures", "interrupt": "cancelled"}.get(
            end, "skipped" if end == "skip" else "null_outputs" if nothing else ""
        )
        counts["calls"] += 1
        counts[way] += 1
        counts["in"] += size
        failed = way in ("failures", "cancelled")
        counts["failed"] += size * (way == "failures")
        counts["dropped"] += size * (way in ("cancelled", "skipped"))
        counts["dropped"] += end == "drop" and bool(given_items) and (batch or stream)
        if stream or not (failed or way == "skipped"):
            counts["null"] += sum(result is None for result in results)
            counts["out"] += sum(result is not None for result in results)
        counts["input observed"] += len(given_items) if batch else 1
        taken = [] if not stream and (failed or way == "skipped") else results
        values = [result for result in taken if result is not None]
        counts["output observed"] += len(values)
        counts["output sum"] += sum(values)
        counts["output at most 1"] += values.count(1)
    return counts


def check(registry: CollectorRegistry, calls: Sequence[tuple[str, list[Any], str]]) -> None:
    seen: dict[tuple[str, str | None, str | None, str | None], float] = {
        (sample.name, sample.labels.get("stage"), sample.labels.get("direction"), sample.labels.get("le")): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.labels.get("sign") != "negative"
    }
    for (name, stage, direction, le), count in seen.items():
        if le == "+Inf":
            assert seen[name.removesuffix("_bucket") + "_count", stage, direction, None] == count
    assert sum(seen["pipemon_stage_in_progress", kind, None, None] for kind in KINDS) == 0
    for kind in KINDS:
        counts = expected(calls, kind)
        for name in COUNTERS:
            short = name.removeprefix("pipemon_stage_").removeprefix("items_").removesuffix("_total")
            assert seen[name, kind, None, None] == counts[short], (kind, short)
        timed = counts["calls"] - counts["skipped"]
        assert seen["pipemon_stage_duration_seconds_count", kind, None, None] == timed
        for direction in ("input", "output"):
            observed = seen["pipemon_feature_observed_total", kind, direction, None]
            missing = seen["pipemon_feature_missing_total", kind, direction, None]
            assert observed == counts[f"{direction} observed"], (kind, direction)
            assert seen["pipemon_feature_value_count", kind, direction, None] == observed - missing
        assert seen["pipemon_feature_sum_total", kind, "output", None] == counts["output sum"]
        assert seen["pipemon_feature_value_bucket", kind, "output", "1.0"] == counts["output at most 1"]
        assert seen["pipemon_observations_dropped_total", kind, None, None] == 0
        if kind in ONE_TO_ONE:
            assert counts["in"] == sum(counts[way] for way in ("out", "null", "failed", "dropped"))


def play(script: Sequence[tuple[str, list[Any], str]], forks: int | None = None) -> None:
    registry = CollectorRegistry()
    stages, calls = Stages(registry), []
    for index, (kind, given_items, end) in enumerate(script):
        if kind == "finish":
            stages.finish()
        elif kind == "flush":
            exporter_for(registry).flush_all()
        elif kind != "scrape":
            calls.append((kind, given_items, end))
            with suppress(ValueError, KeyboardInterrupt):
                stages.call(kind, given_items, end)
        elif not stages.open:
            check(registry, calls)
        if index == forks:
            child(stages, registry)
    found = [metric for metric in registry.collect() if metric.name == "pipemon_stage_in_progress"]
    assert sum(sample.value for metric in found for sample in metric.samples) == len(stages.open)
    stages.finish(all_of_them=True)
    check(registry, calls)


def child(stages: Stages, registry: CollectorRegistry) -> None:
    """Fork: the child ends what the parent began, and counts but its own calls."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            stages.finish(all_of_them=True)
            stages.call("function", [1], "return")
            stages.call("generator", [1, None], "close")
            stages.finish()
            check(registry, [("function", [1], "return"), ("generator", [1, None], "close")])
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(process, 0)[1] == 0


@pytest.mark.parametrize("tick", [0, 0.005])
@settings(max_examples=150)
@given(script=st.lists(steps, max_size=30))
def test_calls_of_every_kind_are_counted_exactly(tick: float, script: list[tuple[str, list[Any], str]]) -> None:
    with mock.patch.object(recorder, "TICK", tick):
        play(script)


@settings(max_examples=25)
@given(script=st.lists(steps, min_size=1, max_size=15), data=st.data())
def test_a_fork_at_any_moment_changes_nothing_in_the_parent_and_begins_anew_in_the_child(
    script: list[tuple[str, list[Any], str]], data: st.DataObject
) -> None:
    play(script, forks=data.draw(st.integers(0, len(script) - 1)))


def test_a_task_that_is_cancelled_closed_or_timed_out_counts_as_cancelled(registry: CollectorRegistry) -> None:
    pipeline = Pipeline("p", registry=registry)

    @pipeline.stage("s")
    async def waits() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(waits())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waits(), 0.001)
        begun = waits()
        begun.send(None)
        begun.close()

    asyncio.run(main())
    counts = {s.name: s.value for m in registry.collect() for s in m.samples if s.labels.get("stage") == "s"}
    assert counts["pipemon_stage_calls_total"] == counts["pipemon_stage_cancelled_total"] == 3
    assert counts["pipemon_stage_duration_seconds_count"] == counts["pipemon_stage_items_dropped_total"] == 3
    assert counts["pipemon_stage_in_progress"] == 0

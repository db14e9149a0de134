# mypy: disable-error-code="no-untyped-call"
"""What pipemon keeps: a bounded buffer of numbers, and nothing of the user's."""

from __future__ import annotations

import gc
import logging
import tracemalloc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

import pipemon
from pipemon import Feature, Pipeline
from pipemon.instrument import background
from pipemon.instrument.endings import Endings
from pipemon.instrument.exporter import exporter_for

Read = Callable[..., float | None]


class Big:
    """Stands for an array of 100 MB: a batch, too."""

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[int]:
        return iter([1])


class Kept:
    """Hands out big things and tells which of them are alive."""

    def __init__(self) -> None:
        self.made: list[weakref.ref[Big]] = []

    def big(self) -> Big:
        thing = Big()
        self.made.append(weakref.ref(thing))
        return thing

    @property
    def alive(self) -> int:
        return sum(made() is not None for made in self.made)


def size(value: object) -> int:
    if isinstance(value, Big):
        return len(value)
    raise LookupError


@pytest.fixture(params=["good extractor", "bad extractor"])
def features(request: pytest.FixtureRequest) -> Any:
    feature = Feature("size", size if request.param == "good extractor" else lambda value: 1 / 0)
    return {"inputs": {"given": feature}, "output": feature}


@pytest.fixture
def unlogged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep log records from pytest, which keeps them, and so the frames in their tracebacks."""
    monkeypatch.setattr(logging.getLogger("pipemon"), "disabled", True)


WAYS = ("returns", "raises", "skips")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def end(way: str) -> None:
    if way == "skips":
        pipemon.skip("told to")
    if way == "raises":
        raise ValueError


def assert_nothing_kept(kept: Kept, call: Callable[[], object]) -> None:
    """Without the garbage collector's help: reference cycles would keep big things for long."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):  # the first call is sampled
            with suppress(ValueError):
                call()
        assert kept.made
        assert kept.alive == 0
    finally:
        gc.enable()


@pytest.mark.usefixtures("unlogged")
@pytest.mark.parametrize("batch", [False, True])
def test_a_function_keeps_neither_what_it_is_given_nor_what_it_returns(
    speech: Pipeline, features: Any, way: str, batch: bool
) -> None:
    kept = Kept()

    @speech.run
    @speech.stage("vad", batch=batch, **features)
    def vad(given: Big) -> Big:
        end(way)
        return kept.big()

    assert_nothing_kept(kept, lambda: vad(kept.big()))


@pytest.mark.usefixtures("unlogged")
def test_an_async_function_keeps_nothing(speech: Pipeline, features: Any, way: str) -> None:
    kept = Kept()

    @speech.stage("vad", **features)
    async def vad(given: Big) -> Big:
        end(way)
        return kept.big()

    def call() -> None:
        with suppress(StopIteration):
            vad(kept.big()).send(None)

    assert_nothing_kept(kept, call)


@pytest.mark.usefixtures("unlogged")
@pytest.mark.parametrize("read", ["all", "first", "none left"])
def test_a_generator_keeps_no_item_while_its_consumer_has_gone_on_nor_after_its_end(
    speech: Pipeline, features: Any, way: str, read: str
) -> None:
    kept = Kept()

    @speech.stage("vad", **features)
    def vad(given: Big) -> Iterator[Big]:
        yield kept.big()
        yield kept.big()
        end(way)

    def call() -> None:
        stream = vad(kept.big())
        next(stream)
        assert kept.alive == 1  # what it was given
        if read == "all":
            list(stream)
        elif read == "first":
            stream.close()  # type: ignore[attr-defined]

    assert_nothing_kept(kept, call)


@pytest.mark.usefixtures("unlogged")
def test_an_async_generator_keeps_no_item(speech: Pipeline, features: Any, way: str) -> None:
    kept = Kept()

    @speech.stage("vad", **features)
    async def vad(given: Big) -> AsyncIterator[Big]:
        yield kept.big()
        yield kept.big()
        end(way)

    async def read() -> None:
        async for item in vad(kept.big()):
            del item
            assert kept.alive == 1

    def call() -> None:
        with suppress(StopIteration):
            read().send(None)

    assert_nothing_kept(kept, call)


@pytest.mark.usefixtures("unlogged")
@pytest.mark.parametrize("batch", [False, True])
def test_a_block_keeps_nothing_even_if_its_call_is_kept(speech: Pipeline, features: Any, way: str, batch: bool) -> None:
    kept, calls = Kept(), []
    stage = speech.stage("vad", batch=batch, **features)

    def block() -> None:
        with stage.call(given=kept.big()) as call:
            calls.append(call)
            end(way)
            call.output(kept.big())

    assert_nothing_kept(kept, block)
    assert calls


def test_a_million_calls_that_nobody_scrapes_take_a_few_megabytes(
    speech: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "start", lambda: None)  # only calls themselves flush
    vad = speech.stage("vad", output=Feature("size", float))(lambda: 1)

    def work(calls: int) -> None:
        for _ in range(calls):
            vad()

    work(10_000)
    tracemalloc.start()
    try:
        work(50_000)  # traced calls are slow; the other ones follow untraced
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8e6
    longest = 0
    (recorded,) = speech._exporter._recorders.values()  # type: ignore[union-attr]
    for _ in range(10):
        work(100_000)
        longest = max(longest, len(recorded.buffer), len(recorded.started))
    assert longest < 1_000_000


def test_an_extractor_that_always_raises_is_counted_each_time_and_logged_once_a_minute(
    speech: Pipeline, read: Read, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("pipemon.instrument.log.time.monotonic", lambda: now[0])
    vad = speech.stage("vad", output=Feature("broken", lambda value: 1 / 0))(lambda: 1)
    with caplog.at_level(logging.WARNING, logger="pipemon"):
        for _ in range(3):
            for _ in range(100):
                assert vad() == 1
            now[0] += 59
    assert read("pipemon_extractor_errors_total", stage="vad", feature="broken") == 300
    assert len(caplog.records) == 2


def test_endings_hold_no_exception(speech: Pipeline) -> None:
    """An exception holds its frames, and they everything that was in them."""

    class Mine(ValueError):
        pass

    @speech.run
    @speech.stage
    def vad() -> None:
        raise Mine

    with pytest.raises(Mine):
        vad()
    gc.collect()
    exporter = speech._exporter
    assert exporter is not None
    reached: list[Any] = [exporter, *(thing for thing in gc.get_objects() if isinstance(thing, Endings))]
    seen = set(map(id, reached))
    while reached:
        thing = reached.pop()
        assert not isinstance(thing, Mine)
        for other in gc.get_referents(thing):
            if id(other) not in seen and isinstance(other, dict | list | tuple | set | BaseException | Endings):
                seen.add(id(other))
                reached.append(other)


def test_a_flush_that_hangs_holds_up_neither_calls_nor_scrapes_for_long(
    speech: Pipeline, registry: CollectorRegistry, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipemon.instrument.exporter._LONGEST_WAIT", 0.01)
    vad = speech.stage("vad")(lambda: np.zeros(3))
    vad()
    assert read("pipemon_stage_calls_total", stage="vad") == 1
    with exporter_for(registry)._flushing:
        for _ in range(200_000):
            vad()
        assert read("pipemon_stage_calls_total", stage="vad") == 1
    calls, dropped = (read(f"pipemon_{name}_total", stage="vad") for name in ("stage_calls", "observations_dropped"))
    assert (calls or 0) + (dropped or 0) == 200_001
    assert dropped
    assert read("pipemon_stage_in_progress", stage="vad") == 0

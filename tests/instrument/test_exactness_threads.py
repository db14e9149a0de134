"""Threads that call at once, with the interpreter lock and without: each call is counted, none is torn."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry

import pipemon
from pipemon import Pipeline
from pipemon.features import value
from pipemon.instrument import recorder
from pipemon.instrument.exporter import exporter_for

Read = Callable[..., float | None]
THREADS = 8


@pytest.fixture(autouse=True)
def _eager_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def at_once(work: Callable[[], object]) -> None:
    barrier = threading.Barrier(THREADS)
    threads = [threading.Thread(target=lambda: (barrier.wait(), work())) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_the_first_blocks_of_several_threads_at_once_all_count(speech: Pipeline, read: Read) -> None:
    for name in (f"vad{number}" for number in range(20)):
        stage = speech.stage(name)

        def block(stage: pipemon.Stage = stage) -> None:
            with stage.call():
                pass

        at_once(block)
        assert read("pipemon_stage_calls_total", stage=name) == THREADS


def test_a_stage_that_several_threads_declare_at_once_counts_the_calls_of_all(
    registry: CollectorRegistry, read: Read
) -> None:
    for name in (f"vad{number}" for number in range(40)):

        def declare(name: str = name) -> None:
            Pipeline("speech", registry=registry).stage(name)(lambda: 1)()

        at_once(declare)
        assert read("pipemon_stage_calls_total", stage=name) == THREADS


def test_calls_with_remarks_batches_and_streams_from_threads_while_others_flush_are_exact(
    speech: Pipeline, registry: CollectorRegistry, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "FLUSH_AT", 64)
    monkeypatch.setattr(recorder, "TICK", 0)

    @speech.stage("vad", inputs={"number": value("two")}, output=value("two"))
    def vad(number: int) -> int | None:
        if number % 7 == 0:
            pipemon.drop("seventh", items=2)
        if number % 10 == 0:
            return pipemon.skip("tenth")
        if number % 11 == 0:
            raise ValueError
        return 2

    @speech.stage("embed", inputs={"numbers": value("two")}, batch=True)
    def embed(numbers: list[int]) -> list[int]:
        return numbers

    @speech.stage("words", output=value("two"))
    def words(size: int) -> Iterator[int]:
        yield from [2] * size

    done = threading.Event()

    def flush() -> None:
        while not done.is_set():
            exporter_for(registry).flush_all()

    def work() -> None:
        for number in range(1, 301):
            with suppress(ValueError):
                vad(number)
            embed([2] * 5)
            assert list(words(3)) == [2, 2, 2]

    flusher = threading.Thread(target=flush)
    flusher.start()
    at_once(work)
    done.set()
    flusher.join()
    # Of 1 to 300: 30 are tenths, 42 sevenths, 27 elevenths of which 2 are tenths and 3 sevenths; 4 are tenths and
    # sevenths, whose own item is among those that they dropped.
    counts = {"calls": 300, "skipped": 30, "failures": 25, "items_dropped": 30 - 4 + 2 * (42 - 3)}
    for name, times in counts.items():
        assert read(f"pipemon_stage_{name}_total", stage="vad") == THREADS * times, name
    for stage, direction, times in (("vad", "output", 245), ("embed", "input", 1500), ("words", "output", 900)):
        labels = {"stage": stage, "direction": direction}
        assert read("pipemon_feature_observed_total", **labels) == THREADS * times
        assert read("pipemon_feature_value_bucket", le="+Inf", **labels) == THREADS * times
        assert read("pipemon_feature_sum_total", sign="positive", **labels) == THREADS * times * 2
    for stage in ("vad", "embed", "words"):
        assert read("pipemon_stage_in_progress", stage=stage) == 0

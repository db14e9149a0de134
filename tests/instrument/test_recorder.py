# mypy: disable-error-code="no-untyped-call"
"""The buffer between the calls and the metrics: nothing lost, nothing twice, never in the way."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

import pipemon
from pipemon import Feature, Pipeline
from pipemon.features import length
from pipemon.instrument import background, recorder
from pipemon.instrument.exporter import exporter_for

Read = Callable[..., float | None]
BOUNDS = (-1.0, 0.0, 0.5, 2.0)

numbers = st.one_of(
    st.none(),
    st.floats(-1e6, 1e6),
    st.sampled_from([*BOUNDS, -0.0, math.nan, math.inf, -math.inf, 1e201, "text", 3, True, 10**400]),
)
steps = st.one_of(
    st.tuples(st.just("call"), numbers, numbers),
    st.tuples(st.just("raise"), numbers, st.sampled_from([ValueError, KeyError, KeyboardInterrupt])),
    st.tuples(st.just("break"), numbers, st.none()),
    st.tuples(st.just("flush"), st.none(), st.none()),
)


class Model:
    """The same counts, made one by one as a person would."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.values: dict[str, list[float]] = {"in": [], "out": []}

    def look(self, feature: str, number: Any) -> None:
        self.counts[f"{feature} observed"] += 1
        usable = isinstance(number, int | float) and abs(number) <= 1e200
        if usable:
            self.values[feature].append(float(number))
        else:
            self.counts[f"{feature} missing"] += 1

    def play(self, step: tuple[str, Any, Any]) -> None:
        kind, given, result = step
        if kind == "flush":
            return
        self.counts["calls"] += 1
        self.look("in", given)
        if kind == "raise":
            self.counts["failures" if issubclass(result, Exception) else "cancelled"] += 1
        elif kind == "break":
            self.counts["out errors"] += 1
        elif result is None or (isinstance(result, float) and math.isnan(result)):
            self.counts["null_outputs"] += 1
            if result is not None:
                self.look("out", result)
        else:
            self.look("out", result)


class Breaking:
    """A result that makes the extractor raise."""


def extract(value: object) -> object:
    if isinstance(value, Breaking):
        raise LookupError
    return value


@settings(max_examples=150)
@given(st.lists(steps, max_size=40))
def test_whatever_happens_between_two_flushes_is_counted_exactly(script: list[tuple[str, Any, Any]]) -> None:
    registry, model = CollectorRegistry(), Model()
    pipeline = Pipeline("p", registry=registry)
    flush = exporter_for(registry).flush_all

    @pipeline.stage(
        "s", inputs={"given": Feature("in", extract, bounds=BOUNDS)}, output=Feature("out", extract, bounds=BOUNDS)
    )
    def stage(given: object, result: Any) -> object:
        if isinstance(result, type):
            raise result
        return result

    for step in script:
        kind, given_number, result = step
        model.play(step)
        if kind == "flush":
            flush()
        elif kind == "raise":
            with pytest.raises(result):
                stage(given_number, result)
        else:
            stage(given_number, Breaking() if kind == "break" else result)

    def read(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(
            name, {"pipeline": "p", "stage": "s", "version": "0", "track": "stable", **labels}
        )

    for name in ("calls", "failures", "null_outputs", "cancelled"):
        assert read(f"pipemon_stage_{name}_total") == model.counts[name]
    assert read("pipemon_stage_duration_seconds_count") == model.counts["calls"]
    for direction, feature in (("input", "in"), ("output", "out")):
        labels, values = {"direction": direction, "feature": feature}, model.values[feature]
        assert read("pipemon_feature_observed_total", **labels) == model.counts[f"{feature} observed"]
        assert read("pipemon_feature_missing_total", **labels) == model.counts[f"{feature} missing"]
        assert read("pipemon_extractor_errors_total", **labels) == model.counts[f"{feature} errors"]
        bins = Counter(bisect_left(BOUNDS, value) for value in values)
        for index, le in enumerate(["-1.0", "0.0", "0.5", "2.0", "+Inf"]):
            below = sum(bins[i] for i in range(index + 1))
            assert read("pipemon_feature_value_bucket", le=le, **labels) == below
        positive = sum(value for value in values if value > 0)
        assert read("pipemon_feature_sum_total", sign="positive", **labels) == pytest.approx(positive)
        negative = -sum(value for value in values if value < 0)
        assert read("pipemon_feature_sum_total", sign="negative", **labels) == pytest.approx(negative)


@settings(max_examples=30)
@given(st.lists(st.one_of(st.floats(), st.sampled_from([*BOUNDS, -0.0])), min_size=1, max_size=20))
def test_a_large_batch_is_counted_as_each_of_its_values_is(values: list[float]) -> None:
    registry, times = CollectorRegistry(), 1000
    feature = Feature("x", extract, many=lambda batch: batch, bounds=BOUNDS)
    stage = Pipeline("p", registry=registry).stage("s", inputs={"batch": feature}, batch=True)(lambda batch: batch)
    stage(np.tile(values, times))
    exporter_for(registry).flush_all()
    usable = [value for value in values if abs(value) <= 1e200]
    counted = {
        sample.labels["le"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "pipemon_feature_value_bucket"
    }
    for bound in ("-1.0", "0.0", "0.5", "2.0", "+Inf"):
        assert counted[bound] == times * sum(value <= float(bound) for value in usable)
    sums = {
        sample.labels["sign"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "pipemon_feature_sum_total"
    }
    assert sums["positive"] == pytest.approx(times * sum(value for value in usable if value > 0))
    assert sums["negative"] == pytest.approx(-times * sum(value for value in usable if value < 0))


@pytest.fixture
def each_call_looks(no_thread_flushes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the buffer's length, and no thread flushes besides."""
    monkeypatch.setattr(recorder, "TICK", 0)
    monkeypatch.setattr(background, "start", lambda: None)


@pytest.mark.usefixtures("each_call_looks")
def test_a_full_buffer_is_flushed_by_the_next_call_that_looks(speech: Pipeline, registry: CollectorRegistry) -> None:
    calls = exporter_for(registry).families["pipemon_stage_calls_total"]
    vad = speech.stage("vad", output=length())(lambda: "x")
    for _ in range(recorder.FLUSH_AT + 10):
        vad()
    assert calls.labels("speech", "vad", "1.4", "stable")._value.get() == recorder.FLUSH_AT


@pytest.mark.usefixtures("each_call_looks")
def test_calls_that_fail_and_that_nobody_scrapes_keep_the_buffer_bounded(
    speech: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "FLUSH_AT", 100)

    @speech.stage("vad", inputs={"text": Feature("broken", lambda _: 1 / 0)})
    def vad(text: str) -> None:
        raise ValueError

    (recorded,) = speech._exporter._recorders.values()  # type: ignore[union-attr]
    longest = 0
    for _ in range(1000):
        with pytest.raises(ValueError):  # noqa: PT011
            vad("hello")
        longest = max(longest, len(recorded.buffer) // recorded.width, len(recorded.notes) // 2)
    assert longest <= 100


@pytest.mark.usefixtures("each_call_looks")
def test_while_a_flush_is_stuck_calls_go_on_and_beyond_the_limit_are_dropped_and_counted(
    speech: Pipeline, registry: CollectorRegistry, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "FLUSH_AT", 10)
    monkeypatch.setattr(recorder, "KEEP_AT_MOST", 100)
    exporter = exporter_for(registry)
    vad = speech.stage("vad", output=length())(lambda: "x")
    (recorded,) = exporter._recorders.values()
    with exporter._flushing:  # as a stuck flush does
        for _ in range(250):
            vad()
        assert len(recorded.buffer) // recorded.width <= 101  # the call that looked is the one more
        assert len(recorded.started) <= 101
    assert read("pipemon_observations_dropped_total", stage="vad") == 149
    assert read("pipemon_stage_calls_total", stage="vad") == 101
    assert read("pipemon_feature_value_count", feature="length") == 101
    assert read("pipemon_stage_in_progress", stage="vad") == 0


@pytest.mark.usefixtures("each_call_looks")
def test_while_a_flush_is_stuck_the_features_of_batches_are_bounded_by_their_values(
    speech: Pipeline, registry: CollectorRegistry, read: Read
) -> None:
    @speech.stage("embed", inputs={"texts": length()}, batch=True)
    def embed(texts: list[str]) -> list[str]:
        return texts

    (recorded,) = exporter_for(registry)._recorders.values()
    texts = ["a"] * 10_000
    with exporter_for(registry)._flushing:
        for _ in range(300):
            embed(texts)
            assert sum(len(values) for _, values in recorded.arrays) <= recorder._MOST_ARRAY_VALUES + len(texts)
    assert read("pipemon_stage_items_in_total", stage="embed") == 3_000_000


@pytest.mark.usefixtures("no_thread_flushes")
def test_a_flush_that_fails_counts_its_calls_as_dropped_and_the_next_one_works(
    speech: Pipeline, registry: CollectorRegistry, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    vad = speech.stage("vad")(lambda: 1)
    vad()
    with monkeypatch.context() as patch:
        patch.setattr(recorder, "_array", lambda *args, **kwargs: 1 / 0)
        assert read("pipemon_stage_calls_total", stage="vad") == 0
    vad()
    assert read("pipemon_stage_calls_total", stage="vad") == 1
    assert read("pipemon_observations_dropped_total", stage="vad") == 1
    assert read("pipemon_stage_in_progress", stage="vad") == 0


@pytest.mark.usefixtures("no_thread_flushes")
def test_a_signal_handler_that_raises_during_a_flush_reaches_the_user_and_its_calls_count_as_dropped(
    speech: Pipeline, registry: CollectorRegistry, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    vad = speech.stage("vad")(lambda: 1)
    vad()

    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recorder, "_array", interrupted)
        with pytest.raises(KeyboardInterrupt):
            exporter_for(registry).flush_all()
    vad()
    assert read("pipemon_stage_calls_total", stage="vad") == 1
    assert read("pipemon_observations_dropped_total", stage="vad") == 1
    assert read("pipemon_stage_in_progress", stage="vad") == 0


def test_a_recorder_that_fails_does_not_reach_the_caller(
    speech: Pipeline, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch, read: Read
) -> None:
    def fail(self: object) -> None:
        raise MemoryError

    monkeypatch.setattr(recorder.Recorder, "full", fail)
    vad = speech.stage("vad")(lambda text: text)
    assert vad("hello") == "hello"

    @speech.stage
    def broken() -> None:
        raise ValueError("the user's own")

    with pytest.raises(ValueError, match="the user's own"):
        broken()


@pytest.mark.usefixtures("no_thread_flushes")
def test_flushing_in_the_background_begins_with_the_first_call(
    speech: Pipeline, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "INTERVAL", 0.01)
    vad = speech.stage("vad")(lambda: 1)
    calls = exporter_for(registry).families["pipemon_stage_calls_total"].labels("speech", "vad", "1.4", "stable")
    assert background._thread is None
    vad()
    assert background._thread is not None
    deadline = time.monotonic() + 120
    while calls._value.get() < 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert calls._value.get() == 1


def test_calls_while_others_flush_are_neither_lost_nor_counted_twice(
    speech: Pipeline, registry: CollectorRegistry, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "FLUSH_AT", 50)
    vad = speech.stage("vad", output=length())(lambda items: items)
    done = threading.Event()

    def work() -> None:
        for _ in range(4000):
            vad("abc")

    def scrape() -> None:
        while not done.is_set():
            exporter_for(registry).flush_all()

    workers = [threading.Thread(target=work) for _ in range(3)]
    scraper = threading.Thread(target=scrape)
    for thread in (scraper, *workers):
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    scraper.join()
    assert read("pipemon_stage_calls_total", stage="vad") == 12_000
    assert read("pipemon_feature_sum_total", feature="length", sign="positive") == 36_000
    assert read("pipemon_observations_dropped_total", stage="vad") == 0


def test_time_spent_flushing_is_told(speech: Pipeline, read: Read) -> None:
    before = read("pipemon_flush_seconds_total")
    speech.stage("vad")(lambda: 1)()
    after = read("pipemon_flush_seconds_total")
    assert before is not None
    assert after is not None
    assert after > before


@pytest.fixture
def forked() -> Callable[[Callable[[], object]], object]:
    """Run a function in a forked child and return what it returns."""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system has no fork")

    def run(function: Callable[[], object]) -> object:
        receiver, sender = multiprocessing.Pipe(duplex=False)
        child = os.fork()
        if child == 0:
            try:
                sender.send(function())
            finally:
                os._exit(0)
        sender.close()
        try:
            return receiver.recv() if receiver.poll(30) else "the child hangs"
        finally:
            receiver.close()
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    return run


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_counts_its_own_calls_only(
    speech: Pipeline, read: Read, forked: Callable[[Callable[[], object]], object]
) -> None:
    vad = speech.stage("vad")(lambda: 1)

    @speech.stage
    def forks() -> object:
        vad()  # buffered in the parent when the child begins
        return forked(lambda: (vad(), vad(), read("pipemon_stage_calls_total", stage="vad")))

    assert forks() == (1, 1, 2)
    assert read("pipemon_stage_calls_total", stage="vad") == 1
    # What the parent had counted already is its own as well.
    assert forked(lambda: (vad(), read("pipemon_stage_calls_total", stage="vad"))) == (1, 1)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("way", ["returns", "raises", "skips", "streams", "batch", "block"])
def test_a_call_that_is_under_way_at_a_fork_is_its_parents_to_count_however_it_ends(
    speech: Pipeline, registry: CollectorRegistry, way: str
) -> None:
    children: list[int] = []

    def ends(text: str) -> str:
        children.append(os.fork())
        if way == "raises":
            raise ValueError
        if way == "skips":
            pipemon.drop("said")
            pipemon.skip("said")
        return text

    def streams(text: str) -> Iterator[str]:
        yield text
        children.append(os.fork())
        yield text

    features: Any = {"inputs": {"text": length()}, "output": length()}
    run: Callable[[str], object]
    if way == "streams":
        streamed = speech.run(speech.stage("vad", **features)(streams))

        def run(text: str) -> None:
            for _ in streamed(text):
                time.sleep(0.01)  # its consumer's time, not its own

    elif way == "block":
        stage = speech.stage("vad", **features)

        @speech.run
        def run(text: str) -> None:
            with stage.call(text=text) as block:
                block.output(ends(text))

    else:
        run = speech.run(speech.stage("vad", batch=way == "batch", **features)(ends))
    parent = os.getpid()
    receiver, sender = multiprocessing.Pipe(duplex=False)
    try:
        with pytest.raises(ValueError) if way == "raises" else nullcontext():  # noqa: PT011
            run("abc")
        counted = {
            sample.name: sample.value
            for metric in registry.collect()
            for sample in metric.samples
            if metric.type == "counter" and sample.value and sample.labels
        }
        if os.getpid() != parent:
            sender.send(counted)
    finally:
        if os.getpid() != parent:
            os._exit(0)
    os.waitpid(children[0], 0)
    assert receiver.recv() == {}
    assert counted["pipemon_stage_calls_total"] == counted["pipemon_pipeline_runs_total"] == 1
    assert ("pipemon_pipeline_failures_total" in counted) == (way == "raises")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("held", ["registry", "family", "flushing", "value"])
def test_a_child_does_not_inherit_locks_that_another_thread_holds(
    speech: Pipeline,
    registry: CollectorRegistry,
    read: Read,
    forked: Callable[[Callable[[], object]], object],
    held: str,
) -> None:
    vad = speech.stage("vad")(lambda: 1)
    exporter = exporter_for(registry)
    family = exporter.families["pipemon_stage_duration_seconds"]
    histogram = family.labels("speech", "vad", "1.4", "stable")
    lock = {
        "registry": registry._lock,
        "family": family._lock,
        "flushing": exporter._flushing,
        "value": histogram._buckets[0]._lock,
    }[held]

    def child() -> object:
        vad()
        return read("pipemon_stage_duration_seconds_count", stage="vad")

    with lock:
        assert forked(child) == 1


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_in_the_middle_of_flushes_and_scrapes_leaves_the_child_able_to_scrape(
    speech: Pipeline, registry: CollectorRegistry, read: Read, forked: Callable[[Callable[[], object]], object]
) -> None:
    vad = speech.stage("vad", output=length())(lambda: "abc")
    done = threading.Event()

    def busy() -> None:
        while not done.is_set():
            vad()
            exporter_for(registry).flush_all()
            list(registry.collect())

    thread = threading.Thread(target=busy)
    thread.start()

    def child() -> bool:
        before = read("pipemon_stage_calls_total", stage="vad")
        vad()
        return read("pipemon_stage_calls_total", stage="vad") == (before or 0) + 1

    try:
        assert [forked(child) for _ in range(20)] == [True] * 20
    finally:
        done.set()
        thread.join()

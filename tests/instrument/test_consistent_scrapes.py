# mypy: disable-error-code="no-untyped-call"
"""One scrape is one state: whatever is divided by whatever else was true at one moment."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pipemon import Feature, Pipeline
from pipemon.instrument import exporter as exporting
from pipemon.instrument import recorder
from pipemon.instrument.exporter import exporter_for

SUM, COUNT = "pipemon_feature_sum_total", "pipemon_feature_value_count"
Read = Callable[..., float | None]


def value(families: Iterable[Metric], name: str, **labels: str) -> float:
    """Return the one sample with this name and these labels among its own."""
    (found,) = [
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return found


@pytest.fixture
def run(registry: CollectorRegistry) -> Callable[[], object]:
    """Two stages, of which the second raises, in a run; the first has a feature that is always 2."""
    speech = Pipeline("speech", registry=registry)
    vad = speech.stage("vad", output=Feature("two", lambda _: 2.0, bounds=[0, 2]))(lambda: 1)

    @speech.stage("asr", after="vad")
    def asr(segments: int) -> None:
        raise ValueError

    @speech.run
    def answer() -> None:
        asr(vad())

    return answer


@contextmanager
def hammered(run: Callable[[], object], registry: CollectorRegistry) -> Iterator[None]:
    """Let three threads call and one flush, switching as often as Python can."""
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            with suppress(ValueError):
                run()

    def flush() -> None:
        while not done.wait(0.001):
            exporter_for(registry).flush_all()

    threads = [threading.Thread(target=target) for target in (work, work, work, flush)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)


def test_in_every_one_of_many_scrapes_at_once_all_families_agree(
    run: Callable[[], object], registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "FLUSH_AT", 64)
    texts: list[bytes] = []

    def scrape() -> None:
        texts.extend(generate_latest(registry) for _ in range(40))

    with hammered(run, registry):
        scrapers = [threading.Thread(target=scrape) for _ in range(4)]
        for thread in scrapers:
            thread.start()
        for thread in scrapers:
            thread.join()
    assert len(texts) == 160
    for text in texts:
        seen = list(text_string_to_metric_families(text.decode()))
        vad, asr, runs = (
            value(seen, "pipemon_stage_calls_total", stage="vad"),
            value(seen, "pipemon_stage_calls_total", stage="asr"),
            value(seen, "pipemon_pipeline_runs_total"),
        )
        assert value(seen, "pipemon_stage_duration_seconds_count", stage="vad") == vad
        assert value(seen, COUNT) == value(seen, "pipemon_feature_observed_total") == vad
        assert value(seen, "pipemon_feature_value_bucket", le="2.0") == vad
        assert value(seen, "pipemon_feature_value_sum") == value(seen, SUM, sign="positive") == 2 * vad
        assert value(seen, "pipemon_stage_failures_total", stage="asr") == asr
        assert value(seen, "pipemon_pipeline_duration_seconds_count") == runs
        assert value(seen, "pipemon_pipeline_failures_total", failed_stage="asr") <= runs <= asr <= vad
    assert vad > 0


def test_a_scrape_is_of_the_moment_when_it_began_however_slowly_it_is_read(
    run: Callable[[], object], registry: CollectorRegistry, read: Read
) -> None:
    slow = iter(registry.collect())
    seen = [next(slow)]
    with pytest.raises(ValueError):  # noqa: PT011
        run()
    exporter_for(registry).flush_all()
    assert read(COUNT, feature="two") == 1  # a scrape that goes on holds nobody up
    seen.extend(slow)
    assert value(seen, COUNT) == value(seen, SUM, sign="positive") == 0


def test_a_scrape_of_some_names_shows_every_call_that_ended_too(
    run: Callable[[], object], registry: CollectorRegistry
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        run()
    seen = list(registry.restricted_registry([SUM, COUNT]).collect())
    assert {sample.name for family in seen for sample in family.samples} == {SUM, COUNT}
    assert (value(seen, COUNT), value(seen, SUM, sign="positive")) == (1, 2)


def test_a_scrape_during_a_flush_waits_for_its_end(run: Callable[[], object], registry: CollectorRegistry) -> None:
    exporter = exporter_for(registry)
    vad = next(iter(exporter._recorders.values())).series
    scrapes: list[threading.Thread] = []
    seen: list[list[Metric]] = []

    class Slow:
        def inc(self, amount: float) -> None:
            scrapes.append(threading.Thread(target=lambda: seen.append(list(registry.collect()))))
            scrapes[0].start()
            scrapes[0].join(0.05)
            assert not seen
            counter.inc(amount)

    feature = vad.features[0]  # type: ignore[attr-defined]
    counter, feature._positive = feature._positive, Slow()
    with pytest.raises(ValueError):  # noqa: PT011
        run()
    exporter.flush_all()
    scrapes[0].join()
    assert (value(seen[0], COUNT), value(seen[0], SUM, sign="positive")) == (1, 2)


def test_while_a_flush_is_stuck_a_scrape_shows_what_the_latest_one_did(
    run: Callable[[], object], registry: CollectorRegistry, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "_LONGEST_WAIT", 0.01)
    assert read(COUNT, feature="two") == 0
    exporter = exporter_for(registry)
    exporter.before_fork()  # holds the flushing lock, as a stuck flush does
    with pytest.raises(ValueError):  # noqa: PT011
        run()
    assert read(COUNT, feature="two") == 0
    exporter.after_fork(in_child=False)
    assert read(COUNT, feature="two") == 1


def test_a_registry_that_was_emptied_shows_the_next_pipeline(registry: CollectorRegistry, read: Read) -> None:
    Pipeline("first", registry=registry).stage("vad")(lambda: 1)()
    for collector in list(registry._collector_to_names):
        registry.unregister(collector)
    assert read("pipemon_stage_calls_total", pipeline="first") is None
    Pipeline("second", registry=registry).stage("vad")(lambda: 1)()
    assert read("pipemon_stage_calls_total", pipeline="second") == 1

# mypy: disable-error-code="no-untyped-call"
"""Forks from several threads, and what a fork finds of pipemon's own thread and locks."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from pipemon import Pipeline
from pipemon.instrument import background
from pipemon.instrument.exporter import exporter_for

Read = Callable[..., float | None]


pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture(autouse=True)
def others(no_thread_flushes: None) -> int:
    """Begin without a flushing thread; those that earlier tests left behind are counted."""
    return flushing_threads()


def fork() -> int:
    """Fork; the child ends at once, and its status tells whether it could."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    return os.waitpid(child, 0)[1]


def flushing_threads() -> int:
    return sum(thread.name == "pipemon-flush" for thread in threading.enumerate())


def test_a_fork_between_calls_finds_no_thread_of_ours_and_the_next_call_starts_it_again(
    speech: Pipeline, others: int
) -> None:
    """Python 3.12 and later warn of a fork beside a thread."""
    vad = speech.stage("vad")(lambda: 1)
    vad()
    assert flushing_threads() == others + 1
    assert fork() == 0
    assert flushing_threads() == others
    vad()
    assert flushing_threads() == others + 1


def test_what_was_called_before_a_fork_is_flushed_by_it(speech: Pipeline, registry: CollectorRegistry) -> None:
    vad = speech.stage("vad")(lambda: 1)
    vad()
    fork()
    calls = exporter_for(registry).families["pipemon_stage_calls_total"].labels("speech", "vad", "1.4", "stable")
    assert calls._value.get() == 1


def test_a_call_that_forked_is_flushed_though_no_other_call_follows(
    speech: Pipeline, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "INTERVAL", 0.01)
    vad = speech.stage("vad")(fork)
    vad()
    calls = exporter_for(registry).families["pipemon_stage_calls_total"].labels("speech", "vad", "1.4", "stable")
    deadline = time.monotonic() + 120
    while calls._value.get() < 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert calls._value.get() == 1


def test_a_thread_whose_fork_could_wait_no_longer_lets_no_flush_into_another_ones(registry: CollectorRegistry) -> None:
    exporter = exporter_for(registry)
    exporter.before_fork()
    other = threading.Thread(target=exporter.after_fork, kwargs={"in_child": False})
    other.start()
    other.join()
    assert exporter._flushing.locked()
    exporter.after_fork(in_child=False)
    assert not exporter._flushing.locked()


def test_forks_calls_and_scrapes_from_several_threads_at_once_lose_nothing(
    speech: Pipeline, registry: CollectorRegistry, read: Read, others: int
) -> None:
    vad = speech.stage("vad")(lambda: 1)
    statuses: list[int] = []

    def work() -> None:
        for _ in range(10):
            for _ in range(100):
                vad()
            statuses.append(fork())
            list(registry.collect())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    sys.setswitchinterval(interval)
    assert statuses == [0] * 40
    assert not exporter_for(registry)._flushing.locked()
    assert read("pipemon_stage_calls_total", stage="vad") == 4000
    assert read("pipemon_stage_in_progress", stage="vad") == 0
    assert flushing_threads() <= others + 1

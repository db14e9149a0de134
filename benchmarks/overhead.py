"""What a decorator adds to a call: `python benchmarks/overhead.py`.

The same small function bare, in a wrapper that only times, as a pipemon stage (its flushes included),
and under a decorator written by hand on prometheus_client that exports the same: calls, failures, null
outputs, calls in progress, a latency histogram, and a histogram of one input and one output feature, each
child bound once. All in one process, rounds interleaved; the median round counts, in processor time of all
threads. Ratios say more than nanoseconds: these differ from machine to machine.
"""

from __future__ import annotations

import asyncio
import functools
import statistics
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

import pipemon
from pipemon.features import length
from pipemon.instrument.exporter import exporter_for

CALLS = 20_000
ROUNDS = 15
WORDS = ["one", "two", "three"]
LENGTHS = (0, 1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 500, 1000)

Function = Callable[..., Any]


def split(text: str) -> list[str]:
    return WORDS


async def split_async(text: str) -> list[str]:
    return WORDS


def timed(function: Function) -> Function:
    spent = [0.0]

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        begun = perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[0] += perf_counter() - begun

    return wrapper


def timed_async(function: Function) -> Function:
    spent = [0.0]

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        begun = perf_counter()
        try:
            return await function(*args, **kwargs)
        finally:
            spent[0] += perf_counter() - begun

    return wrapper


class ByHand:
    """The series that a careful person exports with prometheus_client, each child bound once."""

    def __init__(self, registry: CollectorRegistry, stage: str) -> None:
        names = ("pipeline", "stage", "version", "track")
        labels = ("bench", stage, "1", "stable")

        def counter(name: str) -> Counter:
            return Counter(f"hand_{name}_total", name, names, registry=registry).labels(*labels)

        def histogram(name: str, bounds: tuple[float, ...]) -> Histogram:
            made = Histogram(f"hand_{name}", name, names, registry=registry, buckets=bounds)
            return made.labels(*labels)

        self.calls, self.failures, self.null_outputs = map(counter, ("calls", "failures", "null_outputs"))
        self.in_progress = Gauge("hand_in_progress", "in progress", names, registry=registry).labels(*labels)
        seconds = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
        self.seconds = histogram("seconds", seconds)
        self.text_length = histogram("text_length", LENGTHS)
        self.length = histogram("length", LENGTHS)

    def ended(self, begun: float) -> None:
        self.seconds.observe(perf_counter() - begun)
        self.in_progress.dec()
        self.calls.inc()

    def returned(self, text: str, result: list[str]) -> None:
        if not result:
            self.null_outputs.inc()
        self.text_length.observe(len(text))
        self.length.observe(len(result))


def by_hand(function: Function) -> Function:
    series = ByHand(CollectorRegistry(), "split")

    @functools.wraps(function)
    def wrapper(text: str) -> Any:
        series.in_progress.inc()
        begun = perf_counter()
        try:
            result = function(text)
        except Exception:
            series.failures.inc()
            raise
        finally:
            series.ended(begun)
        series.returned(text, result)
        return result

    return wrapper


def by_hand_async(function: Function) -> Function:
    series = ByHand(CollectorRegistry(), "split")

    @functools.wraps(function)
    async def wrapper(text: str) -> Any:
        series.in_progress.inc()
        begun = perf_counter()
        try:
            result = await function(text)
        except Exception:
            series.failures.inc()
            raise
        finally:
            series.ended(begun)
        series.returned(text, result)
        return result

    return wrapper


def as_stage(function: Function, registry: CollectorRegistry) -> Function:
    pipeline = pipemon.Pipeline("bench", version="1", registry=registry)
    return pipeline.stage("split", inputs={"text": length()}, output=length())(function)


def call_often(function: Function) -> None:
    for _ in range(CALLS):
        function("one two three")


async def await_often(function: Function) -> None:
    for _ in range(CALLS):
        await function("one two three")


def measure(
    variants: dict[str, Function], flush: Callable[[], None], repeat: Callable[[Function], None]
) -> dict[str, float]:
    """Return each variant's median time of a call in nanoseconds."""
    rounds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, function in variants.items():
            begun = process_time()
            repeat(function)
            if name == "pipemon":
                flush()
            rounds[name].append((process_time() - begun) / CALLS * 1e9)
    return {name: statistics.median(times) for name, times in rounds.items()}


def show(title: str, times: dict[str, float]) -> None:
    bare, pipemon_adds = times["bare"], times["pipemon"] - times["bare"]
    print(f"{title:<28}{'a call':>10}{'added':>10}{'added / pipemon':>18}")
    for name, time in times.items():
        print(f"  {name:<26}{time:>7.0f} ns{time - bare:>7.0f} ns{(time - bare) / pipemon_adds:>17.2f}x")


def main() -> None:
    registry, async_registry = CollectorRegistry(), CollectorRegistry()
    show(
        "sync",
        measure(
            {
                "bare": split,
                "wrapper that only times": timed(split),
                "pipemon": as_stage(split, registry),
                "prometheus_client by hand": by_hand(split),
            },
            exporter_for(registry).flush_all,
            call_often,
        ),
    )

    async def all_async() -> dict[str, float]:
        def repeat(function: Function) -> None:
            # Driven by hand: the event loop's own cost would hide what is compared.
            coroutine: Coroutine[Any, Any, None] = await_often(function)
            try:
                coroutine.send(None)
            except StopIteration:
                return
            raise AssertionError("nothing here waits")

        return measure(
            {
                "bare": split_async,
                "wrapper that only times": timed_async(split_async),
                "pipemon": as_stage(split_async, async_registry),
                "prometheus_client by hand": by_hand_async(split_async),
            },
            exporter_for(async_registry).flush_all,
            repeat,
        )

    show("async", asyncio.run(all_async()))


if __name__ == "__main__":
    main()

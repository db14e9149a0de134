"""What a decorator adds to a call of a function that does nothing else, inside a run."""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time
from typing import Any

from prometheus_client import CollectorRegistry

import pipemon
from benchmarks import peers
from benchmarks.measure import Effort, Row, Times, added, nanoseconds, ratio, take_turns
from pipemon.features import length
from pipemon.instrument.exporter import exporter_for

WORDS = ["one", "two", "three"]
TEXT = "one two three"
AT_ONCE = 2_000
"""Calls between two flushes where these are not measured: fewer than a full buffer."""


def split(text: str) -> list[str]:
    return WORDS


async def split_async(text: str) -> list[str]:
    return WORDS


def rows(effort: Effort) -> list[Row]:
    registry = CollectorRegistry()
    pipeline = pipemon.Pipeline("bench", version="1", registry=registry)

    def stage(name: str, function: peers.Function) -> peers.Function:
        made: peers.Function = pipeline.stage(name, after=None, inputs={"text": length()}, output=length())(function)
        return made

    @pipeline.run
    def call(function: peers.Function, calls: int) -> None:
        with_run_id()
        for _ in range(calls):
            function(TEXT)

    @pipeline.run
    async def call_async(function: peers.Function, calls: int) -> None:
        with_run_id()
        for _ in range(calls):
            await function(TEXT)

    flush = exporter_for(registry).flush_all
    with_autometrics, quick_tracker, usual_tracker = peers.with_autometrics(split)
    plain: dict[str, peers.Function] = {
        "bare": split,
        "timed": peers.timed(split),
        "stage": stage("split", split),
        "by hand": peers.by_hand(split),
        "autometrics": with_autometrics,
        "autometrics as it comes": with_autometrics,
        "OpenTelemetry": peers.with_opentelemetry(split),
    }
    awaited = {"bare async": split_async, "stage async": stage("split_async", split_async)}

    before = {"autometrics": quick_tracker, "autometrics as it comes": usual_tracker}

    def sync(name: str) -> Callable[[], None]:
        function, begin = plain[name], before.get(name, flush)

        def work() -> None:
            begin()
            call(function, effort.calls)
            flush()

        return work

    def driven(function: peers.Function) -> Callable[[], None]:
        def work() -> None:
            # By hand: the event loop's own cost would hide what is compared.
            drive(call_async(function, effort.calls))
            flush()

        return work

    times = take_turns(
        {name: sync(name) for name in plain} | {name: driven(function) for name, function in awaited.items()},
        effort.rounds,
    )

    def at_once(function: peers.Function) -> Callable[[], float]:
        return lambda: _without_flushes(call, function, flush, effort.calls)

    alone = _spent({name: at_once(plain[name]) for name in ("bare", "timed", "stage")}, effort.rounds)

    own, own_async = added(times, "stage", "bare"), added(times, "stage async", "bare async")
    hot, clock = added(alone, "stage", "bare"), added(alone, "timed", "bare")

    def detail(one: list[float], other: list[float]) -> str:
        return f"{nanoseconds(one, effort.calls):.0f} ns against {nanoseconds(other, effort.calls):.0f} ns"

    def against(name: str, what: str, share: int) -> Row:
        its = added(times, name, "bare")
        found = ratio(own, its)
        return Row(
            f"Call, flush included, against {what}",
            found,
            at_most=1 / share,
            detail=f"1/{1 / found:.1f}: {detail(own, its)}",
        )

    return [
        against("by hand", "the same written by hand with prometheus_client", 6),
        against("autometrics", "autometrics on prometheus_client: latency and count alone", 15),
        against("autometrics as it comes", "autometrics as it comes, on OpenTelemetry: latency and count alone", 15),
        against("OpenTelemetry", "the same with the OpenTelemetry SDK", 50),
        Row(
            "Call without flush, against a wrapper of two clock reads",
            ratio(hot, clock),
            at_most=2.5,
            detail=detail(hot, clock),
        ),
        Row("Async call against sync call", ratio(own_async, own), at_most=1.5, detail=detail(own_async, own)),
    ]


def with_run_id() -> None:
    run = pipemon.current_run()
    assert run is not None
    assert run.id


def drive(coroutine: Any) -> None:
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError("nothing here waits")


def _without_flushes(
    call: Callable[..., None], function: peers.Function, flush: Callable[[], None], calls: int
) -> float:
    """Return the caller's processor time; the background's flushes and the ones in between are not in it."""
    spent = 0.0
    for done in range(0, calls, AT_ONCE):
        begun = thread_time()
        call(function, min(AT_ONCE, calls - done))
        spent += thread_time() - begun
        flush()
    return spent


def _spent(variants: dict[str, Callable[[], float]], rounds: int) -> Times:
    times: Times = {name: [] for name in variants}
    for _ in range(rounds):
        for name, measured in variants.items():
            times[name].append(measured())
    return times

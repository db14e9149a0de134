"""What a stage adds to each item of a stream and of a batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

import pipemon
from benchmarks import peers
from benchmarks.measure import Effort, Row, added, nanoseconds, ratio, take_turns
from pipemon.features import length, value
from pipemon.instrument.exporter import exporter_for

ITEMS = 100
BATCH = 256
TEXT = "one two three"

Array = NDArray[np.float64]


def speak(text: str) -> Iterator[str]:
    for _ in range(ITEMS):
        yield text


def score(batch: Array) -> Array:
    return batch


def rows(effort: Effort) -> list[Row]:
    registry = CollectorRegistry()
    pipeline = pipemon.Pipeline("bench", version="1", registry=registry)
    flush = exporter_for(registry).flush_all
    spoken = pipeline.stage("speak", after=None, inputs={"text": length()}, output=length())(speak)
    levels = value("level", bounds=peers.LENGTHS)
    scored = pipeline.stage("score", after=None, batch=True, inputs={"batch": levels}, output=levels)(score)
    batch = np.linspace(0.0, 100.0, BATCH)
    streams, batches = max(1, effort.calls // ITEMS), max(1, effort.calls // BATCH)

    def stream(function: peers.Function) -> Callable[[], None]:
        def work() -> None:
            for _ in range(streams):
                deque(function(TEXT), maxlen=0)
            flush()

        return work

    def whole(function: peers.Function) -> Callable[[], None]:
        def work() -> None:
            for _ in range(batches):
                function(batch)
            flush()

        return work

    times = take_turns(
        {
            "bare stream": stream(speak),
            "stream": stream(spoken),
            "stream by hand": stream(peers.stream_by_hand(speak)),
            "bare batch": whole(score),
            "batch": whole(scored),
            "batch by hand": whole(peers.batch_by_hand(score)),
        },
        effort.rounds,
    )

    def row(what: str, name: str, items: int) -> Row:
        own, by_hand = (added(times, each, f"bare {name}") for each in (name, f"{name} by hand"))
        found = ratio(own, by_hand)
        one, other = nanoseconds(own, items), nanoseconds(by_hand, items)
        return Row(what, found, detail=f"1/{1 / found:.1f}: {one:.0f} ns against {other:.0f} ns")

    return [
        row(f"Item of a stream of {ITEMS}, against prometheus_client by hand", "stream", streams * ITEMS),
        row(f"Item of a batch of {BATCH}, against a loop of observe", "batch", batches * BATCH),
    ]

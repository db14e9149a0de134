"""What observing costs the service, by `python -m benchmarks.drift.serving`; prints JSON: seconds a million values."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

import pipemon
from pipemon.features import value
from pipemon.instrument.exporter import exporter_for

VALUES, BATCHES, ROUNDS = 1_000_000, (1000, 10_000), 5
BOUNDS = (-3.1, -1.28, -0.84, -0.52, -0.25, 0.0, 0.25, 0.52, 0.84, 1.28, 3.1)


def main() -> None:
    registry = CollectorRegistry()
    pipeline = pipemon.Pipeline("bench", version="1", registry=registry)

    def look(x: float) -> float:
        return x

    def look_at_all(x: np.ndarray) -> np.ndarray:
        return x

    of = {"x": value("level", bounds=BOUNDS)}
    stage = pipeline.stage("look", after=None, inputs=of)(look)
    stage_of_batches = pipeline.stage("look_at_all", after=None, batch=True, inputs=of)(look_at_all)
    values = np.random.default_rng(1).normal(size=VALUES)
    singles = values.tolist()
    parts = {size: np.split(values, VALUES // size) for size in BATCHES}
    flush = exporter_for(registry).flush_all
    for part in parts[BATCHES[0]][:10]:
        stage_of_batches(part)
        stage(float(part[0]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def seconds(function: Callable[..., object], items: list[Any]) -> float:
        begun = time.process_time()
        for item in items:
            function(item)
        flush()
        return time.process_time() - begun

    how: list[tuple[str, Callable[..., object], Callable[..., object], list[Any]]] = [
        ("pipemon: one call a value", look, stage, singles)
    ]
    for size in BATCHES:
        how.append((f"pipemon: calls of {size:,} values", look_at_all, stage_of_batches, parts[size]))
    found = {}
    for name, bare, watched, items in how:
        spent = [seconds(watched, items) - seconds(bare, items) for _ in range(ROUNDS)]
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        found[name] = {"seconds": float(np.median(spent)), "megabytes": grown}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()

"""What a stage keeps in memory: `python -m benchmarks.memory 1000000` in a process of its own, measured from within."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

import pipemon
from benchmarks.measure import Effort, Row
from pipemon.features import length, value
from pipemon.instrument.exporter import exporter_for

ROOT = Path(__file__).resolve().parent.parent
MEGABYTE = 1e6
NUMBERS = 12_500_000  # 100 MB

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Kept:
    """Bytes: the process's peak during the calls above what it had before, and Python objects left after them."""

    peak: int
    left: int
    arrays: int


def rows(effort: Effort) -> list[Row]:
    command = [sys.executable, "-m", "benchmarks.memory", str(effort.many)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    kept = Kept(**json.loads(ran.stdout))
    return [
        Row(
            f"Peak of resident memory during {effort.many:,} calls that nobody scrapes",
            kept.peak / MEGABYTE,
            unit=" MB",
            at_most=16.0,
        ),
        Row(f"Python objects left by {effort.many:,} calls", kept.left / MEGABYTE, unit=" MB", at_most=1.0),
        Row("Arrays of 100 MB alive after their calls", kept.arrays, unit="", at_most=0.0),
    ]


def split(text: str) -> list[str]:
    return [text]


def same(array: Array) -> Array:
    return array


def fail(array: Array) -> Array:
    raise ValueError(array)


def stream(array: Array) -> Iterator[Array]:
    yield array


def measure(calls: int, numbers: int = NUMBERS) -> Kept:
    registry = CollectorRegistry()
    pipeline = pipemon.Pipeline("bench", version="1", registry=registry)
    flush = exporter_for(registry).flush_all
    stage = pipeline.stage("split", after=None, inputs={"text": length()}, output=length())(split)
    peak = _peak_growth(lambda: _repeat(stage, calls))
    tracemalloc.start()
    _repeat(stage, 100)
    flush()
    before, _ = tracemalloc.get_traced_memory()
    _repeat(stage, calls)
    flush()
    gc.collect()
    left = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return Kept(peak, left, _arrays_alive(pipeline, numbers))


def _repeat(function: Callable[[str], object], calls: int) -> None:
    for _ in range(calls):
        function("one two three")


def _arrays_alive(pipeline: pipemon.Pipeline, numbers: int) -> int:
    mean = pipemon.Feature("mean", lambda array: array.mean())
    declare: Any = pipeline.stage
    stages = [
        declare(function.__name__, after=None, inputs={"array": mean}, output=mean)(function)
        for function in (same, fail, stream)
    ]
    whole = value("level", bounds=(0.0, 1.0, 2.0))
    stages.append(declare("batch", after=None, batch=True, inputs={"array": whole}, output=whole)(same))
    references = []
    for function in stages:
        array = np.ones(numbers)
        references.append(weakref.ref(array))
        with suppress(ValueError):
            result = function(array)
            if isinstance(result, Iterator):
                list(result)
            del result
        del array
    return sum(reference() is not None for reference in references)


def _peak_growth(work: Callable[[], None]) -> int:
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _resident("VmRSS")
    work()
    return _resident("VmHWM") - before


def _resident(which: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{which}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"Linux tells {which}")


if __name__ == "__main__":
    print(json.dumps(asdict(measure(int(sys.argv[1])))))

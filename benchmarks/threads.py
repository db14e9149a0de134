"""Whether threads that share a stage hold each other up more than they do without it."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable
from threading import Barrier, Thread
from time import perf_counter

from prometheus_client import CollectorRegistry

import pipemon
from benchmarks.measure import Effort, Row
from pipemon.features import length

THREADS = 8
PAGE = bytes(65_536)
LEAST = 0.95
"""Two measurements of the same function differ by so much on a machine with other work."""


def interpret(data: bytes) -> bytes:
    """Hold the interpreter lock all the time."""
    total = 0
    for number in range(100):
        total += number
    return data


def digest(data: bytes) -> bytes:
    """Leave the interpreter lock to others for most of the time, as inference does."""
    return hashlib.sha256(data).digest()


def rows(effort: Effort) -> list[Row]:
    return [
        _row(interpret, effort.calls * 4, effort.rounds, "a function that holds the interpreter lock"),
        _row(digest, effort.calls, effort.rounds, "a function that releases it"),
    ]


def _row(function: Callable[[bytes], bytes], calls: int, rounds: int, what: str) -> Row:
    pipeline = pipemon.Pipeline("bench", version="1", registry=CollectorRegistry())
    taken = {"data": length()}
    stage = pipeline.stage(function.__name__, after=None, inputs=taken, output=length())(function)
    kept, gains = [], []
    for _ in range(rounds):
        (alone, bare_alone), (together, bare_together) = (
            [_calls_per_second(each, threads, calls) for each in (stage, function)] for threads in (1, THREADS)
        )
        gains.append(together / alone)
        kept.append(together / alone / (bare_together / bare_alone))
    return Row(
        f"Calls a second of {THREADS} threads over one's, against the undecorated: {what}",
        statistics.median(kept),
        at_least=LEAST,
        detail=f"{statistics.median(gains):.2f} times one thread's",
    )


def _calls_per_second(function: Callable[[bytes], bytes], threads: int, calls: int) -> float:
    """By the wall clock: processor time does not tell who waits."""
    each = max(1, calls // threads)
    ready = Barrier(threads + 1)

    def work() -> None:
        ready.wait()
        for _ in range(each):
            function(PAGE)

    workers = [Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    ready.wait()
    begun = perf_counter()
    for worker in workers:
        worker.join()
    return each * threads / (perf_counter() - begun)

"""Durations of real calls that tell nothing of what else runs on the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter, thread_time, time
from typing import Any
from unittest.mock import patch

from pipemon.instrument import sampling


class ProcessorClock:
    """A clock that goes on while this thread works or sleeps by it, and stands while others have the processor."""

    def __init__(self) -> None:
        self._began = perf_counter() - thread_time()
        self._slept = 0.0

    def __call__(self) -> float:
        return self._began + thread_time() + self._slept

    perf_counter = __call__

    def time(self) -> float:
        """Return the Unix time by this clock."""
        return time() - perf_counter() + self()

    def sleep(self, seconds: float) -> None:
        """Sleep without waiting for it."""
        self._slept += seconds


@contextmanager
def by_processor_time(*decorated: Callable[..., Any]) -> Iterator[ProcessorClock]:
    """Have decorated functions measure their calls by the clock that is returned."""
    clock = ProcessorClock()
    # Each stand-in has a namespace of its own, with the clock that it reads.
    before = [(stand_in.__globals__, stand_in.__globals__["pm_clock"]) for stand_in in decorated]
    for names, _ in before:
        names["pm_clock"] = clock
    try:
        # What taking the features took is counted from the call's end, so by the same clock.
        with patch.object(sampling, "perf_counter", clock):
            yield clock
    finally:
        for names, usual in before:
            names["pm_clock"] = usual


@contextmanager
def sleeping_by(clock: ProcessorClock, *modules: Any) -> Iterator[None]:
    """Have the `time.sleep`, `time.perf_counter` and `time.time` of modules be the clock's."""
    with ExitStack() as patched:
        for module in modules:
            patched.enter_context(patch.object(module, "time", clock))
        yield

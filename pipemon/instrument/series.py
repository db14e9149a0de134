"""The series of one stage or pipeline: made at zero at decoration, filled from the buffer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipemon import catalogue
from pipemon.catalogue import OTHER
from pipemon.instrument.bounds import fingerprint
from pipemon.instrument.outcome import CANCELLED, ERROR, NULL
from pipemon.topology import FeatureShape

_MOST_EXCEPTIONS = 20
_LARGEST = 1e200
"""Larger values count as infinite: a few of them would make a sum infinite for the process's life."""

EXCEPTION, EXTRACTOR_ERROR, UPSTREAM, FAILED_STAGE = "exception", "extractor error", "upstream", "failed stage"

Families = Mapping[str, Any]


@dataclass(frozen=True)
class StageKey:
    """The labels that all of a stage's series carry."""

    pipeline: str
    stage: str
    version: str
    track: str

    @property
    def labels(self) -> tuple[str, str, str, str]:
        """Label values in the catalogue's order."""
        return (self.pipeline, self.stage, self.version, self.track)


class StageSeries:
    """Everything that a stage exports of its calls."""

    def __init__(
        self,
        families: Families,
        key: StageKey,
        features: Iterable[FeatureShape],
        duration_bounds: tuple[float, ...],
        has_null_rule: bool,
    ) -> None:
        labels = key.labels
        self._key = key
        self._families = families
        self._calls = families[catalogue.STAGE_CALLS.name].labels(*labels)
        self._by_outcome = {
            NULL: families[catalogue.STAGE_NULL_OUTPUTS.name].labels(*labels),
            ERROR: families[catalogue.STAGE_FAILURES.name].labels(*labels),
            CANCELLED: families[catalogue.STAGE_CANCELLED.name].labels(*labels),
        }
        self._duration = families[catalogue.STAGE_DURATION.name].child(labels, duration_bounds)
        self._in_progress = families[catalogue.STAGE_IN_PROGRESS.name].labels(*labels)
        self._dropped = families[catalogue.OBSERVATIONS_DROPPED.name].labels(*labels)
        self._last_call = families[catalogue.STAGE_LAST_CALL.name].labels(*labels)
        self._last_call.set(time.time())
        self._last_ended = -math.inf
        self._features = [_FeatureSeries(families, key, feature) for feature in features]
        if has_null_rule:
            families[catalogue.EXTRACTOR_ERRORS.name].labels(*labels, "output", "null")
        self._exceptions: set[str] = set()

    def fold(self, rows: NDArray[np.float64], flat: list[float | None]) -> None:
        """Add calls: columns begun, ended, outcome, then the features."""
        calls, width = rows.shape
        self._calls.inc(calls)
        outcomes = np.bincount(rows[:, 2].astype(np.intp), minlength=4).tolist()
        for outcome, counter in self._by_outcome.items():
            if outcomes[int(outcome)]:
                counter.inc(outcomes[int(outcome)])
        self._duration.observe_many(rows[:, 1] - rows[:, 0])
        self._last_ended = max(self._last_ended, float(rows[:, 1].max()))
        # From the wall clock of now: once it is set right, the last call no longer lies in the future.
        self._last_call.set(time.time() - perf_counter() + self._last_ended)
        for column, feature in enumerate(self._features, start=3):
            feature.fold(rows[:, column], lambda column=column: flat[column::width].count(None))  # type: ignore[misc]

    def note(self, kind: str, detail: str, times: int) -> None:
        """Add exceptions (detail: class), extractor errors (`<direction>.<feature>`), or an edge (upstream)."""
        labels = self._key.labels
        if kind == EXCEPTION:
            if detail not in self._exceptions and len(self._exceptions) >= _MOST_EXCEPTIONS:
                detail = OTHER
            self._exceptions.add(detail)
            self._families[catalogue.STAGE_EXCEPTIONS.name].labels(*labels, detail).inc(times)
        elif kind == EXTRACTOR_ERROR:
            direction, _, feature = detail.partition(".")
            self._families[catalogue.EXTRACTOR_ERRORS.name].labels(*labels, direction, feature).inc(times)
        elif kind == UPSTREAM:
            self.add_upstream(detail)

    def add_upstream(self, upstream: str) -> None:
        """Show an edge of the cascade."""
        self._families[catalogue.STAGE_UPSTREAM.name].labels(*self._key.labels, upstream).set(1)

    def now(self, in_progress: int, dropped: int) -> None:
        """Show the calls in progress, and add those dropped since."""
        self._in_progress.set(in_progress)
        if dropped:
            self._dropped.inc(dropped)


class _FeatureSeries:
    def __init__(self, families: Families, key: StageKey, shape: FeatureShape) -> None:
        labels = (*key.labels, shape.direction, shape.name)
        self._values = families[catalogue.FEATURE_VALUE.name].child(labels, shape.bounds)
        self._positive = families[catalogue.FEATURE_SUM.name].labels(*labels, "positive")
        self._negative = families[catalogue.FEATURE_SUM.name].labels(*labels, "negative")
        self._observed = families[catalogue.FEATURE_OBSERVED.name].labels(*labels)
        self._missing = families[catalogue.FEATURE_MISSING.name].labels(*labels)
        families[catalogue.EXTRACTOR_ERRORS.name].labels(*labels)
        families[catalogue.FEATURE_INFO.name].labels(*labels, shape.unit, fingerprint(self._values.bounds)).set(1)

    def fold(self, column: NDArray[np.float64], count_untaken: Callable[[], int]) -> None:
        usable = np.abs(column) <= _LARGEST  # False for NaN too
        values = column[usable]
        looked = len(column)
        if len(values) < looked:
            looked -= count_untaken()
            if looked > len(values):
                self._missing.inc(looked - len(values))
        if looked:
            self._observed.inc(looked)
        if len(values):
            self._values.observe_many(values)
            self._positive.inc(float(values[values > 0].sum()))
            self._negative.inc(float(-values[values < 0].sum()))


class RunSeries:
    """Everything that a pipeline exports of its runs."""

    def __init__(self, families: Families, pipeline: str, version: str, bounds: tuple[float, ...]) -> None:
        self._labels = (pipeline, version)
        self._runs = families[catalogue.PIPELINE_RUNS.name].labels(*self._labels)
        self._failures = families[catalogue.PIPELINE_FAILURES.name]
        self._duration = families[catalogue.PIPELINE_DURATION.name].child(self._labels, bounds)
        self._in_progress = families[catalogue.PIPELINE_IN_PROGRESS.name].labels(*self._labels)
        self.add_stage(OTHER)

    def add_stage(self, stage: str) -> None:
        """Show that no run failed in a stage yet."""
        self._failures.labels(*self._labels, stage)

    def fold(self, rows: NDArray[np.float64], flat: list[float | None]) -> None:
        """Add runs: columns begun and ended."""
        self._runs.inc(len(rows))
        self._duration.observe_many(rows[:, 1] - rows[:, 0])

    def note(self, kind: str, detail: str, times: int) -> None:
        """Add failed runs; `detail` is the stage."""
        if kind == FAILED_STAGE:
            self._failures.labels(*self._labels, detail).inc(times)

    def now(self, in_progress: int, dropped: int) -> None:
        """Show the runs in progress."""
        self._in_progress.set(in_progress)

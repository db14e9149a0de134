"""The series of one stage or pipeline: made at zero at decoration, filled from the buffer."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from pipemon import catalogue
from pipemon.catalogue import OTHER
from pipemon.instrument.calls import StageKey
from pipemon.instrument.feature_series import Families, FeatureSeries, add, column_of, feature_series
from pipemon.instrument.metrics import multiprocess
from pipemon.instrument.outcome import CANCELLED, ERROR, NULL, SKIPPED
from pipemon.instrument.recorder import Rows, Sample
from pipemon.topology import StageShape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipemon.instrument.model import Model

_LONGEST_NAME = 60
"""Characters: what is longer is likelier to be somebody's data than a name."""

EXCEPTION, EXTRACTOR_ERROR, UPSTREAM, FAILED_STAGE, DROP = (
    "exception", "extractor error", "upstream", "failed stage", "drop"
)  # fmt: skip

CALL_COLUMNS = ("begun", "ended")
STREAM_COLUMNS = ("begun", "ended", "busy", "first_item", "out", "null")
"""`busy`: seconds spent in it, without its consumer's; `out`, `null`: items."""
BATCH_COLUMNS = ("begun", "ended", "in", "out", "null")


def columns_of(shape: StageShape, *, batch: bool) -> tuple[str, ...]:
    """Return what a row of the stage's calls has; of streams and batches, the other features are arrays."""
    first = STREAM_COLUMNS if shape.stream else BATCH_COLUMNS if batch else CALL_COLUMNS
    in_rows = () if batch else tuple(f for f in shape.features if f.direction == "input" or not shape.stream)
    return (*first, *(("wait",) if shape.queued else ()), *map(column_of, in_rows))


def show_declared(families: Families, key: StageKey, shape: StageShape, model: Model | None) -> None:
    """Show what was declared of a stage: its edges, budget, workers and model."""
    labels = key.labels
    for upstream in shape.after or ():
        families[catalogue.STAGE_UPSTREAM.name].labels(*labels, upstream).set(1)
    trained = None if model is None else model.trained_timestamp
    for metric, value in (
        (catalogue.STAGE_BUDGET, shape.budget),
        (catalogue.STAGE_WORKERS, None if multiprocess() else shape.workers),
        (catalogue.STAGE_TRAINED, trained),
    ):
        if value is not None:
            families[metric.name].labels(*labels).set(value)
    parts = {} if model is None else model.labels
    made_of = (parts.get(name, "") for name in ("code", "params", "data"))
    families[catalogue.STAGE_INFO.name].labels(*labels, *made_of).set(1)


class StageSeries:
    """Everything that a stage exports of its calls.

    `columns` names what a row has; `features` are all of them, in the order by which arrays of them are numbered.
    """

    def __init__(
        self, families: Families, key: StageKey, columns: tuple[str, ...], shape: StageShape, has_null_rule: bool
    ) -> None:
        labels = key.labels
        self._key = key
        self._families = families
        self._column = {name: index for index, name in enumerate(columns)}
        self._calls, self._in_progress, self._dropped, self._last_call, self._cpu, self._extracting = (
            families[metric.name].labels(*labels)
            for metric in (
                catalogue.STAGE_CALLS, catalogue.STAGE_IN_PROGRESS, catalogue.OBSERVATIONS_DROPPED,
                catalogue.STAGE_LAST_CALL, catalogue.STAGE_CPU, catalogue.EXTRACTOR_SECONDS,
            )
        )  # fmt: skip
        self._by_outcome = {
            outcome: families[metric.name].labels(*labels)
            for outcome, metric in (
                (NULL, catalogue.STAGE_NULL_OUTPUTS), (ERROR, catalogue.STAGE_FAILURES),
                (CANCELLED, catalogue.STAGE_CANCELLED), (SKIPPED, catalogue.STAGE_SKIPPED),
            )
        }  # fmt: skip
        self._items = {
            way: families[f"pipemon_stage_items_{way}_total"].labels(*labels)
            for way in ("in", "out", "null", "failed", "dropped")
        }
        self._duration = families[catalogue.STAGE_DURATION.name].child(labels, shape.duration_bounds)
        self._first_item = self._wait = None
        if "first_item" in self._column:
            self._first_item = families[catalogue.STAGE_FIRST_ITEM.name].child(labels, shape.duration_bounds)
        if "wait" in self._column:
            self._wait = families[catalogue.STAGE_WAIT.name].child(labels, catalogue.DURATIONS)
            families[catalogue.EXTRACTOR_ERRORS.name].labels(*labels, "input", "queued_at")
        self._workers = shape.workers
        if not multiprocess():  # where a worker that begins is no sign of a call, and the latest counts
            self._last_call.set(time.time())
        self._last_ended = -math.inf
        self._unscaled, self._unscaled_calls = 0.0, 0
        self.features = [feature_series(families, key, feature) for feature in shape.features]
        self._in_rows = [
            (self._column[feature.column], feature) for feature in self.features if feature.column in self._column
        ]
        if has_null_rule:
            families[catalogue.EXTRACTOR_ERRORS.name].labels(*labels, "output", "null")
        self._exceptions = _Names(families[catalogue.STAGE_EXCEPTIONS.name], labels)
        self._reasons = _Names(families[catalogue.STAGE_DROP_REASONS.name], labels)

    @property
    def places(self) -> Mapping[str, int]:
        """Where in a row each column is."""
        return self._column

    def fold(self, rows: Rows, samples: list[Sample]) -> None:
        """Add calls. The signs of a row's times tell its outcome: see `stage`."""
        columns = np.ascontiguousarray(rows.T)
        begun, ended = np.abs(columns[0]), np.abs(columns[1])
        counted = columns[1] != 0
        # One look at the least of each spares all others for calls that returned something usable.
        plain = columns[0].min() > 0 and columns[1].min() > 0
        null, error = columns[0] < 0, columns[1] < 0
        outcomes = {} if plain else {
            NULL: null & (columns[1] > 0), ERROR: error & ~null, CANCELLED: error & null, SKIPPED: ~counted
        }  # fmt: skip
        if self._workers is not None:  # also in a process that was forked later, if it is at work
            self._families[catalogue.STAGE_WORKERS.name].labels(*self._key.labels).set(self._workers)
        self._calls.inc(len(rows))
        for outcome, which in outcomes.items():
            add(self._by_outcome[outcome], int(np.count_nonzero(which)))
        self._count_items(columns, outcomes)
        took = columns[self._column["busy"]] if "busy" in self._column else ended - begun
        took = took if plain else took[counted]
        self._duration.observe_many(took)
        self._add_sampled(len(rows), float(took.sum()), samples)
        for sample in samples:
            if sample.span is not None:
                self._duration.point_out(sample.seconds, sample.span.trace_id, sample.span.span_id)
        for name, histogram in (("first_item", self._first_item), ("wait", self._wait)):
            if histogram is not None:
                values = columns[self._column[name]]
                histogram.observe_many(values[np.isfinite(values)])
        last = max(begun.max(), ended.max())
        self._last_ended = max(self._last_ended, float(last))
        # From the wall clock of now: once it is set right, the last call no longer lies in the future.
        self._last_call.set(time.time() - perf_counter() + self._last_ended)
        for column, feature in self._in_rows:
            feature.fold(columns[column])

    def fold_array(self, column: int, values: Rows) -> None:
        """Add values of the feature with this number."""
        self.features[column].fold(values)

    def note(self, kind: str, detail: str, times: int) -> None:
        """Add exceptions (detail: class), extractor errors (`<direction>.<feature>`), dropped items, or an edge."""
        labels = self._key.labels
        if kind == EXCEPTION:
            self._exceptions.add(detail, times)
        elif kind == DROP:
            self._items["dropped"].inc(times)
            self._reasons.add(detail, times)
        elif kind == EXTRACTOR_ERROR:
            direction, _, feature = detail.partition(".")
            self._families[catalogue.EXTRACTOR_ERRORS.name].labels(*labels, direction, feature).inc(times)
        elif kind == UPSTREAM:
            self._families[catalogue.STAGE_UPSTREAM.name].labels(*labels, detail).set(1)

    def now(self, in_progress: int, dropped: int) -> None:
        """Show the calls in progress, and add those dropped since."""
        self._in_progress.set(in_progress)
        add(self._dropped, dropped)

    def _count_items(self, columns: Rows, outcomes: Mapping[str, NDArray[np.bool_]]) -> None:
        calls = columns.shape[1]
        weights = columns[self._column["in"]] if "in" in self._column else np.ones(calls) if outcomes else None
        ways = {"in": float(calls if weights is None else weights.sum())}
        if weights is not None and outcomes:
            ways["failed"] = float(weights[outcomes[ERROR]].sum())
            ways["dropped"] = float(weights[outcomes[CANCELLED]].sum())
            if ways["dropped"]:
                self._reasons.add(CANCELLED, ways["dropped"])
        if "out" in self._column:
            ways["out"], ways["null"] = (float(columns[self._column[way]].sum()) for way in ("out", "null"))
        else:
            ways["null"] = float(np.count_nonzero(outcomes[NULL])) if outcomes else 0.0
            others = sum(np.count_nonzero(which) for which in outcomes.values())
            ways["out"] = float(calls - others)
        for way, items in ways.items():
            add(self._items[way], items)

    def _add_sampled(self, calls: int, seconds: float, samples: list[Sample]) -> None:
        """Scale what was sampled to all calls: processor time by the calls' time, of which it is a steady share."""
        self._unscaled += seconds
        self._unscaled_calls += calls
        afterwards = [sample.afterwards for sample in samples if not math.isnan(sample.afterwards)]
        if afterwards:
            add(self._extracting, self._unscaled_calls * sum(afterwards) / len(afterwards))
            self._unscaled_calls = 0
        measured = [sample for sample in samples if not math.isnan(sample.cpu)]
        of = sum(sample.seconds for sample in measured)
        if of > 0:
            add(self._cpu, self._unscaled * sum(sample.cpu for sample in measured) / of)
            self._unscaled = 0.0


def _is_name(name: str) -> bool:
    # Printable: what UTF-8 can't encode would break every scrape.
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable()


class ItemSeries:
    """The features of a stream's items: rows are (when it came, a value for each output feature)."""

    def __init__(self, features: Sequence[FeatureSeries]) -> None:
        self._features = features

    def fold(self, rows: Rows, samples: list[Sample]) -> None:
        """Add items."""
        columns = np.ascontiguousarray(rows.T)
        for column, feature in enumerate(self._features, start=1):
            feature.fold(columns[column])

    def fold_array(self, column: int, values: Rows) -> None:
        """Add values of the feature with this number."""
        self._features[column].fold(values)

    def note(self, kind: str, detail: str, times: int) -> None:
        """Items have no notes."""

    def now(self, in_progress: int, dropped: int) -> None:
        """Whether items are in progress is their stream's matter."""


class _Names:
    """A counter by names that the code does not declare: the first 20, then `other`.

    They are those that the family has: a stage that is declared anew, with other features, has no 20 more.
    """

    def __init__(self, family: Any, labels: tuple[str, ...]) -> None:
        self._family = family
        self._labels = labels
        self._seen: set[str] = set()

    def add(self, name: str, times: float) -> None:
        """Add to a name."""
        if name not in self._seen:
            with self._family._lock:
                self._seen = {values[-1] for values in self._family._metrics if values[:-1] == self._labels}
            if name not in self._seen and (len(self._seen - {OTHER}) >= catalogue.MOST_NAMES or not _is_name(name)):
                name = OTHER
        self._family.labels(*self._labels, name).inc(times)


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

    def fold(self, rows: Rows, samples: list[Sample]) -> None:
        """Add runs: columns begun and ended."""
        self._runs.inc(len(rows))
        self._duration.observe_many(rows[:, 1] - rows[:, 0])

    def fold_array(self, column: int, values: Rows) -> None:
        """Runs have no features."""

    def note(self, kind: str, detail: str, times: int) -> None:
        """Add failed runs; `detail` is the stage."""
        if kind == FAILED_STAGE:
            self._failures.labels(*self._labels, detail).inc(times)

    def now(self, in_progress: int, dropped: int) -> None:
        """Show the runs in progress."""
        self._in_progress.set(in_progress)

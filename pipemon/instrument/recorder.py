"""The hot path's buffer: calls go in as plain numbers, and into the metrics in bulk.

A row is `width` numbers. Lists are shared by all threads: `append`, `extend` by a tuple, slicing and deleting a
slice are each atomic, under the GIL and by the list's own lock without it, so that recording needs no lock: a row
goes in whole, and what is taken out is what stood first. Whoever takes out or deletes holds `_cutting`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from struct import pack
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from pipemon.instrument import background
from pipemon.instrument.log import Quietly, log_once
from pipemon.instrument.tracing import Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

TICK = 0.005
"""Seconds after which a call looks at the buffer's length and is sampled; the others do neither."""

FLUSH_AT = 4096
"""Calls in the buffer at which the caller flushes it."""

KEEP_AT_MOST = 65_536
"""Calls kept while another thread's flush is stuck; further ones are dropped and counted."""

_LOG_EVERY = 60.0
_MOST_SAMPLES = 1024
_MOST_ARRAY_VALUES = 1 << 21

Note = tuple[str, str, int]
"""Something rare about a call, for the series to count: (kind, detail, times)."""

Rows: TypeAlias = "NDArray[np.float64]"

LOST: Note = ("lost", "", 1)


class Sample(NamedTuple):
    """A call that was looked at more closely: its seconds, of them the processor's, and the span it was in.

    `afterwards`: seconds that taking its features took. NaN: not measured.
    """

    seconds: float
    cpu: float
    span: Span | None
    afterwards: float = math.nan


class Series(Protocol):
    """Where a recorder's calls end up."""

    def fold(self, rows: Rows, samples: list[Sample]) -> None:
        """Add calls, shape (n, width), and those of them that were sampled."""

    def fold_array(self, column: int, values: Rows) -> None:
        """Add many values of one column, shape (n,)."""

    def note(self, kind: str, detail: str, times: int) -> None:
        """Add notes."""

    def now(self, in_progress: int, dropped: int) -> None:
        """Show the calls in progress, and add those dropped since."""


class Recorder:
    """The buffer of one stage or run.

    `started` has an entry for each call that began since the last flush. The wrappers hold on to the bound
    methods of the lists, so these are emptied, never replaced. `next_look` is one number: when a call
    that begins must call `look`. `alike` are the recorders of the same series, of which a module that was
    loaded again makes several; this one joins them.
    """

    def __init__(
        self, width: int, series: Series, try_flush: Callable[[Recorder], bool], alike: list[Recorder]
    ) -> None:
        self.width = width
        self.name = ""  # what logs call it
        self.quietly = Quietly(_LOG_EVERY)
        self.series = series
        self.buffer: list[float] = []
        self.started: list[None] = []
        self.arrays: list[tuple[int, Rows]] = []
        self.notes: list[Note] = []
        self.samples: list[Sample] = []
        self.next_look = [-math.inf]
        self.in_progress = 0
        self._array_values = self._begun = self._dropped = 0
        self._cutting = Lock()
        self._forked_at = -math.inf
        self._try_flush = try_flush
        self._alike = alike
        alike.append(self)

    def look(self, begun: float) -> None:
        """Keep the buffer short; for a call that begins when `next_look` says so. Never raises."""
        if self.next_look[0] == -math.inf:  # this process's first call
            background.start()
        self.next_look[0] = begun + TICK
        if len(self.buffer) >= FLUSH_AT * self.width:
            self.full()

    def inherited(self, begun: float) -> bool:
        """Tell whether a call that began then is the parent's, which this process was forked from in its middle."""
        return abs(begun) < self._forked_at

    def note(self, kind: str, detail: str, times: int = 1, *, begun: float = math.inf) -> None:
        """Keep a note until the next flush, unless it is of a call that `inherited` says is not ours."""
        if len(self.notes) < KEEP_AT_MOST and not self.inherited(begun):
            self.notes.append((kind, detail, times))

    def add(self, *row: float) -> None:
        """Record a call, as the wrappers do for the frequent ones themselves."""
        self.buffer.extend(row)

    def add_array(self, column: int, values: Rows, *, begun: float = math.inf) -> None:
        """Record many values of one column, unless `inherited`; flushed when there are many."""
        if self.inherited(begun):
            return
        self.arrays.append((column, values))
        self._array_values += len(values)  # threads may lose some of it: it need not be exact
        if len(self.arrays) >= FLUSH_AT or self._array_values >= KEEP_AT_MOST:
            self.full()

    def add_sample(self, sample: Sample) -> None:
        """Keep a sampled call until the next flush."""
        if len(self.samples) < _MOST_SAMPLES:
            self.samples.append(sample)

    def full(self) -> None:
        """Flush without waiting; while another thread's flush is stuck, drop what is too much."""
        # Not waiting for the lock either: a signal handler may get here in the thread that cuts.
        if self._try_flush(self) or not self._cutting.acquire(blocking=False):
            return
        try:
            excess = len(self.buffer) // self.width - KEEP_AT_MOST
            if excess > 0:
                del self.buffer[-excess * self.width :]
                self._dropped += excess
            if len(self.started) > KEEP_AT_MOST:
                self._begun += len(_cut(self.started))
            too_many = len(self.arrays) > KEEP_AT_MOST or self._array_values > _MOST_ARRAY_VALUES
            if too_many:  # features of calls that are counted
                _cut(self.arrays)
                self._array_values = 0
        finally:
            self._cutting.release()
        if excess > 0 or too_many:
            log_once("full", "calls end faster than they can be counted; some are dropped")

    def lose(self) -> None:
        """Count a call that could not be recorded; while the reason, an exception, is being handled."""
        with suppress(Exception):  # the user's stack may be all but full
            self.notes.append(LOST)
            log_once("record", "a call could not be recorded", where=True)

    def flush(self) -> None:
        """Move what is buffered into the metrics. Whoever calls it holds the flushing lock; never raises."""
        # Notes before calls, and added after them: no exception is counted before the call that raised it.
        notes: Counter[tuple[str, str]] = Counter()
        for kind, detail, times in _cut(self.notes):
            notes[kind, detail] += times
        samples = _cut(self.samples)
        with self._cutting:
            arrays = _cut(self.arrays)
            self._array_values = 0
            flat = _cut(self.buffer)
            dropped, self._dropped = self._dropped + notes.pop(LOST[:2], 0), 0
            # Those that began after those that ended: none that ended is missing here.
            began, self._begun = self._begun + len(_cut(self.started)), 0
        ended = uncounted = len(flat) // self.width
        self.in_progress += began - ended - dropped
        try:
            rows = _array(flat).reshape(-1, self.width)
            if self._forked_at > -math.inf:
                own = np.abs(rows[:, 0]) >= self._forked_at
                rows = rows[own]
                self.in_progress += ended - len(rows)
            if len(rows):
                self.series.fold(rows, samples)
            uncounted = 0
            for column in {column for column, _ in arrays}:
                self.series.fold_array(column, np.concatenate([each for own, each in arrays if own == column]))
            for (kind, detail), times in notes.items():
                self.series.note(kind, detail, times)
            self.series.now(max(0, sum(each.in_progress for each in self._alike)), dropped)
        except BaseException as error:
            with self._cutting:
                self._dropped += uncounted + dropped
            self.in_progress += uncounted + dropped  # the next flush takes them off again
            if not isinstance(error, Exception):  # a signal's handler raised it: it is the user's
                raise
            log_once("flush", "recorded calls could not be counted", where=True)

    def forget(self) -> None:
        """Begin anew in a forked child: what is buffered is the parent's to count."""
        for kept in (self.buffer, self.started, self.arrays, self.notes, self.samples):
            kept.clear()
        self.next_look[0] = -math.inf
        self._array_values = self.in_progress = self._begun = self._dropped = 0
        self._cutting = Lock()
        self._forked_at = perf_counter()


def _array(flat: list[float]) -> Rows:
    # Twice as fast as numpy's own ways, which ask each number for its type.
    return np.frombuffer(pack(f"{len(flat)}d", *flat), np.float64)


def _cut(kept: list[Any]) -> list[Any]:
    """Take out what is in a list now; what others append meanwhile stays."""
    length = len(kept)
    taken = kept[:length]
    del kept[:length]
    return taken

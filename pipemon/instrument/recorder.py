"""The hot path's buffer: calls go in as plain numbers, and into the metrics in bulk.

A record is `width` numbers: begun and ended by the process's clock, outcome, then one value a feature
(NaN: missing; None: not looked at). Lists are shared by all threads: `extend`, slicing and deleting a
slice are each atomic, under the GIL and by the list's own lock without it, so that recording needs no lock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipemon.instrument import background
from pipemon.instrument.log import log_once

FLUSH_AT = 4096
"""Calls in the buffer at which the caller flushes it."""

KEEP_AT_MOST = 65_536
"""Calls kept while another thread's flush is stuck; further ones are dropped and counted."""

Note = tuple[str, str]
"""Something rare about a call, for the series to count: (kind, detail)."""


class Series(Protocol):
    """Where a recorder's calls end up."""

    def fold(self, rows: NDArray[np.float64], flat: list[float | None]) -> None:
        """Add calls, shape (n, width); `flat` has the same numbers, with None where `rows` has NaN."""

    def note(self, kind: str, detail: str, times: int) -> None:
        """Add notes."""

    def now(self, in_progress: int, dropped: int) -> None:
        """Show the calls in progress, and add those dropped since."""


class Recorder:
    """The buffer of one stage or run.

    `running` has one entry for each call in progress. The wrappers hold on to the bound methods of
    `buffer` and `running`, so these lists are emptied, never replaced. `limit` is one number: how long
    `buffer` may grow until `full` must be called.
    """

    def __init__(self, width: int, series: Series, running: list[None], try_flush: Callable[[Recorder], bool]) -> None:
        self.width = width
        self.series = series
        self.buffer: list[float | None] = []
        self.running = running
        self.notes: list[Note] = []
        self.limit = [0]
        self._dropped = 0
        self._dropping = Lock()
        self._try_flush = try_flush

    def note(self, kind: str, detail: str) -> None:
        """Keep a note until the next flush."""
        if len(self.notes) < KEEP_AT_MOST:
            self.notes.append((kind, detail))

    def add(self, *row: float | None) -> None:
        """Record a call, as the wrappers do for the frequent ones themselves."""
        self.buffer.extend(row)
        if len(self.buffer) >= self.limit[0]:
            self.full()

    def full(self) -> None:
        """Flush without waiting; called when `buffer` is as long as `limit`."""
        if not self.limit[0]:  # this process's first call
            self.limit[0] = FLUSH_AT * self.width
            background.start()
            return
        if not self._try_flush(self) and len(self.buffer) > KEEP_AT_MOST * self.width:
            with self._dropping:
                del self.buffer[-self.width :]
                self._dropped += 1
            log_once("full", "calls end faster than they can be counted; some are dropped")

    def lose(self) -> None:
        """Count a call that could not be recorded; while the reason, an exception, is being handled."""
        with suppress(Exception):  # the user's stack may be all but full
            with self._dropping:
                self._dropped += 1
            log_once("record", "a call could not be recorded", exc=True)

    def flush(self) -> None:
        """Move what is buffered into the metrics. Whoever calls it holds the flushing lock; never raises."""
        # Notes before calls, and added after them: no exception is counted before the call that raised it.
        length = len(self.notes)
        notes = self.notes[:length]
        del self.notes[:length]
        length = len(self.buffer)
        flat = self.buffer[:length]
        del self.buffer[:length]
        with self._dropping:
            dropped, self._dropped = self._dropped, 0
        try:
            if flat:
                self.series.fold(np.array(flat, dtype=np.float64).reshape(-1, self.width), flat)
            for (kind, detail), times in Counter(notes).items():
                self.series.note(kind, detail, times)
            self.series.now(len(self.running), dropped)
        except Exception:  # noqa: BLE001  a lost count must not become the user's exception
            log_once("flush", "recorded calls could not be counted", exc=True)
            with self._dropping:
                self._dropped += dropped + len(flat) // self.width

    def forget(self) -> None:
        """Begin anew in a forked child: what is buffered is the parent's to count."""
        self.buffer.clear()
        self.notes.clear()
        self.running.clear()
        self.limit[0] = 0
        self._dropped = 0
        self._dropping = Lock()

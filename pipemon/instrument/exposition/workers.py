"""prometheus_client's files of all workers, read so that no worker's beginning or end breaks a scrape.

What a scrape shows of a worker is what it had flushed when its files were read, one after another. Families of one
scrape may so differ by the calls that a worker flushed meanwhile: those of a second or two. The next scrape has them
all; nothing is lost or counted twice, and a histogram's `_count` is its `+Inf` bucket in any case.

The files of workers that ended stay: their counts are part of the totals, which would fall without them. Each has
64 KiB or more, three to five a worker. A service empties the folder before it starts; one that replaces its workers
often should do so seldom (gunicorn's `max_requests` in the thousands).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.multiprocess import MultiProcessCollector


class Workers(MultiProcessCollector):
    """Collects what all workers counted, and of gauges of living workers (calls in progress) only theirs."""

    def collect(self) -> Iterable[Metric]:
        """Return every family, added up over the workers."""
        files = list(Path(self._path).glob("*.db"))
        own = any(_process(file) == os.getpid() for file in files)  # else they may be named by something else
        found = [str(file) for file in files if _has_values(file) and not (own and _outlived(file))]
        return self.merge(found)  # type: ignore[no-untyped-call,no-any-return]


def _has_values(file: Path) -> bool:
    # A worker's file is empty for a moment, and for ever if the worker is killed then: client_python's issue 1199.
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False


def _outlived(file: Path) -> bool:
    # Nobody calls mark_process_dead for a worker of multiprocessing that was killed.
    process = _process(file)
    if process is None or not file.name.startswith("gauge_live"):
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _process(file: Path) -> int | None:
    number = file.stem.rpartition("_")[2]
    return int(number) if number.isdecimal() else None

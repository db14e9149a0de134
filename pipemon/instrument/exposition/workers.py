"""prometheus_client's files of all workers, read so that no worker's beginning or end breaks a scrape.

What a scrape shows of a worker is what it had flushed when its files were read, one after another. Families of one
scrape may so differ by the calls that a worker flushed meanwhile: those of a second or two. The next scrape has them
all; nothing is lost or counted twice, and a histogram's `_count` is its `+Inf` bucket in any case.

The files of workers that ended stay: their counts are part of the totals, which would fall without them. Each has
64 KiB or more, four to six a worker. A service empties the folder before it starts; one that replaces its workers
often should do so seldom (gunicorn's `max_requests` in the thousands).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.samples import Sample

from pipemon import catalogue
from pipemon.catalogue import MOST_NAMES, OTHER

_BY_NAME = {
    metric.name.removesuffix("_total"): metric.labels[-1]
    for metric in (catalogue.STAGE_EXCEPTIONS, catalogue.STAGE_DROP_REASONS)
}
"""Families whose last label is a name that the code does not declare."""


class Workers(MultiProcessCollector):
    """Collects what all workers counted, and of gauges of living workers (calls in progress) only theirs."""

    def collect(self) -> Iterable[Metric]:
        """Return every family, added up over the workers."""
        files = list(Path(self._path).glob("*.db"))
        own = any(_process(file) == os.getpid() for file in files)  # else they are named by something else
        found = [str(file) for file in files if _has_values(file) and not (own and _outlived(file))]
        families: list[Metric] = list(self.merge(found))  # type: ignore[no-untyped-call]
        for family in families:
            if family.name in _BY_NAME:
                family.samples = list(_bounded(family.samples, _BY_NAME[family.name]))
            elif family.name == catalogue.STAGE_LAST_CALL.name:
                family.samples = [sample for sample in family.samples if sample.value > 0]  # else there was no call
            elif family.name in catalogue.METRICS and family.type == "histogram":
                family.samples = list(_without_sums(family.samples))
        return families


def _bounded(samples: list[Sample], label: str) -> Iterator[Sample]:
    """Yield a counter's samples with the first names of each stage by the alphabet, and the others' sum.

    By the alphabet, since so no name comes back: `other` would fall.
    """
    stages: dict[tuple[tuple[str, str], ...], dict[str, float]] = defaultdict(dict)
    for sample in samples:
        stages[tuple(item for item in sample.labels.items() if item[0] != label)][sample.labels[label]] = sample.value
    for labels, values in stages.items():
        kept = sorted(values.keys() - {OTHER})[:MOST_NAMES]
        shown = {name: values.pop(name) for name in kept}
        if values:
            shown[OTHER] = sum(values.values())
        for name, value in shown.items():
            yield Sample(samples[0].name, {**dict(labels), label: name}, value)


def _without_sums(samples: list[Sample]) -> Iterable[Sample]:
    """Return a histogram's samples, of children with negative bounds the buckets alone: their sum may fall."""
    signed = {_child(sample) for sample in samples if float(sample.labels.get("le", 0)) < 0}
    return (sample for sample in samples if "le" in sample.labels or _child(sample) not in signed)


def _child(sample: Sample) -> frozenset[tuple[str, str]]:
    return frozenset(item for item in sample.labels.items() if item[0] != "le")


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

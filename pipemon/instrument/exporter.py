"""The metric families of one registry, and who fills them."""

from __future__ import annotations

import math
import os
import platform
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock, get_ident
from time import perf_counter
from typing import Any

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from pipemon import catalogue
from pipemon.instrument import background
from pipemon.instrument.feature_series import Watch
from pipemon.instrument.log import log_once
from pipemon.instrument.metrics import Reading, begin_anew, make_family, read, show
from pipemon.instrument.recorder import Recorder, Series
from pipemon.version import __version__

_LONGEST_WAIT = 1.0
"""Seconds that a scrape or fork waits for a flush under way."""


class Exporter(Collector):
    """All that pipemon exports through one registry; several pipelines share it.

    To the registry it is one collector: families registered each for itself would be read one by one, with
    flushes between them, and a mean or ratio of two of them would be wrong.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._flushing = Lock()
        self._declaring = Lock()
        self._forking: int | None = None
        self._recorders: dict[object, Recorder] = {}
        self._alike: dict[object, list[Recorder]] = {}
        self._owners: dict[object, tuple[str, weakref.ref[object]]] = {}
        self._pipelines: weakref.WeakSet[Any] = weakref.WeakSet()
        self._registry = weakref.ref(registry)
        self._latest: list[tuple[Any, Reading]] = []
        self.families = {name: make_family(metric) for name, metric in catalogue.METRICS.items()}
        self.families[catalogue.BUILD_INFO.name].labels(__version__, platform.python_version()).set(1)
        self._spent = self.families[catalogue.FLUSH_SECONDS.name]
        registry.register(self)
        background.add(self)

    def describe(self) -> list[Metric]:
        """Return every family, without samples."""
        return [metric for family in self.families.values() for metric in family.describe()]

    def collect(self) -> list[Metric]:
        """Return every family as it is after all calls that ended, and all as of the same moment.

        While another thread's flush is stuck: as they were at the latest scrape.
        """
        self._show_undecorated()
        if self._enter(_LONGEST_WAIT):
            try:
                self._flush(self._recorders.values())
                self._latest = [(family, read(family)) for family in self.families.values()]
            finally:
                self._flushing.release()
        return [show(family, reading) for family, reading in self._latest]

    def before_scrapes(self, pipeline: Any) -> None:
        """Call a pipeline's `before_scrape` before each scrape, for as long as it lives."""
        self._pipelines.add(pipeline)

    def claim(self, key: object, owner: str, pipeline: object) -> str | None:
        """Return who else declared `key`, None if nobody did; note that it is `owner`'s.

        A pipeline that is gone, as after a module was loaded again or a test ended, holds nothing.
        """
        holder, living = self._owners.get(key, (owner, None))
        if holder != owner and living is not None and living() is not None:
            return holder
        self._owners[key] = (owner, weakref.ref(pipeline))
        return None

    @contextmanager
    def claims_undone(self) -> Iterator[None]:
        """Forget at the end who declared what meanwhile: a test's stages are in nobody's way."""
        before = self._owners.copy()
        try:
            yield
        finally:
            self._owners = before

    def recorder(
        self, key: object, columns: tuple[str, ...], series: Callable[[], Series], features: tuple[object, ...] = ()
    ) -> Recorder:
        """Return the recorder for `key`; the same one when a reloaded module declares the same columns and features."""
        with self._declaring:
            found = self._recorders.get((key, columns, features))
            if found is None:
                alike = self._alike.setdefault(key, [])
                found = Recorder(len(columns), series(), self._try_flush, alike)
                self._recorders[key, columns, features] = found
            return found

    def watch(self, key: object, watches: Mapping[str, Watch]) -> None:
        """Tell each feature of a stage, `<direction>.<feature>`, whom to tell of its values from now on."""
        for recorder in self._alike.get(key, ()):
            for feature in getattr(recorder.series, "features", ()):
                feature.watch = watches.get(feature.column)

    def flush_all(self) -> None:
        """Move every buffered call into the metrics."""
        self._show_undecorated()
        if self._enter(_LONGEST_WAIT):
            try:
                self._flush(self._recorders.values())
            finally:
                self._flushing.release()

    def _show_undecorated(self) -> None:
        for pipeline in list(self._pipelines):
            try:
                pipeline.before_scrape()
            except Exception:  # noqa: BLE001  a scrape shows what there is
                log_once("before scrape", "a stage could not be shown", exc=True)

    def _try_flush(self, recorder: Recorder) -> bool:
        if not self._enter(0):
            return False
        try:
            self._flush([recorder])
        finally:
            self._flushing.release()
        return True

    def _enter(self, wait: float) -> bool:
        # Never without limit: a signal handler may get here in the thread that is flushing.
        return self._flushing.acquire(blocking=wait > 0, timeout=wait or -1)

    def _flush(self, recorders: Iterable[Recorder]) -> None:
        try:
            begun = perf_counter()
            # What was declared last first: no stage shows calls whose upstream calls are not shown.
            for recorder in reversed(list(recorders)):
                recorder.flush()
            self._spent.inc(perf_counter() - begun)
        except Exception:  # noqa: BLE001  a scrape or the background thread must survive whatever this was
            log_once("flush all", "recorded calls could not be counted", exc=True)

    @property
    def busy(self) -> bool:
        """Tell whether calls were in progress at the latest flush."""
        return any(recorder.in_progress > 0 for recorder in list(self._recorders.values()))

    def before_fork(self) -> None:
        """Flush, then keep flushes out of the fork: the child would inherit locks that nobody releases."""
        if self._enter(_LONGEST_WAIT):
            self._forking = get_ident()
            self._flush(self._recorders.values())

    def after_fork(self, *, in_child: bool) -> None:
        """Let flushes go on; in the child with new locks, empty buffers and counts from zero.

        The child is a process of its own, and what the parent counted is the parent's to show.
        """
        if not in_child:
            if self._forking == get_ident():  # not another thread, whose fork has waited too long for this one's
                self._forking = None
                self._flushing.release()
            for recorder in list(self._recorders.values()):
                recorder.next_look[0] = -math.inf  # the next call starts the background thread again
            return
        self._flushing, self._declaring = Lock(), Lock()
        self._forking = None
        self._latest = []
        begin_anew(self._registry(), self.families.values())
        for recorder in self._recorders.values():
            recorder.forget()


_exporters: weakref.WeakKeyDictionary[CollectorRegistry, Exporter] = weakref.WeakKeyDictionary()
_making = Lock()
os.register_at_fork(before=_making.acquire, after_in_parent=_making.release, after_in_child=_making.release)


def exporter_for(registry: CollectorRegistry) -> Exporter:
    """Return the exporter of a registry, made at the first pipeline that uses it."""
    with _making:
        found = _exporters.get(registry)
        if found is None:
            found = _exporters[registry] = Exporter(registry)
        elif found not in registry._collector_to_names:  # tests empty their registries
            registry.register(found)
        return found

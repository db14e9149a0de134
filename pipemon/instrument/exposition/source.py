"""What there is to expose: a registry's metrics, or in multiprocess mode those of all workers."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from pipemon.instrument import background
from pipemon.instrument.exporter import exporter_for
from pipemon.instrument.exposition.workers import Workers
from pipemon.instrument.metrics import multiprocess


def source(registry: CollectorRegistry | None) -> CollectorRegistry:
    """Return the registry to read: the given one, by default prometheus_client's.

    In multiprocess mode one that reads the files of all workers, after this worker's calls were flushed
    into them; a given registry is read itself only if it has a MultiProcessCollector already.
    """
    given = REGISTRY if registry is None else registry
    if not multiprocess():
        return given
    background.flush_now()
    if any(isinstance(collector, MultiProcessCollector) for collector in list(given._collector_to_names)):
        return given
    exporter_for(REGISTRY)  # so that this process has files, which tell how those of the workers are named
    # It can't name its series beforehand, and `name[]` asks for series by name.
    fresh = CollectorRegistry(support_collectors_without_names=True)
    Workers(fresh)  # type: ignore[no-untyped-call]
    return fresh

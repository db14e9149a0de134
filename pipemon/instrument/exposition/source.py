"""What there is to expose: a registry's metrics, or in multiprocess mode those of all workers."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, values
from prometheus_client.multiprocess import MultiProcessCollector

from pipemon.instrument import background
from pipemon.instrument.exposition.workers import Workers


def multiprocess() -> bool:
    """Tell whether prometheus_client keeps values in files that all workers share.

    It decides that when it is imported: setting PROMETHEUS_MULTIPROC_DIR later changes nothing.
    """
    return bool(getattr(values.ValueClass, "_multiprocess", False))


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
    # It can't name its series beforehand, and `name[]` asks for series by name.
    fresh = CollectorRegistry(support_collectors_without_names=True)
    Workers(fresh)  # type: ignore[no-untyped-call]
    return fresh

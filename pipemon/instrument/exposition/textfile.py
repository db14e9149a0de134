"""The metrics as a file, for node_exporter's textfile collector."""

from __future__ import annotations

import os
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric, write_to_textfile
from prometheus_client.openmetrics.exposition import UNDERSCORES

from pipemon.errors import DeclarationError
from pipemon.instrument.exposition.source import source
from pipemon.instrument.log import log_once
from pipemon.instrument.switch import disabled
from pipemon.topology import being_described


class _Pipelines:
    """What no other job's file has, nor node_exporter, which refuses everything for one series that is there twice."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            if family.samples and family.name.startswith("pipemon_") and "pipeline" in family.samples[0].labels:
                yield family


def write_textfile(path: str | os.PathLike[str], registry: CollectorRegistry | None = None) -> bool:
    """Write the pipelines' metrics to a file for node_exporter's textfile collector, whole or not at all.

    `registry` is by default prometheus_client's; in multiprocess mode the metrics are those of all workers.
    The collector reads files that end in `.prom` only, and wants no series to be in two of them or among its
    own: each job has a file and a pipeline of its own, and what has no label `pipeline` (`process_*`, pipemon's
    own costs, your other metrics) is not written.

    Returns False, and logs why once, where the file can't be written; and where PIPEMON_DISABLED is set or a
    command imports the module to learn its stages. Raises DeclarationError for a name without `.prom`.
    """
    name = os.fspath(path)
    if not name.endswith(".prom"):
        raise DeclarationError(f"write_textfile: {name!r} does not end in .prom, so node_exporter would not read it")
    if disabled() or being_described.get():
        return False
    try:
        write_to_textfile(name, _Pipelines(source(registry)), escaping=UNDERSCORES)
    except OSError as error:
        log_once(("textfile", name), "the metrics could not be written to %s: %s", name, error.strerror or error)
        return False
    except Exception:  # noqa: BLE001  a collector of the user's
        log_once(("textfile", name), "the metrics could not be written to %s", name, exc=True)
        return False
    return True

"""The metrics as a file, for node_exporter's textfile collector."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.openmetrics.exposition import UNDERSCORES

from pipemon.errors import DeclarationError
from pipemon.instrument.exposition.source import source
from pipemon.instrument.log import log_once
from pipemon.instrument.switch import disabled
from pipemon.topology import being_described


def write_textfile(path: str | os.PathLike[str], registry: CollectorRegistry | None = None) -> bool:
    """Write the metrics to a file for node_exporter's textfile collector, whole or not at all.

    `registry` is by default prometheus_client's; in multiprocess mode the metrics are those of all workers.
    The collector reads files that end in `.prom` only, wants each job to have its own, and refuses a whole
    file in which a sample has a timestamp: pipemon's have none, a collector of your own must not, either.

    Returns False, and logs why once, where the file can't be written; and where PIPEMON_DISABLED is set or a
    command imports the module to learn its stages. Raises DeclarationError for a name without `.prom`.
    """
    name = os.fspath(path)
    if not name.endswith(".prom"):
        raise DeclarationError(f"write_textfile: {name!r} does not end in .prom, so node_exporter would not read it")
    if disabled() or being_described.get():
        return False
    try:
        write_to_textfile(name, source(registry), escaping=UNDERSCORES)
    except Exception:  # noqa: BLE001  a full disk, or a collector of the user's
        log_once(("textfile", name), "the metrics could not be written to %s", name, exc=True)
        return False
    return True

"""How the script of an example runs: its metrics exposed, until it is told to stop."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from pipemon.instrument.exposition.server import expose


@contextmanager
def exposed(port: int, address: str = "127.0.0.1") -> Iterator[tuple[Event, str]]:
    """Expose metrics, and yield an event that SIGTERM and Ctrl-C set, and where the metrics are.

    Port 0 takes a free one. Ends the script with one sentence where the port is taken.
    """
    stop = Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        exposition = expose(port=port, addr=address)
    except OSError as error:
        sys.exit(error.strerror or str(error))
    try:
        yield stop, f"http://{address}:{exposition.port}/metrics"
    finally:
        exposition.close()
        for number, usual in before.items():
            signal.signal(number, usual)

"""Serving `/metrics`."""

from __future__ import annotations

from threading import Thread
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server

from pipemon.instrument.switch import disabled
from pipemon.topology import being_described


class Exposition:
    """A running metrics server: `port` is where it listens, 0 if pipemon is disabled."""

    def __init__(self, server: Any, thread: Thread | None) -> None:
        self.port: int = server.server_port if server is not None else 0
        self._server = server
        self._thread = thread

    def close(self) -> None:
        """Stop serving and free the port. May be called twice."""
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            server.shutdown()
            server.server_close()
            self._thread.join()


def expose(
    port: int = 9464, addr: str = "0.0.0.0", registry: CollectorRegistry | None = None
) -> Exposition:  # Prometheus scrapes from another machine
    """Serve the registry's metrics over HTTP from a daemon thread; port 0 takes a free one.

    Raises OSError if the address is taken. Does nothing if PIPEMON_DISABLED is set, or while a command
    imports the module to learn its stages.
    """
    if disabled() or being_described.get():
        return Exposition(None, None)
    server, thread = start_http_server(port, addr, REGISTRY if registry is None else registry)
    return Exposition(server, thread)

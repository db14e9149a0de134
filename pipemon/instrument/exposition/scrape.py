"""What a scrape is answered, whatever the server."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from pipemon.instrument.exposition.negotiation import accepts_gzip, chosen_format
from pipemon.instrument.exposition.source import source
from pipemon.instrument.log import log_once

_METHODS = "GET, OPTIONS"
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}


@dataclass(frozen=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Scrapes:
    """Answers the scrapes of one registry.

    A scrape shows every call that ended before it came. So it can't share the work of a scrape under way;
    but all that come meanwhile share the next one, and however many come, two at most are at work or waiting.
    """

    def __init__(self, registry: CollectorRegistry | None) -> None:
        self._registry = registry
        self._shared: dict[str, _Shared] = {}

    def answer(self, method: str, query: str, accept: str, accept_encoding: str) -> Answer:
        """Answer a request, in OpenMetrics 1.0.0 or the Prometheus text format; never raises.

        Takes a while: up to about a second where a flush is stuck, or many workers' files are read.
        """
        if method == "OPTIONS":
            return Answer(200, {"Allow": _METHODS})
        if method != "GET":
            return Answer(405, {"Allow": _METHODS, **_TEXT}, b"use GET\n")
        encode, content_type = choose_encoder(chosen_format(accept))
        try:
            names = parse_qs(query).get("name[]")
            if names:
                body = encode(source(self._registry).restricted_registry(names))
            else:
                shared = self._shared.setdefault(content_type, _Shared())
                body = shared.get(lambda: encode(source(self._registry)))
        except Exception:  # noqa: BLE001  a collector of the user's may raise; Prometheus shows the target as down
            log_once("scrape", "the metrics could not be collected", exc=True)
            return Answer(500, _TEXT, b"the metrics could not be collected; the log says why\n")
        headers = {"Content-Type": content_type}
        if accepts_gzip(accept_encoding):
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, compresslevel=6)
        headers["Content-Length"] = str(len(body))
        return Answer(200, headers, body)


class _Shared:
    """Work whose result is shared by all who asked for it before it began."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._working = Lock()
        self._begun = self._ended = 0
        self._result = b""

    def get(self, work: Callable[[], bytes]) -> bytes:
        if self._process != os.getpid():  # a thread that worked at the fork is not here to release the lock
            self.__init__()  # type: ignore[misc]
        wanted = self._begun + 1
        with self._working:
            if self._ended < wanted:
                self._begun += 1
                self._result, self._ended = work(), self._begun
            return self._result

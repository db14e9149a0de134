"""One HTTP request as a test wants it: the answer, whatever its status."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import ssl
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def value(self, name: str, **labels: str) -> float:
        """The one sample of this name with these labels among its own, in the text format."""
        (found,) = [
            sample.value
            for family in text_string_to_metric_families(self.body.decode())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return float(found)


def fetch(url: str, method: str = "GET", tls: ssl.SSLContext | None = None, **headers: str) -> Answer:
    """Headers are written with underscores."""
    to = urlsplit(url)
    connection = (
        HTTPConnection(to.hostname or "", to.port, timeout=120)
        if to.scheme == "http"
        else HTTPSConnection(to.hostname or "", to.port, timeout=120, context=tls)
    )
    try:
        path = f"{to.path or '/'}{'?' if to.query else ''}{to.query}"
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()

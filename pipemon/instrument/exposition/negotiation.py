"""Which format and coding a client wants: RFC 9110, sections 12.4.2 and 12.5.

prometheus_client's own choice takes the first that it knows, whatever its weight.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from urllib.request import parse_http_list

_OPENMETRICS, _TEXT = "application/openmetrics-text", "text/plain"
_SERVED = ((_TEXT, "0.0.4"), (_OPENMETRICS, "1.0.0"), (_TEXT, "1.0.0"))
"""Types and versions; the first is for who does not care, and for who wants nothing that there is."""


class _Wanted(NamedTuple):
    """An element of an Accept or Accept-Encoding header; earlier ones have a lower place."""

    name: str
    parameters: dict[str, str]
    weight: float
    place: int

    def fits(self, kind: str, version: str) -> int:
        """Tell how closely a format is described, 0 for not at all."""
        if self.name == "*/*":
            return 1
        if self.name == kind.partition("/")[0] + "/*":
            return 2
        if self.name != kind:
            return 0
        return {"": 3, version: 4}.get(self.parameters.get("version", ""), 0)


def chosen_format(accept: str) -> str:
    """Return an Accept header with the one best format that can be served, of those that `accept` describes.

    Each format has the weight of what describes it most closely; of formats that weigh the same, the one named
    first. A later OpenMetrics than 1.0.0 is not served: prometheus_client would call its 1.0.0 by that version.
    """
    wanted = list(_elements(accept))
    best, found = (0.0, 0), _SERVED[0][0]
    for kind, version in _SERVED:
        fitting = [(each.fits(kind, version), each.weight, -each.place, each) for each in wanted]
        closest = max(fitting, key=lambda fit: fit[:3], default=None)
        if closest is not None and closest[0] and closest[1:3] > best:  # which no weight of 0 is
            best, found = closest[1:3], _written(kind, version, closest[3])
    return found


def _written(kind: str, version: str, wanted: _Wanted) -> str:
    if wanted.parameters.get("version") != version:
        return kind
    return f"{kind};version={version};escaping={wanted.parameters.get('escaping', '')}"


def accepts_gzip(accept_encoding: str) -> bool:
    """Tell whether a client understands gzip, and likes plain text no better."""
    weights = {each.name: each.weight for each in _elements(accept_encoding)}
    gzip = weights.get("gzip", weights.get("*", 0.0))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _elements(header: str) -> Iterator[_Wanted]:
    for place, element in enumerate(parse_http_list(header)):  # which knows that a comma may be quoted
        name, *parameters = element.split(";")
        pairs = (parameter.partition("=") for parameter in parameters)
        told = {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}
        yield _Wanted(name.strip().lower(), told, _weight(told.get("q", "1")), place)


def _weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        return 1.0
    return weight if 0 <= weight <= 1 else 1.0

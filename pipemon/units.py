"""Durations as people write them (`500ms`, `10m`), in seconds."""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|[smhdw])")
_WHOLE = re.compile(rf"(?:{_PART.pattern}\s*)+")


def seconds(text: str | float) -> float:
    """Return a duration in seconds: `"500ms"` is 0.5, `"1h 30m"` is 5400; a number is taken as seconds.

    Raises ValueError for anything else, and for a duration that is not positive.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise ValueError(f"{text!r} is not a duration; write a number with a unit, such as 500ms or 10m")
    if isinstance(text, str):
        if not _WHOLE.fullmatch(text.strip()):
            raise ValueError(f"{text!r} is not a duration; write a number with a unit, such as 500ms or 10m")
        value = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
        value = round(value, 9)
    else:
        value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(f"{text!r} is not a positive duration")
    return value


def duration(value: float) -> str:
    """Print seconds as Prometheus writes durations: 0.5 is `500ms`, 5400 is `1h30m`, 300 is `5m`.

    Rounded to whole milliseconds, at least one. Parsed by Prometheus and Alertmanager alike.
    """
    left = max(1, round(value * 1000))
    text = ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count else ""
    return text


def le(bound: float) -> str:
    """Print a bucket bound as the exporter's `le` label has it: 0.3, 1.0, 1e+06."""
    # The client library's own printing is what ends up in the label.
    from prometheus_client.utils import floatToGoString  # noqa: PLC0415

    return str(floatToGoString(bound))  # type: ignore[no-untyped-call]

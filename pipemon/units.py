"""Units: durations as people write them (`500ms`, `10m`), and the base units of what is exported."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from math import isinf, isnan

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
# Compiled when first used, and kept by `re`: what only declares stages without budgets needs none.
_PART = r"([0-9]+(?:\.[0-9]+)?)\s*(ms|[smhdw])"
_WHOLE = rf"(?:{_PART}\s*)+"

_PREFIXES = {
    "pico": 1e-12, "nano": 1e-9, "micro": 1e-6, "milli": 1e-3, "centi": 0.01, "deci": 0.1, "deca": 10.0,
    "hecto": 100.0, "kilo": 1e3, "mega": 1e6, "giga": 1e9, "tera": 1e12, "peta": 1e15,
    "kibi": 2.0**10, "mebi": 2.0**20, "gibi": 2.0**30, "tebi": 2.0**40, "pebi": 2.0**50,
}  # fmt: skip
SIZES = {
    "B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
    "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "TiB": 2.0**40,
}  # fmt: skip
"""Bytes of the units in which people write sizes."""
_BASE = ("seconds", "bytes", "meters", "metres", "grams", "joules", "volts", "amperes", "watts", "hertz")
_SCALED: dict[str, tuple[str, float | None]] = {
    "s": ("seconds", 1.0), "sec": ("seconds", 1.0), "secs": ("seconds", 1.0), "second": ("seconds", 1.0),
    "ms": ("seconds", 1e-3), "msec": ("seconds", 1e-3), "msecs": ("seconds", 1e-3), "millis": ("seconds", 1e-3),
    "us": ("seconds", 1e-6), "µs": ("seconds", 1e-6), "μs": ("seconds", 1e-6), "usec": ("seconds", 1e-6),
    "micros": ("seconds", 1e-6), "ns": ("seconds", 1e-9), "nsec": ("seconds", 1e-9), "nanos": ("seconds", 1e-9),
    "m": ("meters' or 'seconds", None), "min": ("seconds", 60.0), "mins": ("seconds", 60.0),
    "minute": ("seconds", 60.0), "minutes": ("seconds", 60.0), "h": ("seconds", 3600.0), "hr": ("seconds", 3600.0),
    "hrs": ("seconds", 3600.0), "hour": ("seconds", 3600.0), "hours": ("seconds", 3600.0),
    "d": ("seconds", 86400.0), "day": ("seconds", 86400.0), "days": ("seconds", 86400.0),
    "week": ("seconds", 604800.0), "weeks": ("seconds", 604800.0),
    "%": ("ratio", 0.01), "percent": ("ratio", 0.01), "percents": ("ratio", 0.01), "percentage": ("ratio", 0.01),
    "pct": ("ratio", 0.01), "permille": ("ratio", 1e-3), "‰": ("ratio", 1e-3), "ratios": ("ratio", 1.0),
    "b": ("bytes", None), "byte": ("bytes", 1.0), "bit": ("bytes", 0.125), "bits": ("bytes", 0.125),
    "kb": ("bytes", 1e3), "mb": ("bytes", 1e6), "gb": ("bytes", 1e9), "tb": ("bytes", 1e12), "pb": ("bytes", 1e15),
    "kib": ("bytes", 2.0**10), "mib": ("bytes", 2.0**20), "gib": ("bytes", 2.0**30), "tib": ("bytes", 2.0**40),
    "hz": ("hertz", 1.0), "khz": ("hertz", 1e3), "mhz": ("hertz", 1e6), "ghz": ("hertz", 1e9),
    "kelvins": ("kelvin", 1.0), "fahrenheit": ("celsius", None), "rankine": ("celsius", None), "°c": ("celsius", 1.0),
    "°f": ("celsius", None), "inches": ("meters", 0.0254), "yards": ("meters", 0.9144), "miles": ("meters", 1609.344),
    "calories": ("joules", 4.184), "pounds": ("grams", 453.59237), "ounces": ("grams", 28.349523125),
}  # fmt: skip


def seconds(text: str | float) -> float:
    """Return a duration in seconds: `"500ms"` is 0.5, `"1h 30m"` is 5400; a number is taken as seconds.

    Raises ValueError for anything else, and for a duration that is not positive.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise ValueError(f"{text!r} is not a duration; write a number with a unit, such as 500ms or 10m")
    if isinstance(text, str):
        if not re.fullmatch(_WHOLE, text.strip()):
            raise ValueError(f"{text!r} is not a duration; write a number with a unit, such as 500ms or 10m")
        value = sum(float(number) * _SECONDS[unit] for number, unit in re.findall(_PART, text))
        value = round(value, 9)
    else:
        value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(f"{text!r} is not a positive duration")
    return value


def check_unit(text: str) -> str:
    """Return a unit that can be exported: a base unit of Prometheus, or whatever is counted (`words`, `tokens`).

    Raises ValueError, with the base unit and the factor, for a scaled or abbreviated one: `ms`, `percent`, `MB`.
    They are those of promlint in github.com/prometheus/client_golang, and some that people write often.
    """
    word = text.strip().lower()
    base, factor = _SCALED.get(word, ("", None))
    for prefix, scale in _PREFIXES.items():
        rest = word.removeprefix(prefix)
        if rest != word and rest in (*_BASE, "bits"):
            base, factor = ("bytes", scale / 8) if rest == "bits" else (rest, scale)
    if not base:
        return text
    means = f" (1 {text.strip()} is {factor:.12g} {base})" if factor is not None and factor != 1 else ""
    raise ValueError(f"unit {text!r} is not a base unit; use '{base}'{means}")


def counted(number: int, noun: str) -> str:
    """Return so many of what a noun names, which takes an s: "1 feature", "12,000 features"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def figure(value: float, digits: int = 4) -> str:
    """Return a number as people read it: so many digits, and all those before the point; 0.01235, 12.35, 44120.

    Exponents are only where it is under 0.0001.
    """
    return f"{value:.0f}" if abs(value) >= 10**digits - 0.5 else f"{value:.{digits}g}"


# Few durations are asked for again and again.
@lru_cache(maxsize=1000)
def duration(value: float) -> str:
    """Print seconds as Prometheus reads durations: 0.5 is `500ms`, 5400 is `1h30m`, 300 is `5m`, 1.5 is `1500ms`.

    Rounded to whole milliseconds, at least one. Parsed by Prometheus and Alertmanager alike.
    """
    left = max(1, round(value * 1000))
    if left < 60_000 and left % 1000:
        return f"{left}ms"
    text = ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count else ""
    return text


def meant(text: str) -> str:
    """Return "; did you mean '5m'?" for a duration in words such as `5 minutes` or `5min`, else ""."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([a-z]+)", text.strip().lower(), re.ASCII)
    base, factor = _SCALED.get(found[2], ("", None)) if found else ("", None)
    if found is None or base != "seconds" or not factor or not float(found[1]):
        return ""
    return f"; did you mean {duration(float(found[1]) * factor)!r}?"


def le(bound: float) -> str:
    """Print a bucket bound as the exporter's `le` label has it: 0.3, 1.0, 1e+06.

    As prometheus-client does, which the commands would wait for.
    """
    bound = float(bound)
    if isinf(bound):
        return "+Inf" if bound > 0 else "-Inf"
    written = repr(bound)
    whole, dot, rest = written.partition(".")
    if bound > 0 and dot and len(whole) > 6:
        # As Go, with an exponent sooner than Python.
        mantissa = f"{whole[0]}.{whole[1:]}{rest}".rstrip("0.")
        return f"{mantissa}e+{len(whole) - 1:02d}"
    return "NaN" if isnan(bound) else written


def fingerprint(bounds: Iterable[float]) -> str:
    """Return eight hex digits that are equal wherever a histogram's bounds are: SHA-256 of their `le` texts."""
    return hashlib.sha256(",".join(map(le, bounds)).encode()).hexdigest()[:8]

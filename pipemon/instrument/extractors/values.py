"""Features of any value: the number itself, how many items it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipemon.instrument.features import Feature


def length(name: str | None = None) -> Feature:
    """How many items there are: `len(...)`. The unit is `items`, or `name` if given. Cost: constant."""
    inline = "pm_float(pm_len({value}))"
    return Feature(name or "length", _length, unit=name or "items", prefix=name is None, inline=inline)


def value(name: str | None = None, unit: str = "", bounds: Sequence[float] | None = None) -> Feature:
    """The number itself, in `unit`. Cost: constant."""
    return Feature(name or "value", _itself, unit=unit, bounds=bounds, prefix=name is None, inline="{value}")


def _length(items: Any) -> float:
    return float(len(items))


def _itself(number: Any) -> object:
    return number

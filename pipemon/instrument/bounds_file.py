"""The budgets and bucket bounds that `pipemon generate` wrote. A missing or broken file never stops the service."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from pipemon.instrument.bounds import checked
from pipemon.instrument.log import log_once
from pipemon.topology import being_described


class StageBounds(NamedTuple):
    """What the file says of a stage: its budget and more bounds of its durations, in seconds, or nothing.

    `features` has more bounds for a feature's histogram by `<direction>.<feature>`, in the feature's unit.
    They are for bounds that come from the unit: those of a baseline or of the code stay as they are.
    """

    budget: float | None = None
    durations: tuple[float, ...] = ()
    features: Mapping[str, tuple[float, ...]] = MappingProxyType({})


class BoundsFile(NamedTuple):
    """What the file says of the pipeline end to end, and of its stages by their names."""

    budget: float | None = None
    durations: tuple[float, ...] = ()
    stages: Mapping[str, StageBounds] = MappingProxyType({})

    def stage(self, name: str) -> StageBounds:
        """Return what the file says of a stage, which may be nothing."""
        return self.stages.get(name, StageBounds())


def read_bounds_file(path: str | os.PathLike[str] | None, pipeline: str) -> BoundsFile:
    """Return what a generated `<pipeline>.bounds.json` says, or nothing.

    A file that is missing, broken or another pipeline's is logged once, and nothing of it used. Nor is it
    while the code is only being described: a file of yesterday has no say in the one made from that.
    """
    if path is None or being_described.get():
        return BoundsFile()
    import json  # noqa: PLC0415

    try:
        with open(os.fspath(path), encoding="utf-8") as file:
            document = json.load(file)
        if document["pipeline"] != pipeline:
            raise ValueError(f"it is of the pipeline {document['pipeline']!r}, not {pipeline!r}")
        stages = {str(name): _stage(entry) for name, entry in document["stages"].items()}
        return BoundsFile(_budget(document), _bounds(document["durations"]), stages)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        log_once(("bounds", str(path)), "bounds %s are not used: %s: %s", path, type(error).__name__, error)
        return BoundsFile()


def _stage(entry: dict[str, Any]) -> StageBounds:
    features = {str(name): _bounds(bounds) for name, bounds in entry["features"].items()}
    return StageBounds(_budget(entry), _bounds(entry["durations"]), features)


def _budget(entry: dict[str, Any]) -> float | None:
    budget = entry["budget"]
    if budget is None:
        return None
    if isinstance(budget, bool) or not isinstance(budget, int | float) or not 0 < budget < math.inf:
        raise ValueError(f"a budget must be a number of seconds above 0, not {budget!r}")
    return float(budget)


def _bounds(bounds: list[Any]) -> tuple[float, ...]:
    return checked(bounds) if bounds else ()

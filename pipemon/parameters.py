"""What an option of a command can be: a duration, a point in time, a factor."""

from __future__ import annotations

from datetime import datetime
from math import isfinite
from typing import Any

import click

from pipemon.units import seconds


class Duration(click.ParamType[float]):
    """A duration such as 30s or 10m, in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds, or end with a usage error."""
        try:
            return seconds(value if isinstance(value, float) else str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Moment(click.ParamType[float]):
    """A point in time: ISO 8601, or Unix seconds."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return Unix seconds, or end with a usage error."""
        try:
            if isfinite(found := float(str(value))):
                return found
        except ValueError:
            pass
        try:
            return datetime.fromisoformat(str(value)).timestamp()
        except ValueError:
            self.fail(f"{value!r} is not a time; write 2026-01-31T12:00 or Unix seconds", param, ctx)


class TimeScale(click.FloatRange):
    """A factor from 0.01 to 1000: beyond that, durations are no longer what Prometheus or people can wait."""

    def __init__(self) -> None:
        super().__init__(0.01, 1000.0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the factor, or end with a usage error; NaN is in no range."""
        found = float(super().convert(value, param, ctx))
        return found if isfinite(found) else self.fail(f"{value!r} is not a number", param, ctx)

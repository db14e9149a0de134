"""What an option of a command can be: a duration, a point in time, a factor."""

from __future__ import annotations

import re
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from pipemon.addresses import web_address
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


def token_in(file: Path) -> str:
    """Return the token that a file holds, or end with a usage error where it can't be read."""
    try:
        return file.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise click.UsageError(f"the token can't be read from {file}: {(error.strerror or '').lower()}") from None
    except ValueError:
        raise click.UsageError(f"the token can't be read from {file}: it is no text") from None


class Url(click.ParamType[str]):
    """An address of the web: http or https, and a host."""

    name = "url"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it as it is, or end with a usage error."""
        if web_address(str(value)) is None:
            self.fail(f"{value!r} is no URL; write http://host:port, with a path if it has one", param, ctx)
        return str(value)


class HostPort(click.ParamType[str]):
    """A host and its port, as Prometheus' targets are; with `named`, also behind `job=`; or a word of `instead`."""

    name = "host:port"

    def __init__(self, *, named: bool = False, instead: tuple[str, ...] = ()) -> None:
        self.named = named
        self.instead = instead

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it as it is, or end with a usage error."""
        if value in self.instead:
            return str(value)
        address = str(value).rpartition("=")[2] if self.named else str(value)
        try:
            parts = urlsplit(f"//{address}")
            valid = bool(parts.hostname) and bool(parts.port) and parts.netloc == address and "@" not in address
        except ValueError:
            valid = False
        if not valid or re.search(r"\s", address):
            more = "; give a URL's path or https in the file that is written" if "/" in address else ""
            self.fail(f"{address!r} is not host:port, such as 127.0.0.1:9464{more}", param, ctx)
        return str(value)

"""What a stage's version is made of: code, hyperparameters and data."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import ModuleType
from typing import Any

from pipemon.errors import DeclarationError
from pipemon.instrument import digest
from pipemon.instrument.names import check_text

_LONGEST = 40
_LATEST = 1e11
"""Unix seconds of the year 5138; what is above are milliseconds."""

Code = str | bytes | os.PathLike[str] | ModuleType | Callable[..., Any]


@dataclass(frozen=True)
class Model:
    """What a stage's version is made of, each part named by a text or hashed: at least one of them.

    `code`: a function, class, module, package, file or bytes. `params`, the hyperparameters: a mapping, a
    dataclass's instance or an argparse.Namespace. `data`, what it was trained on: a file, bytes, an array or a
    data frame. A file is a `pathlib.Path`; a text is always a name: a tag, a commit, a registry's version.
    `trained`, when: a datetime with its time zone, a date (midnight UTC), either as ISO text, or Unix seconds.

    A hash is eight hex digits of SHA-256, the same in every process and on every machine. Hashing is done once,
    here, and reads at most 64 MiB of a file, array or data frame, in about 0.2 s. Of a larger one it reads 64
    parts spread evenly (for a file it says so in the log), and sees no change between them.

    Parts are kept as their texts: `Model(code=f, data="2026-06").code` is `"9f2c01ab"`. Names of more than 40
    characters are cut, and end in a hash.

    Raises DeclarationError for a file that can't be read, what can't be hashed, a time without its time zone,
    and where nothing is given.
    """

    code: Code | None = None
    params: Any = None
    data: Any = None
    trained: datetime | date | str | float | None = None

    def __post_init__(self) -> None:
        if all(value is None for value in (self.code, self.params, self.data, self.trained)):
            raise DeclarationError("a model needs at least one of code, params, data and trained")
        for part, of, expected in (
            ("code", digest.of_code, "a function, class, module, Path or bytes"),
            ("params", digest.of_params, "a mapping, a dataclass's instance or an argparse.Namespace"),
            ("data", digest.of_data, "a Path, bytes, an array or a data frame"),
        ):
            object.__setattr__(self, part, _text(part, getattr(self, part), of, expected))
        object.__setattr__(self, "trained", _seconds(self.trained))

    @property
    def version(self) -> str:
        """The parts that were given, joined by "-": `"9f2c01ab-2026-06"`; with none of them, when it was trained."""
        parts = [text for text in self.labels.values() if text]
        if not parts:
            return datetime.fromtimestamp(self.trained_timestamp or 0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return "-".join(parts)

    @property
    def labels(self) -> dict[str, str]:
        """The text of each part, empty for one that was not given: `{"code": ..., "params": ..., "data": ...}`."""
        return {part: getattr(self, part) or "" for part in ("code", "params", "data")}

    @property
    def trained_timestamp(self) -> float | None:
        """When it was trained, in Unix seconds; None if that was not given."""
        return self.trained  # type: ignore[return-value]  # since __post_init__


def _text(part: str, value: Any, of: Callable[[Any], str | None], expected: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        found = of(value)
        if found is None:
            raise DeclarationError(f"{part} must be a name (a text), {expected}, not {type(value).__name__}")
        return found
    name = check_text(part, value)
    if not name.strip() or not name.isprintable() or name != name.strip():
        raise DeclarationError(f"{part} {value!r}: a name has no white space around it, and is not empty")
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - digest.LENGTH - 1]}~{digest.short(name)}"


def _seconds(trained: Any) -> float | None:
    """Return a time in Unix seconds."""
    if trained is None:
        return None
    if isinstance(trained, str):
        trained = _parsed(trained)
    if isinstance(trained, datetime):
        if trained.tzinfo is None or trained.utcoffset() is None:
            raise DeclarationError(
                f"trained {trained.isoformat()}: a time needs its time zone, as in 2026-06-01T12:00:00Z or tzinfo=UTC"
            )
        value = trained.timestamp()
    elif isinstance(trained, date):
        value = datetime(trained.year, trained.month, trained.day, tzinfo=UTC).timestamp()
    elif isinstance(trained, int | float) and not isinstance(trained, bool):
        value = float(trained)
    else:
        raise DeclarationError(f"trained must be a datetime, a date, ISO text or Unix seconds, not {trained!r}")
    if not (math.isfinite(value) and 0 < value < _LATEST):
        told = "; these look like milliseconds" if _LATEST <= value < math.inf else ""
        raise DeclarationError(f"trained {trained!r} is no time after 1970 in Unix seconds{told}")
    return value


def _parsed(text: str) -> datetime | date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise DeclarationError(
            f"trained {text!r} is no ISO time; write it as 2026-06-01 or 2026-06-01T12:00:00Z"
        ) from None

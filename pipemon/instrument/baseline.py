"""The bins that a baseline file asks for. A file that is missing or broken never stops the service."""

from __future__ import annotations

import os

from pipemon.errors import DeclarationError
from pipemon.instrument.bounds import checked
from pipemon.instrument.log import log_once


def read_bounds(path: str | os.PathLike[str] | None) -> dict[str, tuple[float, ...]]:
    """Return the bounds of each `<stage>.<direction>.<feature>` in a baseline file.

    The file is JSON: `{"features": {"vad.input.audio_seconds": {"bounds": [0.5, 1, 2]}}}`. What can't be
    read is left out and logged once.
    """
    if path is None:
        return {}
    import json  # noqa: PLC0415

    try:
        with open(path, encoding="utf-8") as file:
            features = json.load(file)["features"]
        entries = {str(key): entry["bounds"] for key, entry in features.items() if "bounds" in entry}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        log_once(("baseline", str(path)), "baseline %s is not used: %s: %s", path, type(error).__name__, error)
        return {}
    found = {}
    for key, entry in entries.items():
        try:
            found[key] = checked(entry)
        except DeclarationError as error:
            log_once(("baseline", str(path), key), "baseline %s, %s is not used: %s", path, key, error)
    return found

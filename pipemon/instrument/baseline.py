"""The bins that baseline files ask for. A file that is missing or broken never stops the service."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pipemon.errors import DeclarationError
from pipemon.instrument.bounds import checked
from pipemon.instrument.log import log_once
from pipemon.topology import being_described

Path = str | os.PathLike[str]


class _File(NamedTuple):
    """What is read of one file: whose version it is, and bounds by `<stage>.<direction>.<feature>`."""

    version: str
    stage_versions: Mapping[str, str]
    bounds: Mapping[str, tuple[float, ...]]


class Baselines(NamedTuple):
    """The baselines of a pipeline; a new model version brings its own while the old one still serves."""

    files: tuple[_File, ...] = ()
    named: tuple[str, ...] = ()
    """As the code names them, those that could not be read too."""

    def bounds(self, stage: str, version: str) -> dict[str, tuple[float, ...]]:
        """Return a stage's bounds by `<direction>.<feature>`: those made of its version, else the first file's."""
        own = [file for file in self.files if file.stage_versions.get(stage, file.version) == version]
        prefix = f"{stage}."
        for file in own or self.files[:1]:
            return {key.removeprefix(prefix): each for key, each in file.bounds.items() if key.startswith(prefix)}
        return {}


def read_baselines(given: Path | Sequence[Path] | None, pipeline: str) -> Baselines:
    """Return what the runtime needs of files that `pipemon baseline` wrote.

    They are JSON: `{"version": "2", "features": {"vad.input.audio_seconds": {"bounds": [0.5, 1, 2]}}}`. What can't be
    read, or is another pipeline's, is left out and logged once.
    """
    several = given if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    paths = tuple(path for path in several if path is not None)
    found = (_read(path, pipeline) for path in paths)
    return Baselines(tuple(file for file in found if file is not None), tuple(filter(None, map(_name, paths))))


def _name(path: Path) -> str:
    try:
        return os.fsdecode(path)
    except TypeError:  # no path at all, as was logged
        return ""


def _read(path: Path, pipeline: str) -> _File | None:
    import json  # noqa: PLC0415

    try:
        with open(os.fspath(path), encoding="utf-8") as file:
            document = json.load(file)
        if document.get("pipeline", pipeline) != pipeline:
            raise ValueError(f"it is of the pipeline {document['pipeline']!r}, not {pipeline!r}")
        entries = {str(key): entry["bounds"] for key, entry in document["features"].items() if "bounds" in entry}
        versions = {str(stage): str(version) for stage, version in document.get("stage_versions", {}).items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # A command that asks for the code's shape runs elsewhere, and says itself what it can't find.
        if not (isinstance(error, FileNotFoundError) and being_described.get()):
            log_once(("baseline", str(path)), "baseline %s is not used: %s: %s", path, type(error).__name__, error)
        return None
    return _File(str(document.get("version", "")), versions, _checked(path, entries))


def _checked(path: Path, entries: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    found = {}
    for key, entry in entries.items():
        try:
            found[key] = checked(entry)
        except DeclarationError as error:
            log_once(("baseline", str(path), key), "baseline %s, %s is not used: %s", path, key, error)
    return found

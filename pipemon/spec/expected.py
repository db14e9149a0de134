"""Changes that a team has announced: `<pipeline>.expected.json` beside its failure modes, read and written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipemon.errors import Problem, SpecError, nearest
from pipemon.spec.baseline import Baseline
from pipemon.spec.model import ExpectedChange

_KEYS = {"what", "stage", "from", "to"}


def file_of(spec: Path, pipeline: str) -> Path:
    """Return where the changes of a pipeline stand: beside the first of its files."""
    return spec.parent / f"{pipeline}.expected.json"


def load(path: Path, stages: Iterable[str]) -> tuple[ExpectedChange, ...]:
    """Return the changes in a file, the earliest first; none where there is no file. Raises SpecError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or "it is not JSON"
        raise _fault(path, f"cannot read the expected changes: {reason.lower()}") from None
    changes = document.get("changes") if isinstance(document, dict) else None
    if not isinstance(changes, list):
        raise _fault(path, 'expected {"changes": [...]}, as `pipemon expect` writes it')
    known = tuple(stages)
    return tuple(sorted((_change(path, each, known) for each in changes), key=lambda change: change.start))


def dump(changes: Iterable[ExpectedChange]) -> str:
    """Return the text of a file."""
    found = [
        {"what": each.what, "stage": each.stage, "from": moment(each.start), "to": moment(each.end)} for each in changes
    ]
    return json.dumps({"changes": found}, indent=2, ensure_ascii=False) + "\n"


def accepted(changes: Iterable[ExpectedChange], baselines: Iterable[Baseline]) -> tuple[ExpectedChange, ...]:
    """Return the changes, each with whether a baseline that begins after it has taken it for the new normal."""
    since = max((baseline.start for baseline in baselines), default=0.0)
    return tuple(replace(change, accepted=since >= change.start) for change in changes)


def moment(time: float) -> str:
    """Return a Unix time in UTC, to the second."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _change(path: Path, entry: Any, stages: tuple[str, ...]) -> ExpectedChange:
    if not isinstance(entry, dict) or set(entry) != _KEYS or not all(isinstance(each, str) for each in entry.values()):
        raise _fault(path, f"a change has {', '.join(sorted(_KEYS))}, all texts; found {json.dumps(entry)[:80]}")
    if entry["stage"] not in stages:
        raise _fault(path, f"there is no stage {entry['stage']!r}{nearest(entry['stage'], stages)}")
    try:
        start, end = (datetime.fromisoformat(entry[key]).timestamp() for key in ("from", "to"))
    except ValueError:
        raise _fault(path, f"{entry['what']!r}: expected times such as 2026-01-31T12:00:00Z") from None
    if start >= end:
        raise _fault(path, f"{entry['what']!r} ends before it begins")
    return ExpectedChange(entry["what"], entry["stage"], start, end)


def _fault(path: Path, message: str) -> SpecError:
    return SpecError([Problem(str(path), 1, 1, message, "expected")])

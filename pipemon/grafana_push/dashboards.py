"""Which dashboards are pushed: those of specs, or those that `pipemon generate` wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from pipemon.errors import OptionError
from pipemon.generate.output import DASHBOARDS, dashboard_files, generic_dashboard_files
from pipemon.spec.load import load_all

_NOT_CONTENT = ("id", "version")
"""What Grafana gives a dashboard when it stores it."""

Dashboard = dict[str, Any]


def of_specs(paths: Sequence[Path]) -> list[Dashboard]:
    """Return the dashboards of specs. Raises SpecError."""
    specs = load_all(paths)
    texts = [text for spec in specs for text in dashboard_files(spec).values()]
    return [json.loads(text) for text in (*texts, *generic_dashboard_files(specs).values())]


def of_folder(out: Path) -> list[Dashboard]:
    """Return the dashboards in a folder that `pipemon generate` wrote, or in one with the JSON files alone.

    Raises OptionError where there is none, or a file is no dashboard.
    """
    if not out.is_dir():
        raise OptionError(f"there is no folder {out}")
    folder = out / DASHBOARDS if (out / DASHBOARDS).is_dir() else out
    found = [_read(path) for path in sorted(folder.rglob("*.json"))]
    if not found:
        raise OptionError(f"there is no dashboard in {folder}")
    twice = sorted({board["uid"] for board in found if [each["uid"] for each in found].count(board["uid"]) > 1})
    if twice:
        raise OptionError(f"two dashboards in {folder} have the uid {twice[0]}")
    return found


def _read(path: Path) -> Dashboard:
    try:
        board: Dashboard = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"cannot read {path}: {(error.strerror or '').lower()}") from None
    except ValueError as error:
        raise OptionError(f"{path} is no JSON: {error}") from None
    named = isinstance(board, dict) and all(isinstance(board.get(key), str) and board[key] for key in ("uid", "title"))
    if not named or not isinstance(board.get("panels"), list):
        raise OptionError(f"{path} is no dashboard: it needs a uid, a title and panels")
    return board


def digest(board: Dashboard) -> str:
    """Return 16 hexadecimal digits that stand for a dashboard's content, whatever Grafana numbers it by."""
    content = {key: value for key, value in board.items() if key not in _NOT_CONTENT}
    return sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]

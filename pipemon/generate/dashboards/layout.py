"""Where panels stand: rows and lines on the 24 columns, with ids that stay, as Grafana's classic JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, count, pairwise
from zlib import crc32

from pipemon.generate.arrived import Labels, arrived
from pipemon.generate.dashboards.panels import DATASOURCE, Json, Panel, Query, letter
from pipemon.generate.dashboards.text import RATE_INTERVAL, query
from pipemon.generate.lookback import in_sight
from pipemon.units import duration

COLUMNS = 24
MOST_IN_A_LINE = 4
LONG_TITLE = 32
"""Letters that a title has room for where four panels share a line, on a screen of 1280 pixels."""
RECENT = 20
"""How many scrapes "now" means: five minutes by default."""


@dataclass(frozen=True)
class Row:
    """A titled row: each section begins on a line of its own and shares the width.

    `repeat` is the variable of whose values each has a row of its own.
    """

    key: str
    title: str
    sections: tuple[tuple[Panel, ...], ...]
    collapsed: bool = False
    repeat: str = ""


@dataclass(frozen=True)
class Placed:
    """Panels as JSON, and the id of the first panel that shows each failure mode."""

    panels: list[Json]
    of_modes: dict[str, int]


def place(rows: Sequence[Row], scrape_interval: float = 15.0, labels: Labels = ()) -> Placed:
    """Return the panels with their places on the 24 columns and their ids, rows from top to bottom.

    A row without a title has no heading. Lone values look back over RECENT scrapes, `scrape_interval` apart in seconds:
    Grafana's rate interval is made for points along a line. `labels` are those of pipemon that arrive under other
    names.
    """
    placed: list[Json] = []
    ids: set[int] = set()
    of_modes: dict[str, int] = {}
    y = 0
    for row in rows:
        panels: list[Json] = []
        top = y
        if row.title:
            y += 1
        for section in row.sections:
            for line in _lines(section):
                height = max(panel.height for panel in line)
                ends = [0, *accumulate(panel.share for panel in line)]
                for panel, (start, end) in zip(line, pairwise(COLUMNS * end // ends[-1] for end in ends), strict=True):
                    id = _id(panel.key, ids)
                    at: Json = {"x": start, "y": y, "w": end - start, "h": height}
                    panels.append(_panel(panel, id, at, scrape_interval, labels))
                    for mode in panel.modes:
                        of_modes.setdefault(mode, id)
                y += height
        if row.title:
            heading: Json = {
                "id": _id(row.key, ids),
                "type": "row",
                "title": row.title,
                "collapsed": row.collapsed,
                "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
                "panels": panels if row.collapsed else [],
                **({"repeat": row.repeat} if row.repeat else {}),
            }
            placed.append(heading)
        if row.title and row.collapsed:
            y = top + 1
        else:
            placed += panels
    return Placed(placed, of_modes)


def _lines(section: tuple[Panel, ...]) -> list[tuple[Panel, ...]]:
    """Lines of at most four panels, as even as can be; of fewer where a title would be cut."""
    most = MOST_IN_A_LINE - any(len(panel.title) > LONG_TITLE for panel in section)
    lines = -(-len(section) // most)
    bounds = [round(i * len(section) / lines) for i in range(lines + 1)] if lines else []
    return [section[start:end] for start, end in pairwise(bounds)]


def _id(key: str, taken: set[int]) -> int:
    """A number that stays with the key: links and alerts point to it."""
    for attempt in count():
        found = crc32(f"{key}{'#' * attempt}".encode()) & 0x7FFFFFFF
        if found and found not in taken:
            taken.add(found)
            return found
    raise AssertionError


def _panel(panel: Panel, id: int, at: Json, scrape_interval: float, labels: Labels) -> Json:
    body: Json = {
        "id": id,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "transparent": False,
        "gridPos": at,
        "options": panel.options,
        "fieldConfig": {"defaults": panel.defaults, "overrides": list(panel.overrides)},
        "transformations": list(panel.transformations),
        **({"links": list(panel.links)} if panel.links else {}),
    }
    if panel.repeat:
        body |= {"repeat": panel.repeat, "repeatDirection": "h", "maxPerRow": 3}
    if panel.points is not None:
        body["maxDataPoints"] = panel.points
    if panel.kind != "text":
        body["datasource"] = DATASOURCE
        exprs = (arrived(labels, in_sight(query.expr, scrape_interval)) for query in panel.queries)
        body["targets"] = [
            _target(replace(query, expr=expr), letter(i), panel.min_step, duration(RECENT * scrape_interval))
            for i, (query, expr) in enumerate(zip(panel.queries, exprs, strict=True))
        ]
    return body


def _target(one: Query, letter: str, min_step: float | None, now: str) -> Json:
    expr = query(one.expr, fills=one.fills)
    found: Json = {
        "refId": letter,
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": expr.replace(RATE_INTERVAL, now) if one.instant else expr,
        "legendFormat": one.legend,
        "instant": one.instant,
        "range": not one.instant,
        "format": one.form,
        "exemplar": one.exemplars,
    }
    if min_step is not None:
        # Also what Grafana sizes its rate interval by, whatever the data source says.
        # Grafana reads one number and one unit.
        text = duration(min_step)
        single = f"{min_step:g}s" if min_step % 1 == 0 else f"{min_step * 1000:g}ms"
        found["interval"] = text if re.fullmatch(r"\d+[a-z]+", text) else single
    return found

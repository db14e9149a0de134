"""Grafana's panels as plain values, and where they stand: only the kinds and options that pipemon draws.

What is written here loads in Grafana 10 to 13: the options are those that all of them know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count, cycle, pairwise
from string import ascii_uppercase
from zlib import crc32

from pipemon.generate.dashboards.text import query
from pipemon.generate.promql import Expr
from pipemon.units import duration

Json = dict[str, object]

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
DATA_COLORS = ("#1F9E9E", "#A16EE0", "#C77C9B", "#8C6D31", "#7A8B99", "#5C6BC0")
"""Lines that are neither good nor bad: none of them green, yellow, orange, red or blue, which mean a state."""
NEUTRAL = "#8E8E8E"


@dataclass(frozen=True)
class Query:
    """One query of a panel. `color` is fixed, or None for the next of DATA_COLORS."""

    expr: Expr
    legend: str
    instant: bool = False
    color: str | None = None


@dataclass(frozen=True)
class Line:
    """A threshold drawn across a panel."""

    value: float
    color: str


@dataclass(frozen=True)
class Panel:
    """A panel without its place. `key` names it for good: its id follows from it, whatever is added around it."""

    key: str
    title: str
    description: str
    kind: str
    height: int
    options: Json
    defaults: Json = field(default_factory=dict)
    overrides: tuple[Json, ...] = ()
    queries: tuple[Query, ...] = ()
    min_step: float = 15.0


@dataclass(frozen=True)
class Row:
    """A titled row: each section begins on a line of its own and shares the width evenly."""

    key: str
    title: str
    sections: tuple[tuple[Panel, ...], ...]
    collapsed: bool = False


def timeseries(
    key: str,
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    min_step: float,
    empty: str,
    lines: Iterable[Line] = (),
    from_zero: bool = False,
    at_least: float | None = None,
    stacked: bool = False,
    names: Sequence[str] = (),
    many_series: bool = False,
    height: int = 7,
) -> Panel:
    """Return lines over time.

    `lines` are drawn dashed, and the axis always reaches them and `at_least`. Each query has its own
    colour, or each series of one query where their `names` are given; with `many_series`, for queries that
    return one for each of some kept labels, series are shades of it and legends only begin with the name.
    `empty` is shown where there is no data.
    """
    drawn = sorted(set(lines), key=lambda line: (line.value, line.color))
    custom: Json = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 0 if stacked else 1,
        "fillOpacity": 60 if stacked else 8 if len(queries) == 1 else 0,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if drawn else "off"},
    }
    tops = [_beyond(line.value, +1) for line in drawn] + ([at_least] if at_least is not None else [])
    if tops:
        custom["axisSoftMax"] = max(tops)
    if drawn and not from_zero:
        custom["axisSoftMin"] = _beyond(drawn[0].value, -1)
    # One value has one step; the colour is the line's, since nothing is filled by it.
    steps = {line.value: line.color for line in reversed(drawn)}
    defaults: Json = {
        "unit": unit,
        "color": {"mode": "palette-classic"},
        "noValue": empty,
        "custom": custom,
        "thresholds": _steps(NEUTRAL, *sorted(steps.items())),
        **({"min": 0} if from_zero else {}),
    }
    options: Json = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "none"},
    }
    mode = "shades" if many_series else "fixed"
    colors = _colors_by_name(names, mode) if names else _colors(queries, mode)
    return Panel(key, title, description, "timeseries", height, options, defaults, colors, tuple(queries), min_step)


def stat(
    key: str,
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    min_step: float,
    empty: str,
    mappings: Json | None = None,
    above: Line | None = None,
    named: bool = False,
    turns: Sequence[tuple[str, Line]] = (),
    height: int = 4,
) -> Panel:
    """Return the values of now in large letters.

    With `mappings` each value is a state with text and colour; with `above` the value is green up to that
    line. Otherwise it has no judging colour but for the series in `turns`, above their line. `named` shows
    whose value it is even where there is one.
    """
    judged = mappings is not None or above is not None
    defaults: Json = {
        "unit": unit,
        "noValue": empty,
        "color": {"mode": "thresholds"},
        "mappings": [mappings] if mappings else [],
        # The lowest step colours what has no value, and that is not good.
        "thresholds": _steps(NEUTRAL, (0.0, "green"), (above.value, above.color)) if above else _steps("text"),
    }
    options: Json = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "background" if judged else "value",
        "graphMode": "none",
        "justifyMode": "center",
        "textMode": "value_and_name" if mappings or named else "auto",
        "orientation": "vertical" if mappings else "auto",
        "wideLayout": False,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    }
    overrides = tuple(
        _override("byName", name, "thresholds", _steps("text", (line.value, line.color))) for name, line in turns
    )
    return Panel(key, title, description, "stat", height, options, defaults, overrides, tuple(queries), min_step)


def state_timeline(
    key: str, title: str, description: str, queries: Sequence[Query], *, mappings: Json, min_step: float
) -> Panel:
    """Return one bar a query, coloured by state over time."""
    defaults: Json = {
        "color": {"mode": "thresholds"},
        "mappings": [mappings],
        "thresholds": _steps("transparent"),
        "custom": {"lineWidth": 0, "fillOpacity": 85},
    }
    options: Json = {
        "mergeValues": True,
        "showValue": "auto",
        "alignValue": "left",
        "rowHeight": 0.85,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    height = min(20, 3 + (len(queries) * 4 + 4) // 5)
    return Panel(key, title, description, "state-timeline", height, options, defaults, (), tuple(queries), min_step)


def markdown_panel(key: str, title: str, description: str, content: str, height: int) -> Panel:
    """Return a panel of Markdown text."""
    return Panel(key, title, description, "text", height, {"mode": "markdown", "content": content})


def value_mapping(states: Iterable[tuple[int, str, str]]) -> Json:
    """Return the mapping of (value, text, colour)."""
    options = {
        str(value): {"text": text, "color": color, "index": index} for index, (value, text, color) in enumerate(states)
    }
    return {"type": "value", "options": options}


def place(rows: Sequence[Row]) -> list[Json]:
    """Return the panels with their places on the 24 columns and their ids, rows from top to bottom.

    A row without a title has no heading.
    """
    placed: list[Json] = []
    ids: set[int] = set()
    y = 0
    for row in rows:
        panels: list[Json] = []
        top = y
        if row.title:
            y += 1
        for section in row.sections:
            for line in _lines(section):
                width, height = COLUMNS // len(line), max(panel.height for panel in line)
                panels += [
                    _panel(panel, _id(panel.key, ids), {"x": i * width, "y": y, "w": width, "h": height})
                    for i, panel in enumerate(line)
                ]
                y += height
        if row.title:
            heading: Json = {
                "id": _id(row.key, ids),
                "type": "row",
                "title": row.title,
                "collapsed": row.collapsed,
                "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
                "panels": panels if row.collapsed else [],
            }
            placed.append(heading)
        if row.title and row.collapsed:
            y = top + 1
        else:
            placed += panels
    return placed


def _lines(section: tuple[Panel, ...]) -> list[tuple[Panel, ...]]:
    """Lines of at most four panels, as even as can be."""
    lines = -(-len(section) // 4)
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


def _panel(panel: Panel, id: int, at: Json) -> Json:
    body: Json = {
        "id": id,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "transparent": False,
        "gridPos": at,
        "options": panel.options,
        "fieldConfig": {"defaults": panel.defaults, "overrides": list(panel.overrides)},
        "transformations": [],
    }
    if panel.kind != "text":
        body["datasource"] = DATASOURCE
        body["targets"] = [_target(query, _letter(i), panel.min_step) for i, query in enumerate(panel.queries)]
    return body


def _target(one: Query, letter: str, min_step: float) -> Json:
    return {
        "refId": letter,
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query(one.expr),
        "legendFormat": one.legend,
        "instant": one.instant,
        "range": not one.instant,
        # Also what Grafana sizes its rate interval by, whatever the data source says.
        "interval": duration(min_step),
    }


def _letter(index: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = ascii_uppercase[rest] + letters
    return letters


def _colors(queries: Sequence[Query], mode: str) -> tuple[Json, ...]:
    spare = cycle(DATA_COLORS)
    return tuple(
        _override("byFrameRefID", _letter(i), "color", {"mode": mode, "fixedColor": query.color or next(spare)})
        for i, query in enumerate(queries)
    )


def _colors_by_name(names: Sequence[str], mode: str) -> tuple[Json, ...]:
    return tuple(
        _override("byRegexp", f"/^{re.escape(name)}( |$)/", "color", {"mode": mode, "fixedColor": color})
        for name, color in zip(names, cycle(DATA_COLORS), strict=False)
    )


def _override(matcher: str, options: str, id: str, value: Json) -> Json:
    return {"matcher": {"id": matcher, "options": options}, "properties": [{"id": id, "value": value}]}


def _steps(base: str, *steps: tuple[float, str]) -> Json:
    return {
        "mode": "absolute",
        "steps": [
            {"value": None, "color": base},
            *({"value": value, "color": color} for value, color in steps),
        ],
    }


def _beyond(value: float, sign: int) -> float:
    return float(format(value + sign * (abs(value) * 0.1 or 0.1), ".6g"))

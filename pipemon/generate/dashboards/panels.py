"""Grafana's panels as plain values, and where they stand: only the kinds and options that pipemon draws.

What is written here loads in Grafana 10 to 13: the options are those that all of them know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from string import ascii_uppercase

from pipemon.generate.promql import Expr

Json = dict[str, object]

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
DATA_COLORS = ("#1F9E9E", "#9B6ADB", "#B58F5A", "#6A78D1", "#7FA9BC", "#A8648F")
"""Lines that are neither good nor bad: none of them green, yellow, orange, red or blue, which mean a state."""
NULL_COLOR = "#F08CC4"
"""Null outputs, and nothing else."""
NEUTRAL = "#8E8E8E"
CORES = "suffix:cores"
"""The unit of processors: Grafana has none of its own."""


@dataclass(frozen=True)
class Query:
    """One query of a panel. `color` is fixed, or None for the next of DATA_COLORS.

    `form` is Grafana's: `time_series`, `table` or `heatmap`. With `exemplars`, those are asked for too. `fills`
    tells that a `$name` among its labels' values is a variable of the dashboard; else each is taken literally. What is
    `dashed` is a limit that moves.
    """

    expr: Expr
    legend: str
    instant: bool = False
    color: str | None = None
    form: str = "time_series"
    exemplars: bool = False
    fills: bool = False
    dashed: bool = False


@dataclass(frozen=True)
class Line:
    """A threshold drawn across a panel."""

    value: float
    color: str


@dataclass(frozen=True)
class Panel:
    """A panel without its place. `key` names it for good: its id follows from it, whatever is added around it.

    `min_step` is in seconds, None for the data source's scrape interval. `modes` are the failure modes that it
    shows. `share` is its part of a line's width, beside those of its neighbours. `repeat` is the variable
    of whose values each has a panel of its own. `points` is how many there are at most along a line, None for
    one a pixel.
    """

    key: str
    title: str
    description: str
    kind: str
    height: int
    options: Json
    defaults: Json = field(default_factory=dict)
    overrides: tuple[Json, ...] = ()
    queries: tuple[Query, ...] = ()
    min_step: float | None = None
    transformations: tuple[Json, ...] = ()
    links: tuple[Json, ...] = ()
    modes: tuple[str, ...] = ()
    share: int = 1
    repeat: str = ""
    points: int | None = None


def timeseries(
    key: str,
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    min_step: float | None = None,
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
    by_value = {line.value: line.color for line in reversed(drawn)}
    defaults: Json = {
        "unit": unit,
        "color": {"mode": "palette-classic"},
        "noValue": empty,
        "custom": custom,
        "thresholds": steps(NEUTRAL, *sorted(by_value.items())),
        **({"min": 0} if from_zero else {}),
    }
    options: Json = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "none"},
    }
    mode = "shades" if many_series else "fixed"
    colors = _colors_by_name(names, mode) if names else _colors(queries, mode)
    over = (*colors, *solid(queries, stacked), *dashes(queries))
    return Panel(key, title, description, "timeseries", height, options, defaults, over, tuple(queries), min_step)


def stat(
    key: str,
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    min_step: float | None = None,
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
        "thresholds": steps(NEUTRAL, (0.0, "green"), (above.value, above.color)) if above else steps("text"),
    }
    options: Json = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "background" if judged else "value",
        "graphMode": "none",
        "justifyMode": "center",
        "textMode": "value_and_name" if mappings or named else "auto",
        "orientation": "auto",
        "wideLayout": False,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    }
    overrides = tuple(
        override("byName", name, "thresholds", steps("text", (line.value, line.color))) for name, line in turns
    )
    return Panel(key, title, description, "stat", height, options, defaults, overrides, tuple(queries), min_step)


def state_timeline(
    key: str,
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    mappings: Json,
    min_step: float | None = None,
    empty: str = "nothing in this time",
    height: int = 0,
) -> Panel:
    """Return one bar a series, coloured by state over time; its height is that of a line a query by default."""
    defaults: Json = {
        "color": {"mode": "thresholds"},
        "mappings": [mappings],
        "thresholds": steps("transparent"),
        "noValue": empty,
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
    height = height or min(20, 3 + (len(queries) * 4 + 4) // 5)
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


def text_mapping(words: Iterable[tuple[str, str, str]]) -> Json:
    """Return the mapping of (text, what is shown instead, colour)."""
    options = {
        text: {"text": shown, "color": color, "index": index} for index, (text, shown, color) in enumerate(words)
    }
    return {"type": "value", "options": options}


def letter(index: int) -> str:
    """Return the name of a panel's query: A, B, ..., Z, AA, AB, ..."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = ascii_uppercase[rest] + letters
    return letters


def _colors(queries: Sequence[Query], mode: str) -> tuple[Json, ...]:
    spare = cycle(DATA_COLORS)
    return tuple(
        override("byFrameRefID", letter(i), "color", {"mode": mode, "fixedColor": query.color or next(spare)})
        for i, query in enumerate(queries)
    )


def solid(queries: Sequence[Query], stacked: bool) -> tuple[Json, ...]:
    """Return what makes failures, stacked on others, an area that nothing shines through: not colour alone."""
    failed = (letter(i) for i, query in enumerate(queries) if stacked and query.color == "red")
    return tuple(override("byFrameRefID", each, "custom.fillOpacity", 100) for each in failed)


def dashes(queries: Sequence[Query]) -> tuple[Json, ...]:
    """Return what draws limits that move as the fixed ones are drawn."""
    limits = (letter(i) for i, query in enumerate(queries) if query.dashed)
    return tuple(
        override("byFrameRefID", each, "custom.lineStyle", {"fill": "dash", "dash": [10, 10]}) for each in limits
    )


def _colors_by_name(names: Sequence[str], mode: str) -> tuple[Json, ...]:
    return tuple(
        override("byRegexp", f"/^{re.escape(name)}( |$)/", "color", {"mode": mode, "fixedColor": color})
        for name, color in zip(names, cycle(DATA_COLORS), strict=False)
    )


def override(matcher: str, options: str, id: str, value: object) -> Json:
    """Return one property of the fields that a matcher picks."""
    return {"matcher": {"id": matcher, "options": options}, "properties": [{"id": id, "value": value}]}


def steps(base: str, *above: tuple[float, str]) -> Json:
    """Return thresholds: a colour, and others from a value on."""
    return {
        "mode": "absolute",
        "steps": [
            {"value": None, "color": base},
            *({"value": value, "color": color} for value, color in above),
        ],
    }


def _beyond(value: float, sign: int) -> float:
    return float(format(value + sign * (abs(value) * 0.1 or 0.1), ".6g"))

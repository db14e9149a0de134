"""Panels that show many values at once: distributions over time, bars beside each other, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from pipemon.generate.dashboards.colors import BY_NAME
from pipemon.generate.dashboards.panels import (
    DATA_COLORS,
    Json,
    Line,
    Panel,
    Query,
    dashes,
    letter,
    override,
    solid,
    steps,
    timeseries,
)


def heatmap(
    key: str, title: str, description: str, buckets: Query, *, unit: str, empty: str, repeat: str = "", height: int = 8
) -> Panel:
    """Return a histogram over time, from a query of its cumulative buckets: the stronger the colour, the more.

    Grafana itself turns the scheme round in its dark theme, so that what is little is near the background in both.
    """
    options: Json = {
        "calculate": False,
        "calculation": {},
        "cellGap": 1,
        "cellValues": {"unit": "short"},
        # Orange, red, green and blue mean a state elsewhere, and would be taken for one.
        "color": {
            "mode": "scheme",
            "scheme": "Purples",
            "fill": DATA_COLORS[1],
            "scale": "exponential",
            "exponent": 0.5,
            "min": 0,
            "steps": 64,
            "reverse": False,
        },
        "exemplars": {"color": DATA_COLORS[0]},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
    }
    defaults: Json = {"unit": unit, "noValue": empty, "custom": {"scaleDistribution": {"type": "linear"}}}
    return Panel(key, title, description, "heatmap", height, options, defaults, queries=(buckets,), repeat=repeat)


def bars(
    key: str,
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    empty: str,
    lines: Mapping[str, Line],
) -> Panel:
    """Return a bar for each series, now. `lines` are limits, by the series' name."""
    options: Json = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "displayMode": "basic",
        "orientation": "horizontal",
        "valueMode": "text",
        "showUnfilled": True,
        "minVizHeight": 16,
        "minVizWidth": 8,
        "maxVizHeight": 60,
        "namePlacement": "left",
        "sizing": "auto",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
    }
    defaults: Json = {
        "unit": unit,
        "noValue": empty,
        "min": 0,
        "color": {"mode": "thresholds"},
        "thresholds": steps(DATA_COLORS[0]),
    }
    over = [
        override("byName", name, "thresholds", steps(DATA_COLORS[0], (line.value, line.color)))
        for name, line in lines.items()
    ]
    return Panel(key, title, description, "bargauge", 7, options, defaults, tuple(over), tuple(queries))


def lines(
    key: str,
    title: str,
    description: str,
    queries: Sequence[Query],
    *,
    unit: str,
    empty: str = "no calls",
    stacked: bool = False,
    from_zero: bool = True,
    at_least: float | None = None,
    around: float | None = None,
    colors: Mapping[str, str] | None = None,
    height: int = 7,
) -> Panel:
    """Return lines whose series nobody knows before: one query may give many, each of a colour by its name.

    `colors` are those of names that a regular expression picks, as `/redo$/`. `around` is for what may be below zero:
    how far from it the axis reaches at least, to both sides; `at_least` how far it does where it begins at zero: above
    nothing but zeros Grafana would have a hundred.
    """
    made = timeseries(
        key,
        title,
        f"{description} Empty: {empty}.",
        queries,
        unit=unit,
        empty=empty,
        stacked=stacked,
        from_zero=from_zero,
        at_least={"percentunit": 0.05, "cps": 0.1}.get(unit, at_least) if from_zero else None,
        height=height,
    )
    given = [("byRegexp", pattern, color) for pattern, color in (colors or {}).items()]
    given += [("byFrameRefID", letter(i), query.color) for i, query in enumerate(queries) if query.color]
    own = tuple(override(by, which, "color", {"mode": "fixed", "fixedColor": color}) for by, which, color in given)
    # Areas of many lines hide each other.
    custom = cast(Json, made.defaults["custom"]) | ({} if stacked else {"fillOpacity": 0})
    if around is not None:
        custom |= {"axisSoftMin": -around, "axisSoftMax": around}
    defaults = made.defaults | {"color": {"mode": "fixed", "fixedColor": DATA_COLORS[0]}, "custom": custom}
    return replace(made, defaults=defaults, overrides=(*BY_NAME, *own, *solid(queries, stacked), *dashes(queries)))


def coarse(panels: Sequence[Panel]) -> tuple[Panel, ...]:
    """Return panels with a point each half minute of an hour: those of all stages ask for thousands of series."""
    return tuple(replace(panel, points=120) for panel in panels)


def in_order(made: Panel, label: str, *hidden: str, most: int = 200) -> Panel:
    """Return a panel of values of now whose one query gives rows, sorted by a label that is not shown, nor `hidden`.

    There are the first `most` of them.
    """
    reduced: Json = {"calcs": ["lastNotNull"], "fields": "", "values": True, "limit": most}
    by: Json = {"id": "sortBy", "options": {"fields": {}, "sort": [{"field": label, "desc": False}]}}
    excluded = dict.fromkeys((label, *hidden, "Time"), True)
    shown: Json = {"excludeByName": excluded, "indexByName": {}, "renameByName": {}}
    transformations: tuple[Json, ...] = (by, {"id": "organize", "options": shown})
    return replace(made, options=made.options | {"reduceOptions": reduced}, transformations=transformations)


@dataclass(frozen=True)
class Column:
    """A column of a table: the field it shows, `Value #A` for a query's value; its title and how it is shown.

    `whole` numbers have no decimals; what is `hidden` is there for links alone. `states` is a mapping of values to
    words and colours, `words` one without; `link` is an address with `${__value.raw}` and the like; `limit` colours
    what is above it.
    """

    field: str
    title: str
    unit: str = ""
    states: Json | None = None
    words: Json | None = None
    limit: Line | None = None
    link: str = ""
    width: int | None = None
    whole: bool = False
    hidden: bool = False


def table(
    key: str,
    title: str,
    description: str,
    queries: Sequence[Query],
    columns: Sequence[Column],
    *,
    empty: str,
    join: str = "",
    sort: str = "",
    descending: bool = True,
    then: str = "",
    height: int = 8,
    share: int = 1,
) -> Panel:
    """Return a table of what instant queries give, joined by a label where there are several.

    Only `columns` are shown, in their order; `sort` is the title of the one that it is sorted by, and `then` of the
    one whose lower values come first where that is the same.
    """
    options: Json = {
        "showHeader": True,
        # Grafana makes no room for words that a mapping gives: there is some for two lines.
        "cellHeight": "lg" if any(column.words for column in columns) else "sm",
        "frameIndex": 0,
        "sortBy": [{"displayName": by, "desc": down} for by, down in ((sort, descending), (then, False)) if by],
    }
    defaults: Json = {
        "noValue": empty,
        "unit": "none",
        "color": {"mode": "thresholds"},
        "thresholds": steps("text"),
        # All columns of a stage are seen at once on a small screen.
        "custom": {"align": "auto", "inspect": False, "filterable": False, "minWidth": 70},
    }
    names = {column.field: column.title for column in columns}
    joined: list[Json] = [{"id": "joinByField", "options": {"byField": join, "mode": "outer"}}] if join else []
    shown: Json = {"id": "filterFieldsByName", "options": {"include": {"names": list(names)}}}
    organized: Json = {
        "id": "organize",
        "options": {
            "excludeByName": {},
            "indexByName": {name: index for index, name in enumerate(names)},
            "renameByName": names,
        },
    }
    # Of several queries one may know nothing of a row that another has.
    gap = "-" if len(queries) > 1 else ""
    over = [each for column in columns for each in _column(column, gap)]
    return Panel(
        key,
        title,
        f"{description} Empty: {empty}.",
        "table",
        height,
        options,
        defaults,
        tuple(over),
        tuple(queries),
        transformations=(*joined, shown, organized),
        share=share,
    )


def _column(column: Column, gap: str) -> list[Json]:
    properties: list[tuple[str, object]] = [("noValue", gap)] if gap else []
    if column.unit:
        properties.append(("unit", column.unit))
    if column.hidden:
        # Tables of Grafana 10 and 11 know the first, those since 12 the second.
        properties.append(("custom.hidden", True))
        properties.append(("custom.hideFrom", {"viz": True, "legend": False, "tooltip": False}))
    if column.whole:
        properties.append(("decimals", 0))
    if column.states is not None:
        properties += [
            ("mappings", [column.states]),
            ("custom.cellOptions", {"type": "color-background", "mode": "basic"}),
        ]
    if column.words is not None:
        properties += [
            ("mappings", [column.words]),
            ("custom.cellOptions", {"type": "auto", "wrapText": True}),
            # Where Grafana 12.2 and later look for it.
            ("custom.wrapText", True),
        ]
    if column.limit is not None:
        properties += [
            ("thresholds", steps("text", (column.limit.value, column.limit.color))),
            ("custom.cellOptions", {"type": "color-text"}),
        ]
    if column.link:
        properties.append(("links", [{"title": column.title, "url": column.link, "targetBlank": False}]))
    if column.width:
        properties.append(("custom.width", column.width))
    if not properties:
        return []
    found = [{"id": id, "value": value} for id, value in properties]
    return [{"matcher": {"id": "byName", "options": column.title}, "properties": found}]

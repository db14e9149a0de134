"""What changed in the data of any pipeline: each feature over time, its categories and what is missing."""

from __future__ import annotations

from dataclasses import replace

from pipemon import catalogue as c
from pipemon.generate.dashboards.board import any_uid, board, marks, variable, variables
from pipemon.generate.dashboards.charts import heatmap, lines
from pipemon.generate.dashboards.layout import Row, place
from pipemon.generate.dashboards.panels import DATA_COLORS, Json, Panel
from pipemon.generate.dashboards.series import Choice, chosen, missing
from pipemon.generate.promql import Call, Expr, Matcher
from pipemon.generate.queries import per

_FEATURE = Matcher("feature", "=", "$feature")
_NO_VALUES = "no values in this time, or no features with numbers"


def drift(scrape_interval: float) -> Json:
    """Return the dashboard of how the data of a chosen stage changed over time."""
    choice = chosen("stage", "version")
    feature = variable(
        "feature",
        "Feature",
        f"{c.FEATURE_VALUE.name}_bucket",
        'pipeline="$pipeline",stage=~"$stage"',
        hidden=True,
        description="A panel for each feature of the stage.",
    )
    rows = [
        Row("row/shares", "Which moved", (_shares(choice),)),
        Row("row/quantiles", "Quantiles", ((_quantiles(choice),),)),
        Row("row/distributions", "Distributions", ((_distribution(choice),),)),
    ]
    return board(
        any_uid("drift"),
        "Drift",
        "What changed in the data: each feature's distribution over time, its categories and what is missing.",
        place(rows).panels,
        scrape_interval=scrape_interval,
        variables=[*variables("stage", "version", one_stage=True), feature],
        annotations=marks(chosen("stage"), scrape_interval),
    )


def _shares(choice: Choice) -> tuple[Panel, ...]:
    each = ("stage", "direction", "feature")
    of_category = choice.rate(c.FEATURE_CATEGORY, (*each, "category"))
    categories = per(of_category, choice.rate(c.FEATURE_CATEGORY, each), each)
    return (
        lines(
            "drift/missing",
            "Missing values",
            "Share of calls in which a feature was None, empty, absent or not a number. A rise at one stage and not "
            "before it began there.",
            [choice.query(missing(choice, each), "{{stage}} {{direction}} {{feature}}")],
            unit="percentunit",
            empty="no features",
        ),
        lines(
            "drift/categories",
            "Categories",
            "Share of each category of a feature. What nobody declared is other: if it rises, there is a new one.",
            [choice.query(categories, "{{stage}} {{feature}} {{category}}")],
            unit="percentunit",
            empty="no feature has categories",
        ),
    )


def _quantiles(choice: Choice) -> Panel:
    made = lines(
        "drift/quantiles",
        "$feature: p10, p50, p90",
        "Half of the values are below p50, and eight of ten between the outer lines, as interpolated from buckets. All "
        "three that move together are a shift; lines that part are a wider spread, or a second kind of input.",
        [
            replace(
                choice.query(_quantile(choice, q), f"{{{{stage}}}} {name}"), color=DATA_COLORS[i % len(DATA_COLORS)]
            )
            for i, (q, name) in enumerate(((0.1, "p10"), (0.5, "p50"), (0.9, "p90")))
        ],
        unit="short",
        empty=_NO_VALUES,
        from_zero=False,
    )
    return replace(made, repeat="feature")


def _quantile(choice: Choice, q: float) -> Expr:
    # Values may be negative, so nothing is filtered by its sign here.
    buckets = choice.rate(c.FEATURE_VALUE, ("stage", "le"), _FEATURE, suffix="_bucket")
    return Call("histogram_quantile", (q, buckets))


def _distribution(choice: Choice) -> Panel:
    buckets = choice.rate(c.FEATURE_VALUE, ("le",), _FEATURE, suffix="_bucket", function="increase")
    return heatmap(
        "drift/distribution",
        "$feature",
        "How often this feature had which value: the stronger the colour, the more often. A band that moves, widens or "
        f"splits is a change that a mean may hide. Empty: {_NO_VALUES}.",
        replace(choice.query(buckets, "{{le}}"), form="heatmap"),
        unit="short",
        empty=_NO_VALUES,
        repeat="feature",
    )

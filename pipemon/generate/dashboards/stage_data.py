"""What goes into a chosen stage and what comes out of it: each feature, null outputs, what users said."""

from __future__ import annotations

from dataclasses import replace

from pipemon import catalogue as c
from pipemon.catalogue import Metric
from pipemon.generate.dashboards.charts import heatmap, lines
from pipemon.generate.dashboards.colors import SIGNAL_COLORS
from pipemon.generate.dashboards.panels import DATA_COLORS, NULL_COLOR, Panel, Query
from pipemon.generate.dashboards.series import Choice, feedback, mean, missing, share
from pipemon.generate.promql import Matcher
from pipemon.generate.queries import per


def buckets(choice: Choice, metric: Metric, *more: Matcher) -> Query:
    """Return the query of a histogram's buckets over time."""
    counted = choice.rate(metric, ("le",), *more, suffix="_bucket", function="increase")
    return replace(choice.query(counted, "{{le}}"), form="heatmap")


def distribution(choice: Choice, side: str) -> tuple[Panel, ...]:
    """Return how often each feature of a side had which value."""
    which = (Matcher("direction", "=", side), Matcher("feature", "=", f"${side}"))
    return (
        heatmap(
            f"stage/{side}/distribution",
            f"{side.capitalize()}: ${{{side}:raw}}",
            f"How often this feature of the {side} had which value: the stronger the colour, the more often. A "
            "band that moves, widens or splits is a change that a mean may hide. Empty: no values in this time, or the "
            "stage has no such feature.",
            buckets(choice, c.FEATURE_VALUE, *which),
            unit="short",
            empty=f"no values, or no {side} features with numbers",
            repeat=side,
        ),
    )


def means(choice: Choice, side: str) -> tuple[Panel, ...]:
    """Return each feature's mean, in its own panel: on one axis the largest unit would flatten the others."""
    which = (Matcher("direction", "=", side), Matcher("feature", "=", f"${side}"))
    made = lines(
        f"stage/{side}/mean",
        f"{side.capitalize()}, mean: ${{{side}:raw}}",
        f"Mean of this feature of the {side}, in its own unit, over calls in which there was a value.",
        [choice.query(mean(choice, (), *which), "mean", color=DATA_COLORS[0])],
        unit="short",
        empty=f"no values, or no {side} features with numbers",
        from_zero=False,
        height=6,
    )
    return (replace(made, repeat=side),)


def features(choice: Choice, side: str) -> tuple[Panel, ...]:
    """Return the missing shares and categories of a side's features."""
    which = Matcher("direction", "=", side)
    both = ("feature", "category")
    ratio = per(
        choice.rate(c.FEATURE_CATEGORY, both, which), choice.rate(c.FEATURE_CATEGORY, ("feature",), which), ("feature",)
    )
    return (
        lines(
            f"stage/{side}/missing",
            f"{side.capitalize()}: missing values",
            f"Share of calls in which a feature of the {side} was None, empty, absent or not a number.",
            [choice.query(missing(choice, ("feature",), which), "{{feature}}")],
            unit="percentunit",
            empty=f"no calls, or no {side} features",
        ),
        lines(
            f"stage/{side}/categories",
            f"{side.capitalize()}: categories",
            "Share of each category of a feature; other is one that nobody declared.",
            [choice.query(ratio, "{{feature}} {{category}}")],
            unit="percentunit",
            empty="no feature with categories",
        ),
    )


def output(choice: Choice) -> tuple[Panel, ...]:
    """Return null outputs, and what users said."""
    return (
        lines(
            "stage/nulls",
            "Output: null",
            "Share of calls that returned nothing usable. Some are right: there may be nothing to find. If more than "
            "usual, compare with the stage's input.",
            [choice.query(share(choice, c.STAGE_NULL_OUTPUTS, ()), "null", color=NULL_COLOR)],
            unit="percentunit",
        ),
        lines(
            "stage/feedback",
            "Feedback per call",
            "What users did later, for each call: a redo is somebody who had to ask again. It lags behind its cause.",
            [choice.query(feedback(choice, ()), "{{signal}}")],
            unit="percentunit",
            empty="no feedback",
            colors=SIGNAL_COLORS,
        ),
    )

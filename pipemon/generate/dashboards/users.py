"""What is learned later about any pipeline's outputs: what users did, by slice, and how good they were."""

from __future__ import annotations

from dataclasses import replace

from pipemon import catalogue as c
from pipemon.generate.dashboards.board import Scraped, any_board, variables
from pipemon.generate.dashboards.charts import heatmap, lines
from pipemon.generate.dashboards.colors import CONFIDENCE_COLORS, SIGNAL_COLORS
from pipemon.generate.dashboards.layout import Row
from pipemon.generate.dashboards.panels import Json, Panel
from pipemon.generate.dashboards.series import Choice, chosen, ever, feedback, ran
from pipemon.generate.promql import Aggregate, Binary, Matcher
from pipemon.generate.queries import ALL_VALUES, OF_ALL_SLICES, per

_SLICED = Matcher("slice", "!=", "")


def users(scraped: Scraped) -> Json:
    """Return the dashboard of feedback and quality."""
    choice = chosen("stage", "version")
    rows = [
        Row("row/feedback", "Feedback", (_feedback(choice),)),
        Row("row/quality", "Quality", (_quality(choice),)),
        Row("row/labels", "Labels", (_labels(choice),)),
    ]
    return any_board(
        "feedback",
        "Feedback and quality",
        "What users did with the outputs, by slice, and how good the outputs were once somebody knew.",
        rows,
        scraped=scraped,
        variables=variables("stage", "version"),
        about=chosen("stage"),
    )


def _quality(choice: Choice) -> tuple[Panel, ...]:
    by = ("stage", "score", "slice")
    positive, negative = (
        choice.rate(c.QUALITY_SUM, by, Matcher("sign", "=", sign)) for sign in ("positive", "negative")
    )
    mean = per(Binary("-", positive, negative), choice.rate(c.QUALITY_SCORE, by, ALL_VALUES, suffix="_bucket"))
    counted = choice.rate(c.QUALITY_SCORE, by, ALL_VALUES, suffix="_bucket", function="increase")
    any_scored = Aggregate("max", by, choice.lately(c.QUALITY_SCORE, ALL_VALUES, suffix="_bucket"))
    scored = Binary("and", counted, Binary(">", any_scored, 0.0))
    bins = ("stage", "confidence_bin")
    right = choice.rate(c.CALIBRATION, bins, Matcher("correct", "=", "yes"))
    all_of_bin = choice.rate(c.CALIBRATION, bins)
    off = Binary("-", per(choice.rate(c.CALIBRATION_CONFIDENCE, bins), all_of_bin), per(right, all_of_bin))
    return (
        lines(
            "quality/mean",
            "Scores, means by slice",
            "Mean of each score of the outputs, for all and for each slice, once it was told. A slice that lies apart "
            "is served worse than the others.",
            [choice.query(mean, "{{stage}} {{score}} {{slice}}")],
            unit="short",
            empty="no score was told in this time",
            from_zero=False,
        ),
        lines(
            "quality/count",
            "Scored outputs",
            "How many outputs each mean is of: few say little.",
            [choice.query(scored, "{{stage}} {{score}} {{slice}}")],
            unit="short",
            empty="no score was told in this time",
        ),
        lines(
            "quality/calibration",
            "Stated confidence less accuracy",
            "For outputs of about the same stated confidence, by tenths: how much more often the model said to be "
            "right than it was. Zero is calibrated, above it the model is too sure of itself.",
            [choice.query(off, "{{stage}} up to {{confidence_bin}}")],
            unit="percentunit",
            empty="no confidence was compared with the truth in this time",
            from_zero=False,
            around=0.05,
            colors=CONFIDENCE_COLORS,
        ),
    )


def _labels(choice: Choice) -> tuple[Panel, ...]:
    by = ("stage",)
    arrived = per(choice.rate(c.LABELS_ARRIVED, by), choice.rate(c.LABELS_EXPECTED, by))
    apart = per(choice.rate(c.LABEL_DISAGREEMENTS, by, OF_ALL_SLICES), choice.rate(c.LABELS_RATED, by, OF_ALL_SLICES))
    delays = choice.rate(c.LABEL_DELAY, ("le",), suffix="_bucket", function="increase")
    came = Binary(">", Aggregate("max", (), choice.lately(c.LABEL_DELAY, suffix="_count")), 0.0)
    lost = ever(choice, c.FEEDBACK_UNATTRIBUTED, ("reason",))
    return (
        lines(
            "labels/arrived",
            "Labels, per one expected",
            "True values that are told, for each that is to be told. Well below 100% for longer than a label's delay: "
            "the labelling, or its way back, has stopped.",
            [choice.query(arrived, "{{stage}}")],
            unit="percentunit",
            empty="no labels are expected",
        ),
        heatmap(
            "labels/delay",
            "Delay of labels",
            "How long after its run a true value was told: the stronger the colour, the more. All that is learned from "
            "labels is as old as this. Empty: no label arrived in this time.",
            replace(choice.query(Binary("and", delays, came, on=()), "{{le}}"), form="heatmap"),
            unit="s",
            empty="no label arrived in this time",
            height=7,
        ),
        lines(
            "labels/disagree",
            "Raters who disagree",
            "Share of the items of two raters that they labelled differently: no model can be better than that.",
            [choice.query(apart, "{{stage}}")],
            unit="percentunit",
            empty="no item has two raters",
        ),
        lines(
            "labels/unattributed",
            "Feedback of no known version",
            "Feedback of runs that do not say which versions served them: it was put down to those in use now.",
            [choice.query(lost, "{{reason}}")],
            unit="cps",
            empty="all feedback says its run",
        ),
    )


def _feedback(choice: Choice) -> tuple[Panel, ...]:
    by = ("stage", "signal", "slice")
    place = ("stage", "slice")
    came = Binary(">", Aggregate("max", by, choice.lately(c.FEEDBACK, _SLICED)), 0.0)
    # The share of the only signal that anybody tells is all.
    several = Binary(">", Aggregate("count", place, came), 1.0)
    of_slice = per(ever(choice, c.FEEDBACK, by, _SLICED), choice.rate(c.FEEDBACK, place, _SLICED), place)
    of_slice = Binary("and", of_slice, several, on=place)
    return (
        lines(
            "feedback/all",
            "Feedback per call",
            "What users did later, for each call: a redo is somebody who had to ask again. It lags behind its cause.",
            [choice.query(feedback(choice, ("stage",)), "{{stage}} {{signal}}")],
            unit="percentunit",
            empty="no feedback",
            colors=SIGNAL_COLORS,
        ),
        lines(
            "feedback/slices",
            "Feedback by slice",
            "Of the feedback of each slice, the share of each signal: a slice whose redo stands out is served worse.",
            [choice.query(of_slice, "{{stage}} {{signal}} {{slice}}")],
            unit="percentunit",
            empty="no feedback of a slice, or one signal alone, whose share would be all",
        ),
        lines(
            "feedback/calls",
            "Calls",
            "Calls that feedback can be about.",
            [choice.query(ran(choice, ("stage",)), "{{stage}}")],
            unit="cps",
        ),
    )

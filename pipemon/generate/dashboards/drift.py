"""What changed in the data of any pipeline: which stage moved first, each feature over time, what is missing."""

from __future__ import annotations

from dataclasses import replace

from pipemon import catalogue as c
from pipemon.generate.dashboards.board import Scraped, any_board, variable, variables
from pipemon.generate.dashboards.charts import heatmap, lines
from pipemon.generate.dashboards.layout import Row
from pipemon.generate.dashboards.panels import (
    DATA_COLORS,
    NEUTRAL,
    Json,
    Panel,
    Query,
    letter,
    override,
    state_timeline,
    steps,
    value_mapping,
)
from pipemon.generate.dashboards.position import placed
from pipemon.generate.dashboards.series import Choice, chosen, ever_missing, quantile
from pipemon.generate.promql import Binary, Expr, Matcher, Raw
from pipemon.generate.queries import per

_FEATURE = Matcher("feature", "=", "$feature")
_UNWATCHED = "no failure mode watches this for drift, or too little is known yet"
_UNSUMMED = "no failure modes watch two numbers for drift, or nothing was scraped"
_STATISTICS = ("psi", "js", "hellinger", "chi2", "ks", "wasserstein")
_STEADY_COLOR = "rgba(142, 142, 142, 0.12)"
_SMALL = 0.02
"""Shares of a bin that differ by less are drawn in grey."""
_NO_VALUES = "no values in this time, or no features with numbers"


def drift(scraped: Scraped) -> Json:
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
    names = "|".join(_STATISTICS)
    watched = variable(
        "watched",
        "Watched",
        "",
        f'__name__=~".+:pipemon_feature_(value|category)_({names}):increase.+",pipeline="$pipeline",stage=~"$stage"',
        of="feature",
        hidden=True,
        description="A panel for each feature that a failure mode watches for drift.",
    )
    rows = [
        Row("row/moved", "Which moved first", ((_moved(),),)),
        Row("row/statistics", "Drift, and what chance makes", ((_statistics(),),)),
        # Panels that repeat have a row of their own: Grafana lays out the repeats beside what else is in it.
        Row("row/bins", "Bins, less the baseline", ((_bins(),),)),
        Row("row/quantiles", "Quantiles", ((_quantiles(choice),),)),
        Row("row/distributions", "Distributions", ((_distribution(choice),),)),
        Row("row/shares", "Missing values and categories", (_shares(choice),)),
    ]
    return any_board(
        "drift",
        "Drift",
        "What changed in the data: which stage moved first, each feature's drift and distribution over time, its "
        "categories and what is missing.",
        rows,
        scraped=scraped,
        variables=[*variables("stage", "version", one_stage=True), feature, watched],
        about=chosen("stage"),
    )


def _recorded(name: str, *matchers: str, labels: str = ".+") -> str:
    """Return the series that drift rules of any pipeline record: their names begin with the labels that it keeps."""
    return "{" + ",".join((f'__name__=~"{labels}:{name}"', 'pipeline="$pipeline"', *matchers)) + "}"


def _moved() -> Panel:
    sums = Raw(f"max by (stage, direction, feature) ({_recorded('pipemon_feature_value:cusum.+')} * 0)")
    onset = Raw(f"max by (stage, direction, feature) ({_recorded('pipemon_feature_drift_onset:timestamp.+')} > bool 0)")
    origin = Raw(f"max by (stage, direction) ({_recorded('pipemon_drift_origin:info')} * 2)")
    return state_timeline(
        "drift/moved",
        "Which moved first",
        "Steady: the baseline's mean. Moved: the mean of a feature is no longer the baseline's, by cumulative sums. "
        "First: the stage's input or "
        "output that moved before all others; what moved after it is likely its effect. Of what moved together it is "
        f"the furthest upstream. Empty: {_UNSUMMED}.",
        [
            Query(origin, "{{stage}} {{direction}}: moved first", fills=True),
            Query(placed(chosen(), Binary("or", onset, sums)), "{{stage}} {{direction}} {{feature}}", fills=True),
        ],
        mappings=value_mapping(
            ((0, "steady", _STEADY_COLOR), (1, "moved", DATA_COLORS[4]), (2, "first", DATA_COLORS[1]))
        ),
        empty=_UNSUMMED,
        height=8,
    )


def _statistics() -> Panel:
    where = ('stage=~"$stage"', 'version=~"$version"', 'feature="$watched"')
    by = ("stage", "direction", "version", "statistic", "window")
    names = "|".join(_STATISTICS)

    def worst(suffix: str) -> Expr:
        pattern = f"pipemon_feature_(value|category)_({names}){suffix}:increase.+"
        taken = _recorded(pattern, *where, labels=".+_version_.+")
        for label, group in (("statistic", f".+_({names}){suffix}:.+"), ("window", ".+:increase(.+)")):
            taken = f'label_replace({taken}, "{label}", "$1", "__name__", "{group}")'
        return Raw(f"max by ({', '.join(by)}) ({taken})")

    legend = "{{version}} {{direction}} {{statistic}} over {{window}}"
    made = lines(
        "drift/statistics",
        "Drift: ${watched:raw}",
        "How far the values of a window are from the baseline's: thick where that is more than chance explains. Only "
        "what is thick, and above the failure mode's threshold, which the pipeline's own dashboard draws, alerts. "
        "Dashed: what chance alone exceeds as rarely as is allowed. Below it a line is thick, too, where values are "
        "rare ones or far out, which are tested apart, and, with multiple_testing: benjamini-hochberg, where several "
        "features of the stage moved at once.",
        [
            Query(worst(""), legend, fills=True),
            Query(worst("_critical"), f"{legend}, by chance", fills=True),
            Query(Binary(">", worst("_significant"), 0.0), f"{legend}, more than chance", fills=True),
        ],
        unit="short",
        empty=_UNWATCHED,
        colors={f"/ {name} over/": color for name, color in zip(_STATISTICS, DATA_COLORS, strict=True)},
    )
    drawn = (
        override("byFrameRefID", letter(1), "custom.lineStyle", {"fill": "dash", "dash": [6, 4]}),
        override("byFrameRefID", letter(2), "custom.lineWidth", 4),
        # The same line once more needs no name of its own.
        override("byFrameRefID", letter(2), "custom.hideFrom", {"legend": True, "tooltip": True, "viz": False}),
    )
    return replace(made, repeat="watched", overrides=(*made.overrides, *drawn))


def _bins() -> Panel:
    place, of_bin = "stage, direction", "stage, direction, bin"
    where = ('stage=~"$stage"', 'feature="$watched"')
    live = _recorded("pipemon_feature_value_bin:increase.+", *where, 'version=~"$version"')
    baseline = "pipemon:baseline:ratio{" + ",".join(('pipeline="$pipeline"', *where, 'le!=""')) + "}"
    share = f"sum by ({of_bin}) ({live}) / on ({place}) group_left () (sum by ({place}) ({live}) > 0)"
    made = lines(
        "drift/bins",
        "Bins, less the baseline: ${watched:raw}",
        "The share of values in each bin of the baseline, less the share that it had there. A bin is called by its "
        "upper bound. Where all lie at zero the values are distributed as in the baseline. Purple is what is more "
        "frequent than it was, teal what is rarer.",
        [
            Query(
                Raw(f"({share}) - on ({of_bin}) avg by ({of_bin}) ({baseline})"),
                "{{direction}} up to {{bin}}",
                fills=True,
            )
        ],
        unit="percentunit",
        empty=_UNWATCHED,
        from_zero=False,
    )
    judged = made.defaults | {
        "color": {"mode": "thresholds", "seriesBy": "last"},
        "thresholds": steps(DATA_COLORS[0], (-_SMALL, NEUTRAL), (_SMALL, DATA_COLORS[1])),
    }
    return replace(made, repeat="watched", defaults=judged, overrides=())


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
            [choice.query(ever_missing(choice, each), "{{stage}} {{direction}} {{feature}}")],
            unit="percentunit",
            empty="no value was ever missing, or no features",
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
        "p10, p50, p90: ${feature:raw}",
        "Half of the values are below p50, and eight of ten between the outer lines, as interpolated from buckets. All "
        "three that move together are a shift; lines that part are a wider spread, or a second kind of input.",
        [
            replace(
                choice.query(quantile(choice, c.FEATURE_VALUE, q, ("stage",), _FEATURE), f"{{{{stage}}}} {name}"),
                color=DATA_COLORS[i],
            )
            for i, (q, name) in enumerate(((0.1, "p10"), (0.5, "p50"), (0.9, "p90")))
        ],
        unit="short",
        empty=_NO_VALUES,
        from_zero=False,
    )
    return replace(made, repeat="feature")


def _distribution(choice: Choice) -> Panel:
    buckets = choice.rate(c.FEATURE_VALUE, ("le",), _FEATURE, suffix="_bucket", function="increase")
    return heatmap(
        "drift/distribution",
        "Distribution: ${feature:raw}",
        "How often this feature had which value: the stronger the colour, the more often. A band that moves, widens or "
        f"splits is a change that a mean may hide. Empty: {_NO_VALUES}.",
        replace(choice.query(buckets, "{{le}}"), form="heatmap"),
        unit="short",
        empty=_NO_VALUES,
        repeat="feature",
    )

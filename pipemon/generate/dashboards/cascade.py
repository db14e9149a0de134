"""The cascade of any pipeline: which stage is not well, since when, and where to look next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pipemon import catalogue as c
from pipemon.generate.dashboards.board import Scraped, any_board, to_stage, variables
from pipemon.generate.dashboards.charts import Column, coarse, in_order, lines, table
from pipemon.generate.dashboards.colors import SIGNAL_COLORS
from pipemon.generate.dashboards.layout import RECENT, Row
from pipemon.generate.dashboards.panels import Json, Line, Panel, letter, stat, state_timeline
from pipemon.generate.dashboards.position import OPENS, ORDER, PLACE, began, opening, ordered, placed
from pipemon.generate.dashboards.series import Choice, chosen, ever_missing, feedback, missing, quantile, share
from pipemon.generate.dashboards.states import MODE_STATES, SEVERITY_STATES, STAGE_STATES
from pipemon.generate.dashboards.topology import TILES, by_severity, health, node_graph, tiles, waterfall
from pipemon.generate.last_run import of_last_run
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher
from pipemon.generate.queries import per

NO_RUNS = "no runs"


def cascade(scraped: Scraped) -> Json:
    """Return the dashboard of all stages of a chosen pipeline."""
    choice, step = chosen("version"), (RECENT - 1) * scraped.interval
    everything = chosen()
    rows = [
        Row(
            "row/now",
            "",
            (
                (_state(everything, step),),
                (_firing(everything), node_graph(everything, "cascade/graph", step)),
                _vital_signs(choice, step),
                (_fired(everything),),
            ),
        ),
        Row("row/batch", "Of a batch job: its last run", (_last_run(chosen()),), collapsed=True),
        Row("row/stages", "Stages now", ((_stages(choice, step),),)),
        Row("row/software", "Software", (coarse(_software(choice)), waterfall(choice, "cascade/waterfall", step))),
        Row("row/data", "What goes in and what comes out", (coarse(_data(choice)),)),
    ]
    return any_board(
        "cascade",
        "Cascade",
        "All stages of a pipeline: which is not well, since when, and where to look next.",
        rows,
        scraped=scraped,
        variables=variables("version"),
        about=everything,
    )


def _state(choice: Choice, step: float) -> Panel:
    made = stat(
        "cascade/state",
        "Health of the stages",
        "The state of each stage, in the order of the cascade: its most severe firing alert, or **ok** where calls "
        "arrive, or a batch job's last run is there, and nothing fires. **↳**, and dim, is downstream: a stage before "
        "it fires as severely for as long, so it may only suffer from that. **no calls**: it is scraped, and nobody "
        "calls it. **no data**: it was there in the last hour, and is not scraped now; is the process down? Of more "
        f"than {TILES} stages those that are ok are one tile together, the last. Empty: Prometheus has nothing of this "
        "pipeline.",
        [choice.rows(ordered(tiles(choice, health(choice, step), lambda states: placed(choice, states))))],
        unit="none",
        min_step=step,
        empty="nothing of this pipeline",
        mappings=STAGE_STATES,
        height=5,
    )
    return in_order(made, ORDER, PLACE, most=2 * TILES)


def _firing(choice: Choice) -> Panel:
    columns = (
        Column(PLACE, "#", width=45, whole=True),
        Column("severity", "Severity", states=SEVERITY_STATES, width=80),
        Column("stage", "Stage", link=to_stage(f"${{__data.fields.{OPENS}}}"), width=95),
        Column("failure_mode", "Failure mode"),
        Column("alertname", "Alert"),
        Column("Value", "Since", unit="dateTimeFromNow", width=135),
        Column(OPENS, OPENS, hidden=True),
    )
    by = ("severity", "stage", "failure_mode", "alertname")
    since = opening(placed(choice, Binary("*", began(choice, by), 1000.0)))
    return table(
        "cascade/firing",
        "Firing now",
        "Alerts that fire, along the cascade, with the time since which their condition holds. What each means and "
        "what to do is on the pipeline's own dashboard, in the alert and in the runbook. Begin at the top.",
        [choice.rows(since)],
        columns,
        empty="nothing fires",
        sort="#",
        descending=False,
        then="Since",
        height=7,
        share=2,
    )


def _fired(choice: Choice) -> Panel:
    by = ("stage", "failure_mode")
    pending = choice.series(c.ALERTS, Matcher("alertstate", "=", "pending"), Matcher("mode", "!=", "observe"))
    states = Binary("or", by_severity(choice, by), Aggregate("max", by, pending))
    either = placed(choice, states)
    return state_timeline(
        "cascade/fired",
        "Which came first",
        "A line for each failure mode that was pending (yellow) or fired, along the cascade. What moved first, and "
        "furthest up, is the likely cause. Empty: nothing was pending in this time.",
        [choice.query(either, "{{stage}} · {{failure_mode}}")],
        mappings=MODE_STATES,
        empty="nothing was pending in this time",
        height=7,
    )


def _vital_signs(choice: Choice, step: float) -> tuple[Panel, ...]:
    runs, p95 = choice.rate(c.PIPELINE_RUNS, ()), quantile(choice, c.PIPELINE_DURATION, 0.95, ())
    failed = per(choice.rate(c.PIPELINE_FAILURES, ()), runs)
    budget = Aggregate("max", (), choice.series(c.PIPELINE_BUDGET))

    def one(key: str, title: str, about: str, expr: Expr, unit: str, empty: str, above: Line | None = None) -> Panel:
        queries = [choice.query(expr, title, instant=True)]
        about = f"{about} Empty: {empty}, or no function is declared as the run."
        return stat(f"cascade/{key}", title, about, queries, unit=unit, min_step=step, empty=empty, above=above)

    return (
        one("runs", "Runs", "Runs that end a second. None: look at what feeds the pipeline.", runs, "cps", NO_RUNS),
        one("failed", "Failed runs", "Share of runs that raised, lately.", failed, "percentunit", NO_RUNS),
        one("p95", "End to end p95", "19 of 20 runs took no longer; interpolated within a bucket.", p95, "s", NO_RUNS),
        one(
            "budget",
            "p95, of the budget",
            "The p95 as a share of the time that a run may take. Red, above 100%: too slow; look for the longest bar "
            "under Software.",
            per(p95, budget),
            "percentunit",
            "no runs, or no budget",
            Line(1.0, "red"),
        ),
    )


def _last_run(choice: Choice) -> tuple[Panel, ...]:
    """What a job pushed stays as it is until its next run, so that it has no rates."""
    by, empty = ("stage",), "no batch job of this pipeline has ended well, or it is a service"
    ended = choice.series(c.BATCH_LAST_SUCCESS)
    ago = Binary("-", Call("time", ()), Aggregate("max", (), ended))

    def pushed(expr: Expr) -> Expr:
        return Binary("and", of_last_run(expr), ended, on=())

    found: tuple[tuple[Column, Expr], ...] = (
        (Column("", "Calls", "short"), placed(choice, pushed(choice.rate(c.STAGE_CALLS, by)))),
        (Column("", "Items", "short"), pushed(choice.rate(c.STAGE_ITEMS_IN, by))),
        (Column("", "Failed", "percentunit"), pushed(share(choice, c.STAGE_FAILURES, by))),
        (Column("", "Null outputs", "percentunit"), pushed(share(choice, c.STAGE_NULL_OUTPUTS, by))),
        (Column("", "Missing inputs", "percentunit"), pushed(missing(choice, by, Matcher("direction", "=", "input")))),
        (Column("", "p95", "s"), pushed(quantile(choice, c.STAGE_DURATION, 0.95, by))),
    )
    since = stat(
        "cascade/batch/since",
        "Since the last success",
        "How long ago a batch job of this pipeline last ended well. Longer than its period: look at whether it was "
        f"started, then at its log. Empty: {empty}.",
        [choice.query(ago, "since a success", instant=True)],
        unit="s",
        empty="no batch job",
        height=6,
    )
    counted = table(
        "cascade/batch/counted",
        "What the last run counted",
        "What the job pushed at its end, by stage: counts and shares of that run. Panels of rates, below and on the "
        "other dashboards of any pipeline, show nothing of a job; the pipeline's own has its thresholds.",
        [choice.rows(expr) for _, expr in found],
        _by_stage(column for column, _ in found),
        empty=empty,
        join="stage",
        sort="#",
        descending=False,
        height=6,
        share=3,
    )
    return since, counted


def _by_stage(values: Iterable[Column]) -> list[Column]:
    """Return the columns of a table with a line for each stage: its place, its name, then these of its queries."""
    columns = [Column(PLACE, "#", width=50, whole=True), Column("stage", "Stage", link=to_stage("${__value.text}"))]
    return columns + [replace(column, field=f"Value #{letter(i)}") for i, column in enumerate(values)]


def _stages(choice: Choice, step: float) -> Panel:
    by = ("stage",)
    budget = Aggregate("max", by, choice.series(c.STAGE_BUDGET))
    p95 = quantile(choice, c.STAGE_DURATION, 0.95, by)
    found: tuple[tuple[Column, Expr], ...] = (
        (Column("", "Health", states=STAGE_STATES, width=165), placed(chosen(), health(chosen(), step))),
        (Column("", "Calls", "cps"), choice.rate(c.STAGE_CALLS, by)),
        (Column("", "Failed", "percentunit"), share(choice, c.STAGE_FAILURES, by)),
        (Column("", "Null outputs", "percentunit"), share(choice, c.STAGE_NULL_OUTPUTS, by)),
        (Column("", "Missing inputs", "percentunit"), missing(choice, by, Matcher("direction", "=", "input"))),
        (Column("", "p95", "s"), p95),
        (Column("", "Budget", "s"), budget),
        (Column("", "Of budget", "percentunit", limit=Line(1.0, "red")), per(p95, budget)),
        (Column("", "In progress", "short"), Aggregate("sum", by, choice.series(c.STAGE_IN_PROGRESS))),
    )
    made = table(
        "cascade/stages",
        "Stages",
        "One line for each stage, as of now; the most severe first, causes before effects. Its name leads to its own "
        "dashboard. A dash: there was no call, or the stage declares no budget or no inputs.",
        [choice.rows(expr) for _, expr in found],
        _by_stage(column for column, _ in found),
        empty="Prometheus has nothing of this pipeline",
        join="stage",
        sort="Health",
        then="#",
    )
    return replace(made, min_step=step)


def _software(choice: Choice) -> tuple[Panel, ...]:
    by = ("stage",)
    return (
        lines(
            "cascade/calls",
            "Calls",
            "Calls that end a second. Where a stage has fewer than the one before it, something is lost between them.",
            [choice.query(choice.rate(c.STAGE_CALLS, by), "{{stage}}")],
            unit="cps",
        ),
        lines(
            "cascade/errors",
            "Failed calls",
            "Share of calls that raised. Look at the exceptions of the first stage that rose.",
            [choice.query(share(choice, c.STAGE_FAILURES, by), "{{stage}}")],
            unit="percentunit",
        ),
        lines(
            "cascade/duration",
            "Duration, p95",
            "19 of 20 calls took no longer. If one rises alone, look at its load and version.",
            [choice.query(quantile(choice, c.STAGE_DURATION, 0.95, by), "{{stage}}")],
            unit="s",
        ),
    )


def _data(choice: Choice) -> tuple[Panel, ...]:
    by = ("stage", "feature")
    sides = [
        lines(
            f"cascade/missing/{side}",
            f"{side.capitalize()}: missing values",
            f"Share of calls in which a feature of the {side} was None, empty, absent or not a number; of those that "
            "ever were.",
            [choice.query(ever_missing(choice, by, Matcher("direction", "=", side)), "{{stage}} {{feature}}")],
            unit="percentunit",
            empty="no value was ever missing, or no such features",
        )
        for side in ("input", "output")
    ]
    return (
        sides[0],
        lines(
            "cascade/nulls",
            "Output: null",
            "Share of calls that returned nothing usable. Some are right: there may be nothing to find.",
            [choice.query(share(choice, c.STAGE_NULL_OUTPUTS, ("stage",)), "{{stage}}")],
            unit="percentunit",
        ),
        sides[1],
        lines(
            "cascade/feedback",
            "Feedback per call",
            "What users did later, for each call: a redo is somebody who had to ask again.",
            [choice.query(feedback(choice, ("stage",)), "{{stage}} {{signal}}")],
            unit="percentunit",
            empty="no feedback",
            colors=SIGNAL_COLORS,
        ),
    )

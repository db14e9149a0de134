"""Everything on one stage of any pipeline: its software, what goes in and what comes out."""

from __future__ import annotations

from dataclasses import replace

from pipemon import catalogue as c
from pipemon.generate.dashboards.board import Scraped, any_board, variable, variables
from pipemon.generate.dashboards.charts import Column, heatmap, lines, table
from pipemon.generate.dashboards.layout import Row
from pipemon.generate.dashboards.panels import CORES, DATA_COLORS, NEUTRAL, NULL_COLOR, Json, Panel
from pipemon.generate.dashboards.position import began
from pipemon.generate.dashboards.series import Choice, chosen, ever, quantile, share, some
from pipemon.generate.dashboards.stage_data import buckets, distribution, features, means, output
from pipemon.generate.dashboards.states import SEVERITY_STATES
from pipemon.generate.promql import Aggregate, Binary, Call, Expr


def stage(scraped: Scraped) -> Json:
    """Return the dashboard of a chosen stage."""
    choice = chosen("stage", "version", "instance")
    here = 'pipeline="$pipeline",stage="$stage"'
    names = [
        variable(
            side,
            f"{side.capitalize()}s",
            f"{c.FEATURE_VALUE.name}_bucket",
            f'{here},direction="{side}"',
            of="feature",
            hidden=True,
            description=f"A panel for each feature of the {side}.",
        )
        for side in ("input", "output")
    ]
    rows = [
        Row("row/firing", "", ((_firing(chosen("stage")),),)),
        Row("row/software", "Software", (_software(choice),)),
        # Panels that repeat have a row of their own: Grafana lays out the repeats beside what else is in it.
        Row("row/input", "Input", (distribution(choice, "input"),)),
        Row("row/input/means", "Input, means", (means(choice, "input"),)),
        Row("row/input/shares", "Input, missing values and categories", (features(choice, "input"),)),
        Row("row/output", "Output", (distribution(choice, "output"),)),
        Row("row/output/means", "Output, means", (means(choice, "output"),)),
        Row(
            "row/output/shares",
            "Output, missing values, categories and feedback",
            ((*features(choice, "output"), *output(choice)),),
        ),
        Row("row/streams", "Streams and batches", (_streams(choice),)),
        Row("row/model", "Model", (_model(choice),)),
    ]
    return any_board(
        "stage",
        "Stage",
        "Everything on one stage of a pipeline: its software, what goes in and what comes out.",
        rows,
        scraped=scraped,
        variables=[*variables("stage", "version", "instance", one_stage=True), *names],
        about=chosen("stage"),
    )


def _firing(choice: Choice) -> Panel:
    by = ("severity", "failure_mode", "alertname")
    columns = (
        Column("severity", "Severity", states=SEVERITY_STATES, width=100),
        Column("failure_mode", "Failure mode"),
        Column("alertname", "Alert"),
        Column("Value", "Since", unit="dateTimeFromNow", width=180),
    )
    return table(
        "stage/firing",
        "Firing now",
        "Alerts of this stage that fire, and since when. What to do is on the pipeline's own dashboard and in "
        "the runbook.",
        [choice.rows(Binary("*", began(choice, by), 1000.0))],
        columns,
        empty="nothing fires at this stage",
        sort="Since",
        descending=False,
        height=5,
    )


def _not_negative(expr: Expr) -> Expr:
    # Counters of one scrape are extrapolated each by itself, so their difference can fall just below zero.
    return Call("clamp_min", (expr, 0.0))


def _software(choice: Choice) -> tuple[Panel, ...]:
    total, null, failed, cancelled = (
        choice.rate(metric, ()) for metric in (c.STAGE_CALLS, c.STAGE_NULL_OUTPUTS, c.STAGE_FAILURES, c.STAGE_CANCELLED)
    )
    ok = _not_negative(Binary("-", Binary("-", Binary("-", total, null), failed), cancelled))
    quantiles = [
        replace(choice.query(quantile(choice, c.STAGE_DURATION, q, ()), f"p{100 * q:g}", color=color), exemplars=True)
        for q, color in zip((0.5, 0.95, 0.99), DATA_COLORS, strict=False)
    ]
    most = Aggregate("max", (), choice.series(c.STAGE_BUDGET))
    budget = replace(choice.query(most, "budget", color=NEUTRAL), dashed=True)
    progress = Aggregate("sum", (), choice.series(c.STAGE_IN_PROGRESS))
    workers = Aggregate("sum", (), choice.series(c.STAGE_WORKERS))
    return (
        lines(
            "stage/calls",
            "Calls, by outcome",
            "How many calls end a second, by how they ended, one above the other, as far as any did. A drop to "
            "nothing: look at the stage before, then at the process.",
            [
                choice.query(ok, "ok", color="green"),
                choice.query(some(null), "null", color=NULL_COLOR),
                choice.query(some(failed), "failed", color="red"),
                choice.query(some(cancelled), "cancelled", color=NEUTRAL),
            ],
            unit="cps",
            stacked=True,
        ),
        lines(
            "stage/duration",
            "Duration",
            "Half of the calls end within p50, 19 of 20 within p95, 99 of 100 within p99, as interpolated from "
            "buckets; the dashed line is the budget. Where the service exports exemplars, points lead to traces of "
            "single calls.",
            [*quantiles, budget],
            unit="s",
        ),
        heatmap(
            "stage/durations",
            "Durations",
            "How many calls took how long: the stronger the colour, the more. Two bands are two kinds of calls, which "
            "no mean shows. Empty: no calls.",
            replace(buckets(choice, c.STAGE_DURATION), exemplars=True),
            unit="s",
            empty="no calls",
        ),
        lines(
            "stage/errors",
            "Failed calls",
            "Share of calls that raised.",
            [choice.query(share(choice, c.STAGE_FAILURES, ()), "failed", color=DATA_COLORS[0])],
            unit="percentunit",
        ),
        lines(
            "stage/exceptions",
            "Exceptions",
            "Calls that raised a second, by the class of the exception. The service's log has the traceback.",
            [choice.query(choice.rate(c.STAGE_EXCEPTIONS, ("exception",)), "{{exception}}")],
            unit="cps",
            empty="no call raised since the start",
        ),
        lines(
            "stage/progress",
            "In progress",
            "Calls that have begun and not ended, and how many can run at once, where the stage says so. If it rises "
            "while calls do not, each takes longer; at the line of the workers calls begin to wait.",
            [
                choice.query(progress, "in progress", color=DATA_COLORS[0]),
                replace(choice.query(workers, "workers", color=NEUTRAL), dashed=True),
            ],
            unit="short",
            empty="nothing of this stage",
            at_least=1.0,
        ),
        lines(
            "stage/cpu",
            "Processor",
            "Processor cores that the stage's own threads kept busy, sampled.",
            [choice.query(choice.rate(c.STAGE_CPU, ()), "cores", color=DATA_COLORS[0])],
            unit=CORES,
            empty="no calls, or processor time is not measured",
        ),
    )


def _streams(choice: Choice) -> tuple[Panel, ...]:
    lost = (
        (c.STAGE_ITEMS_NULL, "null", NULL_COLOR),
        (c.STAGE_ITEMS_FAILED, "failed", "red"),
        (c.STAGE_ITEMS_DROPPED, "dropped", NEUTRAL),
    )
    waits = ((c.STAGE_WAIT, "in the queue"), (c.STAGE_FIRST_ITEM, "to the first item"))
    usable = choice.rate(c.STAGE_ITEMS_OUT, ())
    unaccounted: Expr = Binary("-", choice.rate(c.STAGE_ITEMS_IN, ()), usable)
    for metric, _, _ in lost:
        unaccounted = Binary("-", unaccounted, choice.rate(metric, ()))
    return (
        lines(
            "stage/items",
            "Items, by what became of them",
            "Items of batches and streams a second, by how they came out, as far as any did; a call that is "
            "neither is one item.",
            [
                choice.query(usable, "usable", color="green"),
                *(choice.query(some(choice.rate(metric, ())), words, color=color) for metric, words, color in lost),
            ],
            unit="cps",
            stacked=True,
        ),
        lines(
            "stage/unaccounted",
            "Items unaccounted for",
            "Items a second that came in and came out in no way. For a stage whose items are one to one it has to be "
            "nothing; others make more or fewer of them.",
            [choice.query(Call("round", (Call("abs", (unaccounted,)), 1e-6)), "unaccounted for", color=DATA_COLORS[0])],
            unit="cps",
        ),
        lines(
            "stage/dropped",
            "Dropped items",
            "Items dropped a second, by the reason that the stage gave.",
            [choice.query(choice.rate(c.STAGE_DROP_REASONS, ("reason",)), "{{reason}}")],
            unit="cps",
            empty="nothing was dropped since the start",
        ),
        lines(
            "stage/waits",
            "Waiting, p95",
            "Time in the queue before the stage, where the caller tells it, and time to a stream's first item.",
            [
                choice.query(quantile(choice, metric, 0.95, ()), words, color=DATA_COLORS[i])
                for i, (metric, words) in enumerate(waits)
            ],
            unit="s",
            empty="no stream, and no queue that is told of",
        ),
    )


def _model(choice: Choice) -> tuple[Panel, ...]:
    by = ("version", "track", "code", "params", "data")
    columns = [Column(label, label.capitalize()) for label in by]
    ages = Binary("-", Call("time", ()), Aggregate("min", ("version",), choice.series(c.STAGE_TRAINED)))
    return (
        table(
            "stage/versions",
            "Versions",
            "The versions of the model that run now, and what each is made of.",
            [choice.rows(Aggregate("max", by, choice.series(c.STAGE_INFO)))],
            columns,
            empty="the stage does not say what its version is made of",
            height=7,
        ),
        lines(
            "stage/age",
            "Age of the model",
            "Time since the model was trained.",
            [choice.query(ages, "{{version}}")],
            unit="s",
            empty="the stage does not say when its model was trained",
            height=7,
        ),
        lines(
            "stage/extractors",
            "Features that could not be taken",
            "Errors of extractors a second: the pipeline was not disturbed, but these values are missing here. The "
            "service's log has the traceback.",
            [choice.query(ever(choice, c.EXTRACTOR_ERRORS, ("direction", "feature")), "{{direction}} {{feature}}")],
            unit="cps",
            empty="every feature was taken since the start",
            height=7,
        ),
    )

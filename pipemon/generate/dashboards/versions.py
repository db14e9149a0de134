"""Versions of any pipeline side by side: stable, canary and shadow, and what differs between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pipemon import catalogue as c
from pipemon.generate.dashboards.board import Scraped, any_board, variable, variables
from pipemon.generate.dashboards.charts import Column, coarse, lines, table
from pipemon.generate.dashboards.colors import TRACK_COLORS
from pipemon.generate.dashboards.layout import RECENT, Row
from pipemon.generate.dashboards.panels import Json, Panel, letter, override, state_timeline
from pipemon.generate.dashboards.series import Choice, chosen, either, feedback, mean, missing, quantile, share
from pipemon.generate.dashboards.states import VERDICT_STATES
from pipemon.generate.dashboards.topology import by_severity
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher
from pipemon.generate.queries import per

_BY = ("stage", "version", "track")


def versions(scraped: Scraped) -> Json:
    """Return the dashboard that compares versions of chosen stages."""
    choice = chosen("stage", "version").all_tracks()
    step = (RECENT - 1) * scraped.interval
    feature = variable(
        "feature",
        "Feature",
        f"{c.FEATURE_VALUE.name}_bucket",
        'pipeline="$pipeline",stage=~"$stage",direction="output"',
        hidden=True,
        description="A panel for each feature of the output.",
    )
    rows = [
        Row("row/now", "", (_verdict(chosen("stage")), (_compared(choice, step),))),
        Row("row/beside", "Side by side", (coarse(_beside(choice)),)),
        Row("row/outputs", "Outputs side by side", (coarse((_means(choice),)),), collapsed=True),
        Row("row/difference", "Canary less stable", (coarse(_differences(chosen("stage"))),)),
        Row("row/decisions", "Model and people", (_decisions(chosen("stage", "version")),)),
    ]
    return any_board(
        "versions",
        "Versions",
        "Versions side by side: stable, canary and shadow, what differs, and who gets the traffic.",
        rows,
        scraped=scraped,
        variables=[*variables("stage", "version"), feature],
        about=chosen("stage"),
    )


def _verdict(choice: Choice) -> tuple[Panel, ...]:
    by = ("stage", "version", "track")
    everything = choice.all_tracks()
    calls = everything.rate(c.STAGE_CALLS, by)
    # Counters of one scrape are extrapolated each by itself, so that in a short window a part can be above the whole.
    traffic = Call("clamp_max", (per(calls, choice.rate(c.STAGE_CALLS, ("stage",)), ("stage",)), 1.0))
    meant = Aggregate("max", by, everything.series(c.ROLLOUT_TRAFFIC))
    bad = by_severity(choice, ("stage", "failure_mode"), Matcher("kind", "=", "rollout"))
    calm = Binary(
        "*", Aggregate("max", ("stage",), everything.series(c.STAGE_CALLS, Matcher("track", "=", "canary"))), 0.0
    )
    verdict = Binary("or", bad, calm)
    shared = lines(
        "versions/traffic",
        "Share of the traffic",
        "Share of a stage's calls that each version served, and, dashed, the share that it is meant to get, where the "
        "roll-out says so. A version in shadow serves nobody: its line is how many of the calls it is given too.",
        [
            everything.query(traffic, "{{stage}} {{version}} {{track}}"),
            everything.query(meant, "{{stage}} {{version}} {{track}} meant"),
        ],
        unit="percentunit",
        colors=TRACK_COLORS,
        height=7,
    )
    dashed = override("byFrameRefID", letter(1), "custom.lineStyle", {"fill": "dash", "dash": [6, 4]})
    return (
        state_timeline(
            "versions/verdict",
            "Verdict on the canary",
            "A colour: an alert that compares the canary with stable fires; its name is in the line. **nothing "
            "fires**: a canary runs, which is only as good as the comparisons that are written down. "
            "No line: no canary runs.",
            [choice.query(verdict, "{{stage}} {{failure_mode}}")],
            mappings=VERDICT_STATES,
            empty="no canary runs",
            height=7,
        ),
        replace(shared, overrides=(*shared.overrides, dashed)),
    )


def _compared(choice: Choice, step: float) -> Panel:
    gone = Binary("*", Aggregate("max", _BY, choice.lately(c.STAGE_CALLS)), 0.0)
    found: tuple[tuple[Column, Expr], ...] = (
        (Column("", "Calls", "cps"), either(choice.rate(c.STAGE_CALLS, _BY), gone)),
        (Column("", "Failed", "percentunit"), share(choice, c.STAGE_FAILURES, _BY)),
        (Column("", "Null outputs", "percentunit"), share(choice, c.STAGE_NULL_OUTPUTS, _BY)),
        (Column("", "Missing inputs", "percentunit"), missing(choice, _BY, Matcher("direction", "=", "input"))),
        (Column("", "p50", "s"), quantile(choice, c.STAGE_DURATION, 0.5, _BY)),
        (Column("", "p95", "s"), quantile(choice, c.STAGE_DURATION, 0.95, _BY)),
    )
    columns = [Column(label, label.capitalize()) for label in _BY]
    columns += [replace(column, field=f"Value #{letter(i)}") for i, (column, _) in enumerate(found)]
    made = table(
        "versions/now",
        "Versions now",
        "One line for each version of each stage and what it serves as, also of those that went in the last hour. A "
        "dash: there was no call.",
        [choice.rows(expr) for _, expr in found],
        columns,
        empty="Prometheus has nothing of this pipeline",
        sort="Stage",
        descending=False,
    )
    merge: Json = {"id": "merge", "options": {}}
    merged = (merge, *made.transformations)
    return replace(made, min_step=step, transformations=merged)


def _beside(choice: Choice) -> tuple[Panel, ...]:
    legend = "{{stage}} {{version}} {{track}}"
    redo = Matcher("signal", "=", "redo")
    return (
        lines(
            "versions/errors", "Failed calls", "Share of calls that raised, by version.",
            [choice.query(share(choice, c.STAGE_FAILURES, _BY), legend)], unit="percentunit", colors=TRACK_COLORS,
        ),
        lines(
            "versions/nulls", "Null outputs", "Share of calls that returned nothing usable, by version.",
            [choice.query(share(choice, c.STAGE_NULL_OUTPUTS, _BY), legend)], unit="percentunit", colors=TRACK_COLORS,
        ),
        lines(
            "versions/p95", "Duration, p95", "19 of 20 calls took no longer, by version.",
            [choice.query(quantile(choice, c.STAGE_DURATION, 0.95, _BY), legend)], unit="s", colors=TRACK_COLORS,
        ),
        lines(
            "versions/redo", "Redo per call", "How often users had to ask again, by version.",
            [choice.query(feedback(choice, _BY, redo), legend)], unit="percentunit", empty="no feedback",
            colors=TRACK_COLORS,
        ),
    )  # fmt: skip


def _means(choice: Choice) -> Panel:
    """Hundreds of lines where there are many stages: they are asked for when somebody opens the row."""
    means = mean(choice, _BY, Matcher("direction", "=", "output"), Matcher("feature", "=", "$feature"))
    made = lines(
        "versions/means",
        "Mean: ${feature:raw}",
        "Mean of this feature of the output, by version. Versions that answer the same inputs should lie together.",
        [choice.query(means, "{{stage}} {{version}} {{track}}")],
        unit="short",
        from_zero=False,
        empty="no values, or no output features",
        colors=TRACK_COLORS,
    )
    return replace(made, repeat="feature")


def _differences(choice: Choice) -> tuple[Panel, ...]:
    by = ("stage",)

    def less(key: str, title: str, about: str, of: tuple[Expr, Expr], unit: str) -> Panel:
        stable, canary = of
        return lines(
            f"versions/less/{key}",
            title,
            f"{about} Above zero the canary is worse. Stable is all stable versions together.",
            [choice.query(Binary("-", canary, stable), "{{stage}}")],
            unit=unit,
            empty="no canary is called",
            from_zero=False,
            around={"percentunit": 0.05, "s": 0.01}[unit],
        )

    def both(of: Callable[[Matcher], Expr]) -> tuple[Expr, Expr]:
        return of(Matcher("track", "=", "stable")), of(Matcher("track", "=", "canary"))

    failed = both(lambda track: share(choice, c.STAGE_FAILURES, by, track))
    null = both(lambda track: share(choice, c.STAGE_NULL_OUTPUTS, by, track))
    slow = both(lambda track: quantile(choice, c.STAGE_DURATION, 0.95, by, track))
    agreed = Matcher("result", "=", "agree")
    pair = (*_BY, "candidate")
    agreement = per(
        choice.all_tracks().rate(c.COMPARISONS, pair, agreed), choice.all_tracks().rate(c.COMPARISONS, pair)
    )
    return (
        less(
            "errors", "Canary: failed calls", "Its share of failed calls, less that of stable.", failed, "percentunit"
        ),
        less(
            "nulls",
            "Canary: null outputs",
            "Its share of null outputs, less that of stable.",
            null,
            "percentunit",
        ),
        less("p95", "Canary: duration, p95", "Its p95, less that of stable.", slow, "s"),
        lines(
            "versions/agreement",
            "Agreement",
            "Of the outputs that were compared with those of a candidate, shadow calls among them, the share "
            "that agreed.",
            [choice.query(agreement, "{{stage}} {{version}} {{track}} with {{candidate}}")],
            unit="percentunit",
            colors=TRACK_COLORS,
            empty="no outputs are compared",
        ),
    )


def _decisions(choice: Choice) -> tuple[Panel, ...]:
    by = ("stage",)
    machine, decided = Matcher("decided_by", "=", "model"), choice.rate(c.DECISIONS, by)
    told = Matcher("agreed", "=~", "yes|no")
    agreed = per(choice.rate(c.DECISIONS, by, Matcher("agreed", "=", "yes")), choice.rate(c.DECISIONS, by, told))
    return (
        lines(
            "versions/automation",
            "Decided by the model",
            "Share of decisions that the model made alone; people made the rest. A fall is work for people.",
            [choice.query(per(choice.rate(c.DECISIONS, by, machine), decided), "{{stage}}")],
            unit="percentunit",
            empty="no decisions are told",
        ),
        lines(
            "versions/agreed",
            "People and model agree",
            "Of the decisions of which both sides are known, the share in which they were the same.",
            [choice.query(agreed, "{{stage}}")],
            unit="percentunit",
            empty="no decisions of both are told",
        ),
        lines(
            "versions/review",
            "Wait for a person, p95",
            "19 of 20 outputs waited no longer for a person's decision.",
            [choice.query(quantile(choice, c.REVIEW_WAIT, 0.95, by), "{{stage}}")],
            unit="s",
            empty="no decision waits for a person",
        ),
    )

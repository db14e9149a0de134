"""The cascade as a picture: its stages as nodes with their health, and where the time of a run goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pipemon import catalogue as c
from pipemon.generate.dashboards.charts import bars, in_order, lines
from pipemon.generate.dashboards.panels import (
    DATA_COLORS,
    NEUTRAL,
    Json,
    Line,
    Panel,
    Query,
    letter,
)
from pipemon.generate.dashboards.position import (
    AT_THE_END,
    ORDER,
    PLACE,
    after_its_cause,
    edges,
    most_severe_began,
    ordered,
    placed,
)
from pipemon.generate.dashboards.series import REMEMBERED, Choice, either, quantile
from pipemon.generate.dashboards.states import (
    END_TO_END,
    FIRING,
    LESS_OF_AN_EFFECT,
    NO_CALLS,
    NO_DATA,
    QUIET,
    STAGE_WORDS,
)
from pipemon.generate.dashboards.text import short
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher
from pipemon.generate.queries import per

TILES = 12
"""Stages whose states can be read side by side, on a screen of 1280 pixels."""
_NO_STATE = 99.0

_STAGES = Matcher("stage", "!=", "")


def firing(choice: Choice, *more: Matcher) -> Expr:
    """Return the firing alerts but those that are in their burn-in."""
    return choice.series(c.ALERTS, Matcher("alertstate", "=", "firing"), Matcher("mode", "!=", "observe"), *more)


def by_severity(choice: Choice, by: tuple[str, ...], *more: Matcher) -> Expr:
    """Return the number of the most severe firing alert."""
    values = (FIRING["page"], FIRING["ticket"], FIRING["notice"])
    return either(
        *(
            Binary("*", Aggregate("max", by, firing(choice, *more, which)), float(value))
            for which, value in zip(choice.by_severity(), values, strict=True)
        )
    )


def health(choice: Choice, patience: float) -> Expr:
    """Return a number for each stage: its most severe firing alert, or what it does where nothing fires.

    That is 0 where calls arrive, -1 where none do, and -2 where it was there in the last hour and nothing of it is now.
    A stage of a batch job is called as long as what it pushed is there: whether a run is overdue its alert tells. The
    number is lower where a stage further up fires as severely for as long, give or take `patience` seconds.
    """
    calls = choice.rate(c.STAGE_CALLS, ("stage",))
    alive = Binary("-", Binary("> bool", calls, 0.0), float(QUIET - NO_CALLS))
    pushed = Aggregate("max", ("stage",), choice.series(c.STAGE_CALLS))
    of_job = Binary("*", Binary("and", pushed, choice.series(c.BATCH_LAST_SUCCESS), on=()), float(QUIET))
    fires = by_severity(choice, ("stage",), _STAGES)
    effects = after_its_cause(choice, most_severe_began(choice, ("stage",), _STAGES), patience)
    suffers = Binary("-", Binary("and", fires, effects, on=("stage",)), float(LESS_OF_AN_EFFECT))
    seen = Aggregate("max", ("stage",), Call("count_over_time", (choice.series(c.STAGE_CALLS, window=REMEMBERED),)))
    gone = Binary("+", Binary("*", seen, 0.0), float(NO_DATA))
    return either(suffers, fires, of_job, alive, gone)


def tiles(choice: Choice, every: Expr, along: Callable[[Expr], Expr]) -> Expr:
    """Return the states of `every` stage with their places, as `along` tells them; of many those that are not ok.

    Of more than TILES the ok ones are one together, whose name says how many they are: it comes last.
    """
    number = Aggregate("count", (), Aggregate("group", ("stage",), choice.lately(c.STAGE_CALLS)))
    # The number of a state to leave out: ok, or one that there is not.
    left_out = Binary("*", Binary("-", Binary("> bool", number, float(TILES)), 1.0), _NO_STATE)
    folded = Binary("and", Aggregate("count", (), Binary("==", every, float(QUIET))), Binary(">", number, float(TILES)))
    words = Aggregate("count_values", (), folded, parameter="stage")
    told = Call("label_replace", (Binary("*", words, float(QUIET)), "stage", "$1 stages", "stage", "(.*)"))
    shown = Binary("!=", along(every), Call("scalar", (left_out,)))
    return Binary("or", shown, Call("label_replace", (told, PLACE, AT_THE_END, "", "")))


def node_graph(choice: Choice, key: str, min_step: float) -> Panel:
    """Return the stages as nodes and their edges: health as the ring and in words, calls a second, p95.

    The node graph finds its fields by their own names, which are those of labels or of calculated fields: a
    renamed one keeps its own.
    """
    told: Expr = Aggregate("count_values", ("stage",), health(choice, min_step), parameter="state")
    for number, words, color in STAGE_WORDS:
        for label, text in (("subtitle", words), ("color", color)):
            told = Call("label_replace", (told, label, text, "state", str(number)))
    by_id: list[tuple[str, Expr]] = [
        ("mainstat", choice.rate(c.STAGE_CALLS, ("stage",))),
        ("secondarystat", quantile(choice, c.STAGE_DURATION, 0.95, ("stage",))),
    ]
    queries = [choice.rows(_named(_named(told, "id"), "title"))]
    queries += [choice.rows(_named(expr, "id")) for _, expr in by_id]
    source = _named(_named(edges(choice), "source", "upstream"), "target")
    queries.append(choice.rows(Call("label_join", (source, "id", "/", "upstream", "stage"))))
    letters = [letter(i) for i in range(len(queries) - 1)]
    nodes = {"id": "byRefId", "options": f"/^(?:{'|'.join(letters)})$/"}
    transformations: list[Json] = [
        {"id": "joinByField", "filter": nodes, "options": {"byField": "id", "mode": "outer"}}
    ]
    for of, (name, _) in zip(letters[1:], by_id, strict=True):
        binary = {"left": f"Value #{of}", "operator": "*", "right": "1"}
        options: Json = {"mode": "binary", "alias": name, "binary": binary, "replaceFields": False}
        transformations.append({"id": "calculateField", "options": options})
    options = {"nodes": {"mainStatUnit": "cps", "secondaryStatUnit": "s", "arcs": []}, "edges": {}}
    return Panel(
        key,
        "The cascade",
        "Each circle is a stage, and arrows are the way of a call. The ring's colour and the word below tell its "
        "health: **critical**, **warning** or **info** is its most severe firing alert, **↳**, downstream and dim, "
        "where a stage before it fires as severely for as long; **ok**: calls arrive and "
        "nothing fires; **no calls**: it is scraped and nobody calls it; **no data**: it is no longer scraped. Inside: "
        "calls a second and p95 of their time. "
        "Look for the first one, from the left, that is not ok: what comes after it may only suffer from it. "
        "Empty: Prometheus has nothing of the pipeline; is it scraped?",
        "nodeGraph",
        7,
        options,
        queries=tuple(queries),
        min_step=min_step,
        transformations=tuple(transformations),
    )


def _named(expr: Expr, label: str, of: str = "stage") -> Call:
    return Call("label_replace", (expr, label, "$1", of, "(.*)"))


def _time_of_a_run(choice: Choice) -> Expr:
    """Seconds that an average call spends in each stage."""
    spent = choice.rate(c.STAGE_DURATION, ("stage",), suffix="_sum")
    return per(spent, choice.rate(c.STAGE_DURATION, ("stage",), suffix="_count"))


def _end_to_end(choice: Choice) -> Expr:
    spent = choice.rate(c.PIPELINE_DURATION, (), suffix="_sum")
    return per(spent, choice.rate(c.PIPELINE_DURATION, (), suffix="_count"))


def _budget(choice: Choice) -> Expr:
    return Aggregate("max", (), choice.series(c.PIPELINE_BUDGET))


def waterfall(
    choice: Choice,
    key: str,
    now_step: float,
    stages: Sequence[tuple[str, Line | None]] = (),
    *,
    budget: Line | None = None,
    min_step: float | None = None,
) -> tuple[Panel, ...]:
    """Return where the time of a run goes: a bar for each of the `stages`, in their order, and all over time.

    Without `stages`, with their budgets, there is a bar for each that is called; `budget` is that of a run.
    """
    about = (
        "Mean time of a call of each stage, in the order of the cascade, then of a whole run, then its budget: the "
        "bars are drawn to one scale. A red one is above its own budget, which stands beside "
        "a stage's name. The longest is where to save time."
    )
    mean = _time_of_a_run(choice)
    queries: list[Query] = []
    limits: dict[str, Line] = {}
    if stages:
        for name, line in stages:
            here = _here(choice, name)
            queries.append(choice.query(_time_of_a_run(here), _within(name, line, limits), instant=True))
        queries.append(choice.query(_end_to_end(choice), END_TO_END, instant=True))
        if budget is not None:
            limits[END_TO_END] = budget
        queries.append(choice.query(_budget(choice), "budget", instant=True))
    else:
        below = Binary("or", _called(_end_to_end(choice), END_TO_END), _called(_budget(choice), "its budget"))
        queries.append(choice.rows(ordered(placed(choice, Binary("or", mean, below)))))
    now = bars(
        f"{key}/now",
        "Where the time goes, now",
        f"{about} No bar: no calls of it, or no run and no budget are declared.",
        queries,
        unit="s",
        empty="no calls",
        lines=limits,
    )
    if not stages:
        now = in_order(now, ORDER, PLACE)
    over_time = lines(
        f"{key}/time",
        "Where the time goes",
        "The same over time, one stage on top of the other: mean seconds of a call of each stage. The line is the mean "
        "of a whole run, dashed is the budget; what is between the stack and the line is spent between stages. ",
        [
            *_stacked(choice, [name for name, _ in stages]),
            choice.query(_end_to_end(choice), "end to end", color="text"),
            choice.query(_budget(choice), "budget", color=NEUTRAL),
        ],
        unit="s",
        empty="no calls",
        stacked=True,
    )
    count = len(over_time.queries)
    plain = [_unstacked(count - 2, "solid", 2), _unstacked(count - 1, "dash", 2)]
    drawn = replace(over_time, overrides=(*over_time.overrides, *plain), min_step=min_step)
    return replace(now, min_step=now_step), drawn


def _within(name: str, line: Line | None, limits: dict[str, Line]) -> str:
    """Note the limit of a bar, and return what it is called: whether it is above is not told by its colour alone."""
    if line is None:
        return name
    told = f"{name} ≤ {short(line.value)}"
    limits[told] = line
    return told


def _called(expr: Expr, name: str) -> Expr:
    """Name the place of what is of no stage."""
    return Call("label_replace", (expr, "stage", name, "", ""))


def _here(choice: Choice, stage: str) -> Choice:
    return replace(choice, matchers=(*choice.matchers, Matcher("stage", "=", stage)))


def _stacked(choice: Choice, stages: Sequence[str]) -> list[Query]:
    if not stages:
        return [choice.query(_time_of_a_run(choice), "{{stage}}")]
    return [
        choice.query(_time_of_a_run(_here(choice, name)), name, color=DATA_COLORS[i % len(DATA_COLORS)])
        for i, name in enumerate(stages)
    ]


def _unstacked(index: int, line: str, width: int) -> Json:
    style: Json = {"fill": line, **({"dash": [8, 6]} if line == "dash" else {})}
    return {
        "matcher": {"id": "byFrameRefID", "options": letter(index)},
        "properties": [
            {"id": "custom.stacking", "value": {"mode": "none", "group": "B"}},
            {"id": "custom.fillOpacity", "value": 0},
            {"id": "custom.lineWidth", "value": width},
            {"id": "custom.lineStyle", "value": style},
        ],
    }

"""The top of the dashboard: the state of every stage now, and the pipeline's vital signs."""

from __future__ import annotations

from pipemon import catalogue as c
from pipemon.generate import queries as q
from pipemon.generate import recordings as m
from pipemon.generate.dashboards.charts import in_order
from pipemon.generate.dashboards.panels import Line, Panel, Query, stat
from pipemon.generate.dashboards.position import AT_THE_END, PLACE, most_severe_began
from pipemon.generate.dashboards.series import either, of_spec
from pipemon.generate.dashboards.states import (
    END_TO_END,
    FIRING,
    LESS_OF_AN_EFFECT,
    NO_CALLS,
    NO_DATA,
    QUIET,
    SEVERITY_COLORS,
    STAGE_STATES,
    UNWATCHED,
    alerts,
)
from pipemon.generate.dashboards.text import markdown, plain, short
from pipemon.generate.dashboards.topology import TILES, health, tiles
from pipemon.generate.measures import measure as measured
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, literal, one_of
from pipemon.spec.model import SEVERITIES, Severity, Spec
from pipemon.units import duration


def recent(spec: Spec) -> float:
    """Return what "now" means, in seconds: 20 scrapes, which is five minutes by default."""
    return 20 * spec.timing.scrape_interval


def order(spec: Spec) -> tuple[str, ...]:
    """Return the stages with each after all those before it, else as they were declared."""
    names = {stage.name for stage in spec.stages}
    left = {stage.name: set(stage.after or ()) & names for stage in spec.stages}
    done: list[str] = []
    while left:
        # A cycle can't be ordered; what is left then stays as declared.
        name = next((name for name, before in left.items() if before <= set(done)), next(iter(left)))
        done.append(name)
        del left[name]
    return tuple(done)


def along(spec: Spec, expr: Expr) -> Expr:
    """Return series with the label `at`, by which they are sorted along the cascade; `end` is what is of no stage."""
    for i, name in enumerate(order(spec), 1):
        expr = Call("label_replace", (expr, PLACE, f"{i:02}", "stage", literal(name)))
    at_the_end = Call("label_replace", (expr, PLACE, AT_THE_END, "stage", ""))
    return Call("label_replace", (at_the_end, "stage", END_TO_END, "stage", ""))


def topology_words(spec: Spec) -> str:
    """Return the cascade in words, as Markdown: `vad → asr`, or an edge list where it branches."""
    stages = order(spec)
    before = [spec.upstream[name] for name in stages]
    if before == [(), *((name,) for name in stages[:-1])]:
        return " → ".join(map(markdown, stages))
    words = [
        f"{markdown(', '.join(spec.upstream[name]))} → {markdown(name)}" if spec.upstream[name] else markdown(name)
        for name in stages
    ]
    return "; ".join(words)


def cascade_state(spec: Spec) -> Panel:
    """Return the state of each stage now, in the cascade's order, and then of the pipeline as a whole."""
    names, many = order(spec), len(order(spec)) > TILES
    unwatched = "" if many else " **unwatched**: no failure mode of it can be measured yet."
    folded = f" Of more than {TILES} stages those that are ok are one tile together, the last." if many else ""
    description = (
        f"{topology_words(spec)}. Look for the first stage that is not ok: what comes after it may only suffer from "
        "it, and is dim, with **↳** for downstream, where a stage before it fires as severely for as "
        "long. Each shows its most severe firing alert (critical, warning, info), over all replicas. "
        "**ok**: calls arrive, and no alert fires. "
        f"**no calls**: it is scraped, and nobody calls it. **no data**: Prometheus has nothing "
        f"of it for {duration(recent(spec))}: is the process down, is it scraped, are the rules loaded?"
        f"{unwatched}{folded}"
    )
    queries = [Query(_state(spec, name), plain(f"{i}. {name}"), instant=True) for i, name in enumerate(names, 1)]
    whole = [Query(_state(spec, None), "end to end", instant=True)] if None in spec.measurable_at else []
    made = stat(
        "cascade/state",
        "Cascade now",
        description,
        [_not_well(spec, names)] if many else [*queries, *whole],
        unit="none",
        min_step=spec.timing.scrape_interval,
        empty="no stages",
        mappings=STAGE_STATES,
    )
    return in_order(made, PLACE, most=2 * TILES) if many else made


def _not_well(spec: Spec, names: tuple[str, ...]) -> Query:
    """Return the stages of a long cascade that are not ok, and how many are; then the pipeline as a whole."""
    choice = of_spec(spec)
    every = either(health(choice, recent(spec)), *(_at(Call("vector", (float(NO_DATA),)), "stage", n) for n in names))
    shown = tiles(choice, every, lambda states: along(spec, states))
    if None in spec.measurable_at:
        shown = Binary("or", shown, _at(_at(_state(spec, None), PLACE, AT_THE_END), "stage", END_TO_END))
    return choice.rows(shown)


def _at(expr: Expr, label: str, value: str) -> Expr:
    return Call("label_replace", (expr, label, value.replace("$", "$$"), "", ""))


def _state(spec: Spec, stage: str | None) -> Expr:
    here = (Matcher("stage", "=", stage or ""),)
    firing: list[Expr] = [
        Binary("*", Aggregate("max", (), alerts(spec, *here, *_firing(spec, severity))), float(FIRING[severity]))
        for severity in SEVERITIES
    ]
    first = _after_its_cause(spec, stage)
    best = QUIET if stage in spec.measurable_at else UNWATCHED
    alive = Binary("> bool", _traffic(spec, stage), 0.0)
    calls = Binary("-", Binary("*", alive, float(best - NO_CALLS)), 1.0)
    suffers = [Binary("-", Binary("and", either(*firing), first, on=()), float(LESS_OF_AN_EFFECT))] if first else []
    return either(*suffers, *firing, calls, Call("vector", (float(NO_DATA),)))


def _after_its_cause(spec: Spec, stage: str | None) -> Expr | None:
    """Return something where a stage before this one fires as severely for as long; None where there is none before.

    Before what is of no stage are all.
    """
    above = tuple(sorted(_above(spec, stage))) if stage else order(spec)
    if not above:
        return None
    choice = of_spec(spec)
    own, others = (most_severe_began(choice, (), one_of("stage", names)) for names in ((stage or "",), above))
    return Binary(">=", own, Binary("-", others, recent(spec)))


def _above(spec: Spec, stage: str) -> set[str]:
    found: set[str] = set()
    left = [stage]
    while left:
        before = set(spec.upstream.get(left.pop(), ())) - found
        found |= before
        left += before
    return found - {stage}


def _firing(spec: Spec, severity: Severity) -> tuple[Matcher, ...]:
    # What is in burn-in says nothing of the stage yet.
    observes = spec.derived("observes", lambda spec: any(mode.observe for mode in spec.measurable))
    told = (Matcher("mode", "!=", "observe"),) if observes else ()
    return Matcher("alertstate", "=", "firing"), Matcher("severity", "=", spec.severity_label(severity)), *told


def _traffic(spec: Spec, stage: str | None) -> Expr:
    """Calls lately: as the rules recorded them where they do, so that missing rules are seen too."""
    recorded = recorded_calls(spec, stage)
    if recorded is not None:
        return Aggregate("sum", (), recorded.series(*m.here(spec, stage)))
    metric = q.calls_total(stage)
    here = (Matcher("stage", "=", stage),) if stage else ()
    return q.total(q.Sums(spec, (), recent(spec)), metric, *here, function="increase")


def recorded_calls(spec: Spec, stage: str | None) -> m.Recording | None:
    """Return the recorded count of calls, or of those not skipped, that says best whether there is traffic.

    It is the one that `no_calls` of this stage reads, else the one of the shortest window; None where
    no rule records any.
    """
    found = [
        (not (absence and place == stage), window, calls)
        for place, absence, window, calls in spec.derived("recorded calls", _all_recorded_calls)
        if (place is None) == (stage is None)
    ]
    return min(found, key=lambda entry: entry[:2])[2] if found else None


def _all_recorded_calls(spec: Spec) -> list[tuple[str | None, bool, float, m.Recording]]:
    """Return each count of calls that a condition reads: where, whether absence is told by it, its window and rule.

    Of those that tell no absence one is enough for all stages, since they record the same.
    """
    found: dict[tuple[object, ...], tuple[str | None, bool, float, m.Recording]] = {}
    for mode in spec.measurable:
        for condition in mode.conditions:
            absence = condition.signal == "no_calls"
            which = (absence, mode.window, mode.stage if absence else mode.stage is None)
            measure = None if which in found else measured(spec, mode, condition)
            if measure is None:
                continue
            read = {each.name for each in (measure.value, measure.count) if each}
            counts = [count(spec, mode.stage, mode.window) for count in (m.calls_increase, m.ran_increase)]
            if calls := next((count for count in counts if count.name in read), None):
                found[which] = mode.stage, absence, mode.window, calls
    return list(found.values())


def vital_signs(spec: Spec) -> tuple[Panel, ...]:
    """Return what goes in, how long it takes end to end, what fails, and what users say."""
    window, step = recent(spec), spec.timing.scrape_interval
    over = f"over the last {duration(window)}"
    names = order(spec)
    entries = [name for i, name in enumerate(names) if i == 0 or spec.stage(name).after == ()]
    kept = "".join(f" {{{{{label}}}}}" for label in spec.told_apart_by)
    runs, calls = q.Sums(spec, q.key(spec, None), window), q.Sums(spec, (*spec.keep, "pipeline", "stage"), window)

    def flow(name: str) -> Expr:
        return q.total(calls, c.STAGE_CALLS, Matcher("stage", "=", name))

    p95 = q.quantile(runs, c.PIPELINE_DURATION, 0.95)
    budget = f", budget {short(spec.budget)}" if spec.budget else ""
    feedback = Binary(">", q.feedback_ratio(calls), 0.0)
    return (
        stat(
            "cascade/traffic",
            "Into the cascade",
            f"Calls a second of the stages that have none before them, {over}. None: look at what feeds the pipeline.",
            [Query(flow(name), plain(name) + kept, instant=True) for name in entries],
            unit="cps",
            min_step=step,
            empty="no traffic",
            named=True,
        ),
        stat(
            "cascade/latency",
            f"End to end p95{budget}",
            f"19 of 20 runs took no longer than this, {over}; interpolated within a bucket. Red: above the "
            "budget. Then look for the stage below whose duration rose. Empty where no function is "
            "declared as the run.",
            [Query(p95, f"p95{kept}", instant=True)],
            unit="s",
            min_step=step,
            empty="no runs",
            above=Line(spec.budget, "red") if spec.budget else None,
        ),
        stat(
            "cascade/failed",
            "Failed runs",
            f"Share of runs that raised, {over}. The stage that raised first is in the row of that stage, under calls.",
            [Query(q.failures_ratio(runs), f"failed{kept}", instant=True)],
            unit="percentunit",
            min_step=step,
            empty="no runs",
        ),
        stat(
            "cascade/feedback",
            "Users' feedback per call",
            f"Feedback for each call of its stage, {over}: a redo is somebody who had to ask again. Users "
            "feel what no other number here may show. Empty: no feedback came.",
            [Query(feedback, f"{{{{stage}}}} {{{{signal}}}}{kept}", instant=True)],
            unit="percentunit",
            min_step=step,
            empty="none",
            named=True,
            turns=_asked_again(spec),
        ),
    )


def _asked_again(spec: Spec) -> list[tuple[str, Line]]:
    """The lowest share of feedback that a failure mode is about, by the series' name; none with kept labels."""
    found: dict[str, Line] = {}
    for mode in () if spec.told_apart_by else spec.measurable:
        for condition in mode.conditions:
            if condition.signal != "feedback" or condition.reference is not None:
                continue
            if condition.threshold and condition.threshold.high is not None:
                line = Line(condition.threshold.high, SEVERITY_COLORS[mode.severity])
                name = f"{mode.stage} {condition.argument}"
                found[name] = min(found.get(name, line), line, key=lambda one: one.value)
    return list(found.items())

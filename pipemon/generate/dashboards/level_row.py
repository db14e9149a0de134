"""One row of panels for each stage: its software, what goes in, what comes out."""

from __future__ import annotations

from dataclasses import replace

from pipemon import catalogue as c
from pipemon.generate import queries as q
from pipemon.generate.dashboards.last_run import overdue_panels
from pipemon.generate.dashboards.layout import Row
from pipemon.generate.dashboards.level import Level, Watch, level_of, runbook_links, threshold_lines
from pipemon.generate.dashboards.level_features import feature_panels
from pipemon.generate.dashboards.level_work import work_panels
from pipemon.generate.dashboards.panels import NEUTRAL, NULL_COLOR, Line, Panel, Query
from pipemon.generate.dashboards.series import some
from pipemon.generate.dashboards.states import SEVERITY_COLORS
from pipemon.generate.dashboards.text import note, plain, short
from pipemon.generate.promql import Binary, Call, Expr, Raw
from pipemon.spec.latency import bound_share
from pipemon.spec.model import Spec


def level_row(spec: Spec, stage: str | None, title: str, collapsed: bool = False) -> Row:
    """Return the row of a stage, or of the pipeline end to end where `stage` is None."""
    level = level_of(spec, stage)
    sections: tuple[tuple[Panel, ...], ...] = (_software(level),)
    if stage is not None:
        sections = (
            *sections,
            feature_panels(level, "input"),
            (_nulls(level), *feature_panels(level, "output"), _feedback(level)),
        )
    key = f"row/{'stage' if stage else 'pipeline'}/{stage or ''}"
    return Row(key, plain(title), tuple(filter(None, sections)), collapsed)


def _software(level: Level) -> tuple[Panel, ...]:
    return (
        *overdue_panels(level),
        _calls(level),
        _duration(level),
        *_slow(level),
        _errors(level),
        *work_panels(level),
        *_written(level),
    )


def _written(level: Level) -> tuple[Panel, ...]:
    """A panel for each expression that a person wrote: where it holds there is a line."""
    found = []
    for mode in level.spec.measurable_at.get(level.stage, ()):
        written = [condition.argument for condition in mode.conditions if condition.signal == "promql"]
        if not written:
            continue
        panel = level.panel(
            f"promql/{mode.name}",
            f"Written expression: {mode.name}",
            "What the failure mode's own expression gives: where there is a line, it holds. None is good, or "
            "nothing of "
            "what it reads is there.",
            [Query(Raw(text), f"holds{i or ''}{level.kept()}") for i, text in enumerate(written)],
            unit="short",
            empty="it does not hold, or what it reads is not there",
            from_zero=False,
        )
        notes = f"{panel.description}\n\n{note(level.spec, mode)}"
        found.append(replace(panel, description=notes, modes=(mode.name,), links=runbook_links((mode,))))
    return tuple(found)


def _calls(level: Level) -> Panel:
    sums, absent = level.sums, level.watching("no_calls")
    about = (
        f"How many {level.calls} end a second, by how they ended, one above the other, as far as any did. A drop "
        "to nothing: look at the stage before, then at the process."
    )
    if level.stage is None:
        runs = q.total(sums, c.PIPELINE_RUNS)
        failed = q.total(sums, c.PIPELINE_FAILURES)
        outcomes = [
            Query(_not_negative(Binary("-", runs, failed)), "ok" + level.kept(), color="green"),
            Query(some(failed), "failed" + level.kept(), color="red"),
        ]
    else:
        total, null, failed, cancelled = (
            q.total(sums, metric, *level.here)
            for metric in (c.STAGE_CALLS, c.STAGE_NULL_OUTPUTS, c.STAGE_FAILURES, c.STAGE_CANCELLED)
        )
        ok = Binary("-", Binary("-", Binary("-", total, null), failed), cancelled)
        outcomes = [
            Query(_not_negative(ok), "ok" + level.kept(), color="green"),
            Query(some(null), "null" + level.kept(), color=NULL_COLOR),
            Query(some(failed), "failed" + level.kept(), color="red"),
            Query(some(cancelled), "cancelled" + level.kept(), color=NEUTRAL),
        ]
    title = f"{level.calls.capitalize()}/s, by outcome"
    return level.panel("calls", title, about, outcomes, absent, unit="cps", stacked=True)


def _not_negative(expr: Expr) -> Expr:
    # Counters of one scrape are extrapolated each by itself, so their difference can fall just below zero.
    return Call("clamp_min", (expr, 0.0))


def _duration(level: Level) -> Panel:
    spec = level.spec
    budget = spec.budget if level.stage is None else spec.stage(level.stage).budget
    watches = level.watching("latency")
    metric = q.duration(level.stage)
    shown = {"p50", "p95", *(watch.condition.argument for watch in watches)}
    interpolated = [w for w in watches if bound_share(spec, level.stage, w.condition) is None]
    recorded = {w.condition.argument for w in interpolated}
    queries = [
        Query(q.quantile(level.sums, metric, float(name[1:]) / 100, *level.here), name + level.kept())
        for name in sorted(shown - recorded, key=lambda name: float(name[1:]))
    ]
    for name in sorted(recorded):
        queries += level.recorded((w for w in interpolated if w.condition.argument == name), name)
    lines = list(threshold_lines(watches))
    if budget is not None and budget not in {line.value for line in lines}:
        lines.append(Line(budget, NEUTRAL))
    words = f" The dashed line at {short(budget)} is its budget." if budget else ""
    about = (
        f"Time of a call: half end within p50, 19 of 20 within p95, as interpolated from buckets.{words} "
        "If it rises alone, look at this stage's load and version; if with its input's size, look upstream."
    )
    return level.panel("duration", "Duration", about, queries, watches, unit="s", lines=lines)


def _slow(level: Level) -> tuple[Panel, ...]:
    found = [
        (watch, share)
        for watch in level.watching("latency")
        if (share := bound_share(level.spec, level.stage, watch.condition)) is not None
    ]
    if not found:
        return ()
    bounds = sorted({share.bound for _, share in found})
    queries = dict.fromkeys(
        query for watch, share in found for query in level.recorded((watch,), f"slower than {short(share.bound)}")
    )
    lines = [Line(share.allowed, SEVERITY_COLORS[watch.mode.severity]) for watch, share in found]
    title = f"{level.calls.capitalize()} slower than {', '.join(map(short, bounds))}"
    about = (
        f"Share of {level.calls} that took longer, counted rather than interpolated: what the alert reads. "
        "The dashed line is the share that is allowed."
    )
    return (level.panel("slow", title, about, queries, (w for w, _ in found), unit="percentunit", lines=lines),)


def _errors(level: Level) -> Panel:
    watches = level.watching("error_ratio")
    raw = q.failures_ratio(level.sums, *level.here)
    about = (
        f"Share of {level.calls} that raised. Look at the exceptions in the log of this stage, and at its last change."
    )
    return _ratio(level, "errors", f"Failed {level.calls}", about, watches=watches, raw=raw, words="failed")


def _nulls(level: Level) -> Panel:
    watches = level.watching("null_ratio")
    raw = q.nulls_ratio(level.sums, *level.here)
    about = (
        "Share of calls that returned nothing usable. Some are right: there may be nothing to find. If more "
        "than usual, compare with this stage's input."
    )
    return _ratio(level, "nulls", "Output: null", about, watches=watches, raw=raw, words="null")


def _ratio(
    level: Level, key: str, title: str, about: str, *, watches: tuple[Watch, ...], raw: Expr, words: str
) -> Panel:
    """A share: as recorded for the alerts where there are any, else of the moment."""
    queries = level.recorded(watches, words) or (Query(raw, words + level.kept()),)
    return level.panel(key, title, about, queries, watches, unit="percentunit", lines=threshold_lines(watches))


def _feedback(level: Level) -> Panel:
    watches = level.watching("feedback")
    queries = tuple(query for watch in watches for query in level.recorded((watch,), watch.condition.argument))
    names: tuple[str, ...] = ()
    if not queries:
        names = level.signals
        queries = (Query(q.feedback_ratio(level.sums, *level.here), "{{signal}}" + level.kept()),)
    about = (
        "Feedback for each call: a redo is somebody who had to ask again. It comes later than the call, so it "
        "lags behind the cause."
    )
    return level.panel(
        "feedback",
        "Feedback per call",
        about,
        dict.fromkeys(queries),
        watches,
        unit="percentunit",
        lines=threshold_lines(watches),
        empty="no feedback",
        names=names,
    )

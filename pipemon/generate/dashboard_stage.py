"""One row of panels for each stage: its software, what goes in, what comes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipemon import catalogue as c
from pipemon.generate import measures as m
from pipemon.generate.dashboard_overview import SEVERITY_COLORS
from pipemon.generate.dashboard_text import RATE_INTERVAL, markdown, note, plain
from pipemon.generate.panels import NEUTRAL, Line, Panel, Query, Row, timeseries
from pipemon.generate.promql import Binary, Call, Expr, Matcher
from pipemon.spec.latency import bound_share
from pipemon.spec.model import Condition, FailureMode, Spec
from pipemon.topology import FeatureShape
from pipemon.units import duration

_UNITS = {
    "seconds": "s",
    "milliseconds": "ms",
    "ratio": "percentunit",
    "percent": "percent",
    "dBFS": "dB",
    "dB": "dB",
    "bytes": "bytes",
    "hertz": "hertz",
}


@dataclass(frozen=True)
class _Watch:
    """A failure mode's condition of this level, and how it is measured."""

    mode: FailureMode
    condition: Condition
    measure: m.Measure


@dataclass(frozen=True)
class _Level:
    """A stage, or the pipeline where `stage` is None, with what watches it."""

    spec: Spec
    stage: str | None
    watches: tuple[_Watch, ...]

    @property
    def by(self) -> tuple[str, ...]:
        return m.key(self.spec, self.stage)

    @property
    def here(self) -> tuple[Matcher, ...]:
        return (Matcher("stage", "=", self.stage),) if self.stage else ()

    @property
    def calls(self) -> str:
        return "calls" if self.stage else "runs"

    @property
    def signals(self) -> tuple[str, ...]:
        """The feedback that is exported for this stage."""
        declared = self.spec.stage(self.stage).feedback if self.stage else ()
        return tuple(dict.fromkeys((*c.FEEDBACK_SIGNALS, *declared, c.OTHER)))

    def kept(self, *more: str) -> str:
        """What a legend adds to tell the series of one query apart."""
        return "".join(f" {{{{{label}}}}}" for label in (*more, *self.spec.keep))

    def watching(self, signal: str, feature: FeatureShape | None = None) -> tuple[_Watch, ...]:
        """The conditions on a signal, and on one feature where it has one."""
        return tuple(
            watch for watch in self.watches if watch.condition.signal == signal and watch.condition.feature == feature
        )

    def panel(
        self,
        key: str,
        title: str,
        description: str,
        queries: Iterable[Query],
        watches: Iterable[_Watch] = (),
        *,
        unit: str,
        lines: Iterable[Line] = (),
        empty: str = "no traffic",
        from_zero: bool = True,
        stacked: bool = False,
        names: Sequence[str] = (),
    ) -> Panel:
        """A panel of this level whose description ends with the failure modes that watch it."""
        notes = dict.fromkeys(note(self.spec, watch.mode) for watch in watches)
        return timeseries(
            f"{'stage' if self.stage else 'pipeline'}/{self.stage or ''}/{key}",
            plain(title),
            "\n\n".join((description, *notes)),
            tuple(queries),
            unit=unit,
            min_step=self.spec.timing.scrape_interval,
            empty=empty,
            lines=lines,
            from_zero=from_zero,
            stacked=stacked,
            at_least=0.05 if unit == "percentunit" and from_zero else None,
            names=names,
            many_series=bool(self.spec.keep) and not stacked,
        )

    def recorded(self, watches: Iterable[_Watch], words: str) -> tuple[Query, ...]:
        """The series that the alerts read, each once."""
        found = {
            watch.measure.value.series(*watch.measure.matchers): f"{words} over {duration(watch.mode.window)}"
            for watch in watches
        }
        return tuple(Query(expr, legend + self.kept()) for expr, legend in found.items())


def level_row(spec: Spec, stage: str | None, title: str, collapsed: bool = False) -> Row:
    """Return the row of a stage, or of the pipeline end to end where `stage` is None."""
    watches = tuple(
        _Watch(mode, condition, measure)
        for mode in spec.measurable
        if mode.stage == stage
        for condition in mode.conditions
        if (measure := m.measure(spec, mode, condition)) is not None
    )
    level = _Level(spec, stage, watches)
    sections: tuple[tuple[Panel, ...], ...] = (_software(level),)
    if stage is not None:
        sections = (
            *sections,
            _features(level, "input"),
            (_nulls(level), *_features(level, "output"), _feedback(level)),
        )
    key = f"row/{'stage' if stage else 'pipeline'}/{stage or ''}"
    return Row(key, plain(title), tuple(filter(None, sections)), collapsed)


def _software(level: _Level) -> tuple[Panel, ...]:
    return (_calls(level), _duration(level), *_slow(level), _errors(level))


def _calls(level: _Level) -> Panel:
    spec, by, here = level.spec, level.by, level.here
    absent = level.watching("no_calls")
    about = (
        f"How many {level.calls} end a second, by how they ended, one above the other. A drop to nothing: look at "
        "the stage before, then at the process."
    )
    if level.stage is None:
        runs = m.total(spec, c.PIPELINE_RUNS, by, RATE_INTERVAL)
        failed = m.total(spec, c.PIPELINE_FAILURES, by, RATE_INTERVAL)
        outcomes = [
            Query(_not_negative(Binary("-", runs, failed)), "ok" + level.kept(), color="green"),
            Query(failed, "failed" + level.kept(), color="red"),
        ]
    else:
        total, null, failed, cancelled = (
            m.total(spec, metric, by, RATE_INTERVAL, *here)
            for metric in (c.STAGE_CALLS, c.STAGE_NULL_OUTPUTS, c.STAGE_FAILURES, c.STAGE_CANCELLED)
        )
        ok = Binary("-", Binary("-", Binary("-", total, null), failed), cancelled)
        outcomes = [
            Query(_not_negative(ok), "ok" + level.kept(), color="green"),
            Query(null, "null" + level.kept(), color="#A16EE0"),
            Query(failed, "failed" + level.kept(), color="red"),
            Query(cancelled, "cancelled" + level.kept(), color=NEUTRAL),
        ]
    title = f"{level.calls.capitalize()}/s, by outcome"
    return level.panel("calls", title, about, outcomes, absent, unit="cps", stacked=True)


def _not_negative(expr: Expr) -> Expr:
    # Counters of one scrape are extrapolated each by itself, so their difference can fall just below zero.
    return Call("clamp_min", (expr, 0.0))


def _duration(level: _Level) -> Panel:
    spec = level.spec
    budget = spec.budget if level.stage is None else spec.stage(level.stage).budget
    watches = level.watching("latency")
    metric = m.duration(level.stage)
    shown = {"p50", "p95", *(watch.condition.argument for watch in watches)}
    interpolated = [w for w in watches if bound_share(spec, level.stage, w.condition) is None]
    recorded = {w.condition.argument for w in interpolated}
    queries = [
        Query(
            m.quantile(spec, metric, level.by, RATE_INTERVAL, float(name[1:]) / 100, *level.here),
            name + level.kept(),
        )
        for name in sorted(shown - recorded, key=lambda name: float(name[1:]))
    ]
    for name in sorted(recorded):
        queries += level.recorded((w for w in interpolated if w.condition.argument == name), name)
    lines = list(_lines(watches))
    if budget is not None and budget not in {line.value for line in lines}:
        lines.append(Line(budget, NEUTRAL))
    words = f" The dashed line at {duration(budget)} is its budget." if budget else ""
    about = (
        f"Time of a call: half end within p50, 19 of 20 within p95, as interpolated from buckets.{words} "
        "If it rises alone, look at this stage's load and version; if with its input's size, look upstream."
    )
    return level.panel("duration", "Duration", about, queries, watches, unit="s", lines=lines)


def _slow(level: _Level) -> tuple[Panel, ...]:
    found = [
        (watch, share)
        for watch in level.watching("latency")
        if (share := bound_share(level.spec, level.stage, watch.condition)) is not None
    ]
    if not found:
        return ()
    bounds = sorted({share.bound for _, share in found})
    queries = dict.fromkeys(
        query for watch, share in found for query in level.recorded((watch,), f"slower than {duration(share.bound)}")
    )
    lines = [Line(share.allowed, SEVERITY_COLORS[watch.mode.severity]) for watch, share in found]
    title = f"{level.calls.capitalize()} slower than {', '.join(map(duration, bounds))}"
    about = (
        f"Share of {level.calls} that took longer, counted rather than interpolated: what the alert reads. "
        "The dashed line is the share that is allowed."
    )
    return (level.panel("slow", title, about, queries, (w for w, _ in found), unit="percentunit", lines=lines),)


def _errors(level: _Level) -> Panel:
    watches = level.watching("error_ratio")
    raw = m.failures_ratio(level.spec, level.by, RATE_INTERVAL, *level.here)
    about = (
        f"Share of {level.calls} that raised. Look at the exceptions in the log of this stage, and at its last change."
    )
    return _ratio(level, "errors", f"Failed {level.calls}", about, watches=watches, raw=raw, words="failed")


def _nulls(level: _Level) -> Panel:
    watches = level.watching("null_ratio")
    raw = m.nulls_ratio(level.spec, level.by, RATE_INTERVAL, *level.here)
    about = (
        "Share of calls that returned nothing usable. Some are right: there may be nothing to find. If more "
        "than usual, compare with this stage's input."
    )
    return _ratio(level, "nulls", "Output: null", about, watches=watches, raw=raw, words="null")


def _ratio(
    level: _Level, key: str, title: str, about: str, *, watches: tuple[_Watch, ...], raw: Expr, words: str
) -> Panel:
    """A share: as recorded for the alerts where there are any, else of the moment."""
    queries = level.recorded(watches, words) or (Query(raw, words + level.kept()),)
    return level.panel(key, title, about, queries, watches, unit="percentunit", lines=_lines(watches))


def _features(level: _Level, direction: str) -> tuple[Panel, ...]:
    assert level.stage is not None
    features = [f for f in level.spec.stage(level.stage).features if f.direction == direction]
    if not features:
        return ()
    panels = []
    together: dict[str, list[FeatureShape]] = {}
    for feature in features:
        # A line across a panel belongs to one feature, and a unit that is not known is like no other.
        alone = bool(level.watching("mean", feature)) or not feature.unit
        together.setdefault(feature.name if alone else f"unit {feature.unit}", []).append(feature)
    for group in together.values():
        panels.append(_means(level, direction, group))
    watched = [f for f in features if level.watching("missing_ratio", f)]
    panels += [_missing(level, direction, (feature,)) for feature in watched]
    if unwatched := [f for f in features if f not in watched]:
        panels.append(_missing(level, direction, tuple(unwatched)))
    return tuple(panels)


def _means(level: _Level, direction: str, features: list[FeatureShape]) -> Panel:
    names = ", ".join(feature.name for feature in features)
    unit = features[0].unit
    watches = tuple(watch for feature in features for watch in level.watching("mean", feature))
    queries = level.recorded(watches, features[0].name)
    if not queries:
        queries = tuple(Query(_mean(level, feature), plain(feature.name) + level.kept()) for feature in features)
    named = f" ({unit})" if unit and unit not in _UNITS else ""
    about = (
        f"Mean of what goes {'into' if direction == 'input' else 'out of'} {markdown(level.stage or '')}, "
        "over all calls in which there was a value. "
        + (
            "If it moves while this stage's software did not change, the cause is upstream or with the users."
            if direction == "input"
            else "If it moves and the input did not, this stage changed: compare with its last release."
        )
    )
    return level.panel(
        f"{direction}/mean/{features[0].name}",
        f"{direction.capitalize()}: {names}, mean{named}",
        about,
        queries,
        watches,
        unit=_UNITS.get(unit, "short"),
        lines=_lines(watches),
        empty="no values",
        from_zero=False,
    )


def _which(feature: FeatureShape) -> tuple[Matcher, ...]:
    return (Matcher("direction", "=", feature.direction), Matcher("feature", "=", feature.name))


def _mean(level: _Level, feature: FeatureShape) -> Expr:
    by = (*level.by, "direction", "feature")
    return m.feature_mean(level.spec, by, RATE_INTERVAL, *level.here, *_which(feature))


def _missing(level: _Level, direction: str, features: tuple[FeatureShape, ...]) -> Panel:
    by = (*level.by, "direction", "feature")
    watches = tuple(watch for feature in features for watch in level.watching("missing_ratio", feature))
    queries = level.recorded(watches, features[0].name)
    names: list[str] = []
    if not queries:
        side = Matcher("direction", "=", direction)
        raw = m.missing_ratio(level.spec, by, RATE_INTERVAL, *level.here, side, *_only(level, features))
        queries, names = (Query(raw, "{{feature}}" + level.kept()),), [f.name for f in features]
    title = f"{features[0].name}, missing" if watches else "missing values"
    about = (
        "Share of calls in which a feature was None, empty, absent or not a number. At 100% its mean above says "
        "nothing. Look at who sends it."
    )
    return level.panel(
        f"{direction}/missing/{features[0].name if watches else ''}",
        f"{direction.capitalize()}: {title}",
        about,
        queries,
        watches,
        unit="percentunit",
        lines=_lines(watches),
        names=names,
    )


def _only(level: _Level, features: tuple[FeatureShape, ...]) -> tuple[Matcher, ...]:
    """Nothing if these are all of their side, else a matcher without the ones that have their own panel."""
    assert level.stage is not None
    shape = level.spec.stage(level.stage)
    others = [f.name for f in shape.features if f.direction == features[0].direction and f not in features]
    return tuple(Matcher("feature", "!=", name) for name in others)


def _feedback(level: _Level) -> Panel:
    watches = level.watching("feedback")
    queries = tuple(query for watch in watches for query in level.recorded((watch,), watch.condition.argument))
    names: tuple[str, ...] = ()
    if not queries:
        names = level.signals
        queries = (
            Query(
                m.feedback_ratio(level.spec, level.by, RATE_INTERVAL, *level.here),
                "{{signal}}" + level.kept(),
            ),
        )
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
        lines=_lines(watches),
        empty="no feedback",
        names=names,
    )


def _lines(watches: Iterable[_Watch]) -> list[Line]:
    """The thresholds of the alerts: the same numbers."""
    return [
        Line(value, SEVERITY_COLORS[watch.mode.severity])
        for watch in watches
        if watch.condition.threshold is not None
        for value in (watch.condition.threshold.low, watch.condition.threshold.high)
        if value is not None
    ]

"""Stages that are not decorated: rules that record their own series under pipemon's names, or queries of them as such.

Each series is recorded as it is, one by one, so that a restart is still a fall of a counter: no sum hides it. What
reads pipemon's series, rules and panels alike, then reads these too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import reduce

from pipemon.catalogue import Metric
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, Selector, Subquery, one_of
from pipemon.generate.recordings import Recording
from pipemon.spec.model import Spec
from pipemon.spec.own_series import STANDS_FOR, picks
from pipemon.topology import OwnSeries, StageShape

SERIES = "series"
"""The label that keeps several series of a service apart where they are one of a stage: its own name."""

_WHOLE = ("le", "$1.0", "le", "([0-9]+)")
"""Bounds as pipemon has them: whole numbers with a point, as Prometheus 3 makes them itself."""


def series_rules(spec: Spec) -> tuple[Recording, ...]:
    """Return the rules that record the series of stages that are not decorated."""
    return tuple(
        Recording(
            metric.name + suffix, _named(own, metric, suffix, spec), _labels(spec, own), (), _place(spec, stage, own)
        )
        for stage in spec.stages
        for own in stage.series
        for metric in (STANDS_FOR[own.key],)
        for suffix in _suffixes(metric)
    )


def _suffixes(metric: Metric) -> tuple[str, ...]:
    return tuple(series.removeprefix(metric.name) for series in metric.series)


def _place(spec: Spec, stage: StageShape, own: OwnSeries) -> tuple[tuple[str, str], ...]:
    return (("pipeline", spec.pipeline), ("stage", stage.name), ("track", "stable"), (SERIES, own.name))


def _labels(spec: Spec, own: OwnSeries) -> tuple[str, ...]:
    labels = ("pipeline", "stage", "track", SERIES, *spec.keep, *(label for label, _, _ in own.matchers))
    return tuple(dict.fromkeys((*labels, *(("le",) if own.key == "duration" else ()))))


def _named(own: OwnSeries, metric: Metric, suffix: str, spec: Spec) -> Expr:
    series = _selector(own, metric, suffix, tuple(Matcher(label, "=", value) for label, value in spec.select))
    return Call("label_replace", (series, *_WHOLE)) if suffix == "_bucket" else series


def _selector(own: OwnSeries, metric: Metric, suffix: str, more: tuple[Matcher, ...]) -> Selector:
    matchers = tuple(Matcher(*each) for each in own.matchers)
    labels = tuple(dict.fromkeys(matcher.label for matcher in (*matchers, *more)))
    exported = Metric(own.name, metric.type, labels, metric.help, metric.unit)
    return Selector(exported, tuple(dict.fromkeys((*matchers, *more))), suffix)


def exported_series(spec: Spec, expr: Expr) -> Expr:
    """Return an expression that reads the series of stages that are not decorated, as they are exported.

    It is what a Prometheus that never had `series_rules` can be asked.
    """
    if not any(stage.series for stage in spec.stages):
        return expr
    return _read(spec, expr)


def _read(spec: Spec, expr: Expr) -> Expr:
    match expr:
        case Selector():
            return _either(spec, expr, lambda own: own)
        case Call(function="absent", args=(Selector() as inner,)):
            found: list[Expr] = [own for _, own in _standing_for(spec, inner)]
            if not found:
                return expr
            gone: Expr = Call("absent", (_any(found),))
            for matcher in inner.matchers:
                if matcher.op == "=":
                    gone = _set(gone, matcher.label, matcher.value)
            return gone
        case Call(args=(Selector(window=window) as inner,)) if window is not None:
            return _either(spec, inner, lambda own: replace(expr, args=(own,)))
        case Call():
            args = tuple(arg if isinstance(arg, int | float | str) else _read(spec, arg) for arg in expr.args)
            return replace(expr, args=args)
        case Aggregate() | Subquery():
            return replace(expr, expr=_read(spec, expr.expr))
        case Binary():
            left, right = (
                side if isinstance(side, int | float) else _read(spec, side) for side in (expr.left, expr.right)
            )
            return replace(expr, left=left, right=right)
        case _:
            return expr


def _either(spec: Spec, series: Selector, asked: Callable[[Selector], Expr]) -> Expr:
    """Return what is asked of pipemon's series, or of those that stand for them, with the labels of the stage."""
    placed = []
    for place, own in _standing_for(spec, series):
        found = asked(own)
        if own.suffix == "_bucket":
            found = Call("label_replace", (found, *_WHOLE))
        placed.append(reduce(lambda inner, label: _set(inner, *label), place, found))
    ours = any(_decorated(spec, matcher) for matcher in series.matchers if matcher.label == "stage")
    if ours or not any(matcher.label == "stage" and matcher.op == "=" for matcher in series.matchers) or not placed:
        placed.insert(0, asked(series))
    return _any(placed)


def _any(found: Sequence[Expr]) -> Expr:
    return reduce(lambda left, right: Binary("or", left, right), found)


def _decorated(spec: Spec, matcher: Matcher) -> bool:
    return any(picks(matcher.op, matcher.value, stage.name) for stage in spec.stages if not stage.series)


def _set(expr: Expr, label: str, value: str) -> Expr:
    return Call("label_replace", (expr, label, value.replace("$", "$$"), "", ""))


def _standing_for(spec: Spec, series: Selector) -> Iterator[tuple[tuple[tuple[str, str], ...], Selector]]:
    """Yield the exported series that stand for one of pipemon's, each with the labels of its place."""
    for stage in spec.stages:
        for own in stage.series:
            if STANDS_FOR[own.key] != series.metric:
                continue
            place = _place(spec, stage, own)
            fixed = {**dict(place), "version": ""}
            if all(picks(m.op, m.value, fixed[m.label]) for m in series.matchers if m.label in fixed):
                more = tuple(_bound(m) if m.label == "le" else m for m in series.matchers if m.label not in fixed)
                found = _selector(own, series.metric, series.suffix, more)
                yield place, replace(found, window=series.window, offset=series.offset)


def _bound(matcher: Matcher) -> Matcher:
    """Return a matcher of bounds as exporters may write them: `1.0` or `1`."""
    if matcher.op not in ("=", "=~"):
        return matcher
    values = [value.replace("\\", "") for value in matcher.value.split("|")] if matcher.op == "=~" else [matcher.value]
    return one_of("le", tuple(dict.fromkeys(form for value in values for form in (value, value.removesuffix(".0")))))

"""Stages that are not decorated: rules that record their own series under pipemon's names, or queries of them as such.

Each series is recorded as it is, one by one, so that a restart is still a fall of a counter: no sum hides it. What
reads pipemon's series, rules and panels alike, then reads these too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import reduce

from pipemon.catalogue import Metric
from pipemon.generate.arrived import arrived
from pipemon.generate.promql import Binary, Call, Expr, Matcher, Selector, one_of, rebuilt
from pipemon.generate.recordings import Recording
from pipemon.spec.model import Spec
from pipemon.spec.own_series import STANDS_FOR, picks
from pipemon.topology import OwnSeries, StageShape
from pipemon.units import le

SERIES = "series"
"""The label that keeps several series of a service apart where they are one of a stage: its own name."""

_WHOLE = ("le", "$1.0", "le", "([0-9]+)")
"""Bounds as pipemon has them: whole numbers with a point, as Prometheus 3 makes them itself."""


def series_rules(spec: Spec) -> tuple[Recording, ...]:
    """Return the rules that record the series of stages that are not decorated."""
    return tuple(
        Recording(
            metric.name + suffix,
            _named(own, stage, metric, suffix, spec),
            _labels(spec, own),
            (),
            _place(spec, stage, own),
        )
        for stage in spec.stages
        for own in stage.series
        for metric in (STANDS_FOR[own.key],)
        for suffix in _suffixes(metric)
    )


def _suffixes(metric: Metric) -> tuple[str, ...]:
    return tuple(series.removeprefix(metric.name) for series in metric.series)


def _place(spec: Spec, stage: StageShape, own: OwnSeries) -> tuple[tuple[str, str], ...]:
    return (("pipeline", spec.pipeline), ("stage", stage.name), ("track", own.track), (SERIES, own.name))


def _labels(spec: Spec, own: OwnSeries) -> tuple[str, ...]:
    picked = (label for label, _, _ in (*own.matchers, *own.by_track))
    more = (*(("version",) if own.version else ()), *(("le",) if own.key == "duration" else ()))
    return tuple(dict.fromkeys(("pipeline", "stage", "track", SERIES, *spec.keep, *picked, *more)))


def _named(own: OwnSeries, stage: StageShape, metric: Metric, suffix: str, spec: Spec) -> Expr:
    series = _selector(own, stage, metric, suffix, tuple(Matcher(label, "=", value) for label, value in spec.select))
    return _as_ours(own, stage, series, suffix)


def _as_ours(own: OwnSeries, stage: StageShape, series: Expr, suffix: str) -> Expr:
    """Return series with the unit that pipemon's have, and the labels beside those of their place."""
    if own.version not in ("", "version"):
        series = Call("label_replace", (series, "version", "$1", own.version, "(.*)"))
    if suffix == "_sum" and own.unit != 1:
        return Binary("*", series, own.unit)
    if suffix == "_bucket" and own.unit != 1:
        # Rising: what a bound becomes is below all that are still to come.
        for bound in stage.duration_bounds:
            pattern = "|".join(map(re.escape, _written(bound, own.unit)))
            series = Call("label_replace", (series, "le", le(bound), "le", pattern))
        return series
    return Call("label_replace", (series, *_WHOLE)) if suffix == "_bucket" else series


def _written(bound: float, unit: float) -> tuple[str, ...]:
    """Return how exporters may write a bound of seconds in another unit: `300`, `300.0`, `1e+06`."""
    number = float(f"{bound / unit:.12g}")
    whole = (str(int(number)), f"{int(number)}.0") if number.is_integer() else ()
    return tuple(dict.fromkeys((*whole, le(number))))


def _selector(own: OwnSeries, stage: StageShape, metric: Metric, suffix: str, more: tuple[Matcher, ...]) -> Selector:
    matchers = tuple(Matcher(*each) for each in (*own.matchers, *own.by_track))
    if suffix == "_bucket" and own.unit != 1 and not any(each.label == "le" for each in more):
        # A bound that the file does not say would be taken for one of seconds.
        said = (form for bound in stage.duration_bounds for form in _written(bound, own.unit))
        more = (*more, one_of("le", (*said, "+Inf")))
    labels = tuple(dict.fromkeys(matcher.label for matcher in (*matchers, *more)))
    exported = Metric(own.name, metric.type, labels, metric.help, metric.unit)
    return Selector(exported, tuple(dict.fromkeys((*matchers, *more))), suffix)


def exported_series(spec: Spec, expr: Expr) -> Expr:
    """Return an expression that reads the series of stages that are not decorated, as they are exported.

    It is what a Prometheus that never had `series_rules` can be asked, by the labels under which ours arrive there.
    """
    own = _read(spec, expr) if any(stage.series for stage in spec.stages) else expr
    return arrived(spec.labels, own)


def _read(spec: Spec, expr: Expr) -> Expr:
    match expr:
        case Selector():
            return _either(spec, expr, lambda own: own)
        case Call(function="absent", args=(Selector() as inner,)):
            found: list[Expr] = [found for _, _, found in _standing_for(spec, inner)]
            if not found:
                return expr
            gone: Expr = Call("absent", (_any(found),))
            for matcher in inner.matchers:
                if matcher.op == "=":
                    gone = _set(gone, matcher.label, matcher.value)
            return gone
        case Call(args=(Selector(window=window) as inner,)) if window is not None:
            return _either(spec, inner, lambda own: replace(expr, args=(own,)))
        case _:
            return rebuilt(expr, lambda part: _read(spec, part))


def _either(spec: Spec, series: Selector, asked: Callable[[Selector], Expr]) -> Expr:
    """Return what is asked of pipemon's series, or of those that stand for them, with the labels of the stage."""
    placed = []
    for stage, own, exported in _standing_for(spec, series):
        place, found = _place(spec, stage, own), _as_ours(own, stage, asked(exported), exported.suffix)
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


def _standing_for(spec: Spec, series: Selector) -> Iterator[tuple[StageShape, OwnSeries, Selector]]:
    """Yield what stands for one of pipemon's series: its stage, how the file names it, and the series."""
    for stage in spec.stages:
        for own in stage.series:
            if STANDS_FOR[own.key] != series.metric:
                continue
            place = _place(spec, stage, own)
            fixed = {**dict(place), **({} if own.version else {"version": ""})}
            if all(picks(m.op, m.value, fixed[m.label]) for m in series.matchers if m.label in fixed):
                more = tuple(_as_exported(own, m) for m in series.matchers if m.label not in fixed)
                found = _selector(own, stage, series.metric, series.suffix, more)
                yield stage, own, replace(found, window=series.window, offset=series.offset)


def _as_exported(own: OwnSeries, matcher: Matcher) -> Matcher:
    if matcher.label == "version":
        return replace(matcher, label=own.version)
    return _bound(matcher, own.unit) if matcher.label == "le" else matcher


def _bound(matcher: Matcher, unit: float) -> Matcher:
    """Return a matcher of bounds as exporters may write them: `1.0` or `1`."""
    if matcher.op not in ("=", "=~"):
        return matcher
    values = [value.replace("\\", "") for value in matcher.value.split("|")] if matcher.op == "=~" else [matcher.value]
    forms = (
        (value, value.removesuffix(".0")) if unit == 1 or value == "+Inf" else _written(float(value), unit)
        for value in values
    )
    return one_of("le", tuple(dict.fromkeys(form for several in forms for form in several)))

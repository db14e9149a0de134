"""Labels of pipemon that arrive under other names, a label of the target being in their place: `exported_stage`.

Rules and panels are made of the catalogue's labels. Only what is read of raw series is written with the others, and
named back at once, so that what is recorded, alerts and routes are as everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from pipemon.catalogue import METRICS
from pipemon.generate.promql import Aggregate, Call, Expr, Matcher, Selector, rebuilt
from pipemon.generate.recordings import Recording
from pipemon.spec.model import Spec

_RAW = frozenset(METRICS.values())
_NAMES = frozenset(series for metric in METRICS.values() for series in metric.series)
_TOLD = re.compile(r'\b(pipemon_\w+)\{((?:\w+(?:=|!=|=~|!~)"(?:[^"\\]|\\.)*",?)*)\}')
_ASKED = re.compile(r"label_values\((\w+)(\{.*\})?, (\w+)\)")
_LABEL = re.compile(r'(\w+)((?:=|!=|=~|!~)"(?:[^"\\]|\\.)*")')
Labels = tuple[tuple[str, str], ...]
"""Labels of pipemon, each with the name under which it arrives."""
OF_TARGETS = "of-the-target"
"""The value of a target's label in the place of ours, in rule tests: nothing may read it."""


def arrived(labels: Labels, expr: Expr) -> Expr:
    """Return an expression that reads raw series by the labels under which they arrive, and gives pipemon's."""
    return _read(dict(labels), expr) if labels else expr


def _read(names: dict[str, str], expr: Expr, back: dict[str, str] | None = None) -> Expr:
    """Return an expression by the names that labels arrive under; those of `back`, else all, are named back."""
    back = names if back is None else back
    match expr:
        case Selector() if expr.metric in _RAW:
            return _named_back(back, expr.metric.labels, _as_arrived(names, expr))
        case Call(function="absent" | "absent_over_time", args=(Selector() as inner,)) if inner.metric in _RAW:
            told = [matcher.label for matcher in inner.matchers if matcher.op == "="]
            # It has the labels of its matchers alone.
            return _without(names, told, _named_back(names, told, replace(expr, args=(_as_arrived(names, inner),))))
        case Call() if _is_raw(expr):
            raw = next(arg for arg in expr.args if isinstance(arg, Selector))
            args = tuple(_as_arrived(names, arg) if isinstance(arg, Selector) else arg for arg in expr.args)
            return _named_back(back, raw.metric.labels, replace(expr, args=args))
        case Aggregate(without=False):
            # Of what is summed only the labels that stay are named back.
            kept = {label: name for label, name in names.items() if label in expr.by}
            return replace(expr, expr=_read(names, expr.expr, kept if _is_raw(expr.expr) else names))
        case _:
            return rebuilt(expr, lambda part: _read(names, part))


def _is_raw(expr: Expr) -> bool:
    """Tell whether an expression is raw series, or a function of them."""
    if isinstance(expr, Call):
        return any(isinstance(arg, Selector) and arg.metric in _RAW for arg in expr.args)
    return isinstance(expr, Selector) and expr.metric in _RAW


def _as_arrived(names: dict[str, str], series: Selector) -> Selector:
    if series.metric not in _RAW:
        return series
    return replace(series, matchers=tuple(replace(m, label=names.get(m.label, m.label)) for m in series.matchers))


def _named_back(names: dict[str, str], labels: Iterable[str], expr: Expr) -> Expr:
    for label in labels:
        if label in names:
            expr = Call("label_replace", (expr, label, "$1", names[label], "(.*)"))
    return expr


def _without(names: dict[str, str], labels: Iterable[str], expr: Expr) -> Expr:
    for label in labels:
        if label in names:
            expr = Call("label_replace", (expr, names[label], "", "", ""))
    return expr


def values_arrived(labels: Labels, asked: str) -> str:
    """Return what a dashboard's variable asks, `label_values(series, label)`, by the labels under which they arrive."""
    names = dict(labels)
    found = _ASKED.fullmatch(asked)
    if not names or found is None or found[1] not in _NAMES:
        return asked
    which = _LABEL.sub(lambda told: names.get(told[1], told[1]) + told[2], found[2] or "")
    return f"label_values({found[1]}{which}, {names.get(found[3], found[3])})"


def arriving(spec: Spec, recording: Recording) -> Recording:
    """Return a rule that names another's series as pipemon's so that they are read like those that arrive."""
    names = dict(spec.labels)
    if not names or recording.name not in _NAMES:
        return recording
    expr = recording.expr
    if "version" in recording.labels and "version" in names:
        expr = Call("label_replace", (expr, names["version"], "$1", "version", "(.*)"))
    return replace(
        recording, expr=expr, static=tuple((names.get(label, label), value) for label, value in recording.static)
    )


def matcher(spec: Spec, label: str, value: str) -> Matcher:
    """Return what picks raw series by the value of one of pipemon's labels."""
    return Matcher(dict(spec.labels).get(label, label), "=", value)


def named_back(spec: Spec, labels: dict[str, str]) -> dict[str, str]:
    """Return the labels of a raw series with pipemon's under their own names."""
    own = {label: labels.get(name, "") for label, name in spec.labels}
    return {label: value for label, value in (labels | own).items() if value}


def tests_arrived(labels: Labels, pieces: Iterable[str]) -> Iterator[str]:
    """Yield the text of rule tests with raw series as they arrive: a label of the target is in the place of ours."""
    names = dict(labels)

    def one(found: re.Match[str]) -> str:
        name, inner = found.groups()
        if name not in _NAMES:
            return found.group()
        known = [(names.get(label, label), value, label) for label, value in _LABEL.findall(inner)]
        written = [f"{label}{value}" for label, value, _ in known]
        if is_input(found):
            written += [f'{own}="{OF_TARGETS}"' for label, _, own in known if label != own]
        return f"{name}{{{','.join(written)}}}"

    def is_input(found: re.Match[str]) -> bool:
        line = found.string[found.string.rfind("\n", 0, found.start()) + 1 : found.start()]
        return "series:" in line

    for piece in pieces:
        yield _TOLD.sub(one, piece) if names else piece

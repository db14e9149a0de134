"""Queries with the recording rules in them: what a Prometheus that never had these rules can be asked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce

from pipemon.generate.promql import (
    Aggregate,
    Binary,
    Call,
    Expr,
    Matcher,
    Raw,
    Recorded,
    Selector,
    Subquery,
    Window,
    rebuilt,
)
from pipemon.generate.recordings import Recording

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LOSES_LABELS = ("absent", "absent_over_time", "scalar", "time", "vector")
_NOTHING = Binary(">", Call("vector", (0.0,)), 1.0)
_PICKS = ("topk", "bottomk", "limitk")


def inlined(expr: Expr, recordings: Iterable[Recording], step: Window) -> Expr:
    """Return `expr` with the rules that it reads, of `recordings`, in it; they would be evaluated each `step`.

    A recorded series over a window becomes a subquery by that step. One that refers to its own past can't be
    said without a rule: it stays as it is (`self_referring` tells which), and so does what a person wrote.
    """
    every = tuple(recordings)
    stay = self_referring(every)
    rules: dict[str, list[Recording]] = {}
    for recording in every:
        if recording.name not in stay:
            rules.setdefault(recording.name, []).append(recording)
    return _inlined(expr, rules, step)


def self_referring(recordings: Iterable[Recording]) -> tuple[str, ...]:
    """Return the names of the rules that read their own series, at once or through others."""
    reads: dict[str, set[str]] = {}
    for recording in recordings:
        reads.setdefault(recording.name, set()).update(_names(recording.expr))

    def reached(name: str) -> set[str]:
        found: set[str] = set()
        todo = [*reads[name]]
        while todo:
            each = todo.pop()
            if each not in found:
                found.add(each)
                todo += reads.get(each, ())
        return found

    return tuple(name for name in reads if name in reached(name))


def selectors(expr: Expr | float | str) -> Iterator[Selector]:
    """Yield the exported series that an expression reads, without those that `unless` takes away: they may be none."""
    if isinstance(expr, Selector):
        yield expr
    for part in parts(expr)[:1] if isinstance(expr, Binary) and expr.op == "unless" else parts(expr):
        yield from selectors(part)


def own_past(expr: Expr | float | str) -> tuple[Recorded, ...]:
    """Return what keeps an inlined expression from being asked: series that only its own rules make."""
    found: dict[Recorded, None] = {}
    if isinstance(expr, Recorded):
        found[replace(expr, window=None, offset=0.0)] = None
    for part in parts(expr):
        found |= dict.fromkeys(own_past(part))
    return tuple(found)


def parts(expr: Expr | float | str) -> tuple[Expr | float | str, ...]:
    """Return what an expression is made of, one level down."""
    match expr:
        case Aggregate() | Subquery():
            return (expr.expr,)
        case Binary():
            return (expr.left, expr.right)
        case Call():
            return expr.args
        case _:
            return ()


def _names(expr: Expr | float | str) -> set[str]:
    """Return the names of the recorded series that an expression may read."""
    if isinstance(expr, Recorded):
        return {expr.name}
    if isinstance(expr, Raw):
        return set(_NAME.findall(expr.text))
    return {name for part in parts(expr) for name in _names(part)}


def shifted(expr: Expr, ago: float) -> Expr:
    """Return an expression as of `ago` seconds before: every series in it that much earlier, and the clock too."""
    match expr:
        case Selector() | Recorded() | Subquery():
            return replace(expr, offset=expr.offset + ago)
        case Call(function="time"):
            return Binary("-", expr, ago)
        case Raw():
            # It may be anything: only a subquery of one step can look at it earlier.
            return Call("last_over_time", (Subquery(expr, 1.0, 1.0, ago),))
        case _:
            return rebuilt(expr, lambda part: shifted(part, ago))


def picked(expr: Expr, matchers: tuple[Matcher, ...]) -> Expr:
    """Return what `matchers` pick of an expression's series: picked as early as that makes no difference."""
    for matcher in matchers:
        expr = _picked(expr, matcher) or _filtered(expr, matcher)
    return expr


def _picked(expr: Expr | float | str, matcher: Matcher) -> Expr | None:
    """Return an expression with a matcher in its selectors, or None where that could mean something else."""
    label = matcher.label
    match expr:
        case Selector() | Recorded():
            return expr if matcher in expr.matchers else replace(expr, matchers=(*expr.matchers, matcher))
        case Subquery():
            inner = _picked(expr.expr, matcher)
            return inner and replace(expr, expr=inner)
        case Aggregate() if expr.op not in _PICKS and (label in expr.by) != expr.without:
            inner = _picked(expr.expr, matcher)
            return inner and replace(expr, expr=inner)
        case Call(function="label_replace" | "label_join") if expr.args[1] == label:
            return None
        case Call() if expr.function not in _LOSES_LABELS:
            at = next((i for i, arg in enumerate(expr.args) if not isinstance(arg, int | float | str)), None)
            inner = None if at is None else _picked(expr.args[at], matcher)
            return inner and replace(expr, args=(*expr.args[: at or 0], inner, *expr.args[(at or 0) + 1 :]))
        case Binary():
            return _picked_of_two(expr, matcher)
        case _:
            return None


def _picked_of_two(expr: Binary, matcher: Matcher) -> Expr | None:
    if isinstance(expr.left, int | float):
        right = _picked(expr.right, matcher)
        return right and replace(expr, right=right)
    if matcher.label in expr.included:
        right = None if isinstance(expr.right, int | float) else _picked(expr.right, matcher)
        return right and replace(expr, right=right)
    matched = matcher.label in expr.on if expr.on is not None else matcher.label not in (expr.ignoring or ())
    keeps_left = expr.group_left or expr.op in ("and", "unless")
    if not matched and not keeps_left:
        return None
    left = _picked(expr.left, matcher)
    if left is None or isinstance(expr.right, int | float) or not matched:
        return left and replace(expr, left=left)
    right = _picked(expr.right, matcher)
    # Only of the two sides of an `or` each must be picked from: elsewhere the left one decides.
    if right is None:
        return None if expr.op == "or" else replace(expr, left=left)
    return replace(expr, left=left, right=right)


def _filtered(expr: Expr, matcher: Matcher) -> Expr:
    """Return what a matcher picks of any expression; raises ValueError for one that is neither `=` nor `!=`."""
    if matcher.op not in ("=", "!="):
        raise ValueError(f"{matcher.label}{matcher.op} can't be picked of {expr}")
    one = Call("label_replace", (Call("vector", (1.0,)), matcher.label, matcher.value.replace("$", "$$"), "", ""))
    return Binary("and" if matcher.op == "=" else "unless", expr, one, on=(matcher.label,))


def _inlined(expr: Expr, rules: Mapping[str, Sequence[Recording]], step: Window) -> Expr:
    def inner(each: Expr) -> Expr:
        return _inlined(each, rules, step)

    match expr:
        case Recorded() if expr.name in rules:
            each = (_recorded(rule, inner(rule.expr), expr.matchers) for rule in rules[expr.name])
            fitting = [one for one in each if one is not None]
            found = reduce(lambda a, b: Binary("or", a, b), fitting) if fitting else _NOTHING
            if expr.window is not None:
                return Subquery(found, expr.window, step, expr.offset)
            return shifted(found, expr.offset) if expr.offset else found
        case _:
            return rebuilt(expr, inner)


def _recorded(rule: Recording, expr: Expr, matchers: tuple[Matcher, ...]) -> Expr | None:
    """Return what matchers pick of a rule's series, with the labels that it sets; None where these do not fit."""
    static = dict(rule.static)
    if not all(fits(static[matcher.label], matcher) for matcher in matchers if matcher.label in static):
        return None
    expr = picked(expr, tuple(matcher for matcher in matchers if matcher.label not in static))
    for label, value in rule.static:
        expr = Call("label_replace", (expr, label, value.replace("$", "$$"), "", ""))
    return expr


def fits(value: str, matcher: Matcher) -> bool:
    """Tell whether a matcher picks series whose label has a value."""
    same = value == matcher.value if matcher.op in ("=", "!=") else re.fullmatch(matcher.value, value) is not None
    return same if matcher.op in ("=", "=~") else not same

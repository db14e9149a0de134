"""PromQL's operators on whole pasts at once: what rules make of counts, where the server has the counts alone.

A vector has a column for each series, by its labels without its name: its value at each of some evaluations, NaN where
it has none then. A column of one value is the same all along. What PromQL calls NaN, as 0 / 0 is, is no value here: no
rule that is worked out so may make any.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from pipemon.backtest.history import Labels
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, text

Column = NDArray[np.float64]
Vector = dict[Labels, Column]
_Compute = Callable[[Column, Column], Column]

_ARITHMETIC: dict[str, _Compute] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "^": np.power,
}
_COMPARISONS: dict[str, Callable[[Column, Column], NDArray[np.bool_]]] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}
_SETS = ("and", "or", "unless")
_OVER_SERIES: dict[str, Callable[[list[Column]], Column]] = {
    "sum": lambda columns: _some(columns, lambda each: np.nansum(each, axis=0)),
    "max": np.fmax.reduce,
    "min": np.fmin.reduce,
    "count": lambda columns: _some(columns, lambda each: (~np.isnan(each)).sum(axis=0).astype(float)),
    "group": lambda columns: _some(columns, lambda each: np.ones(each.shape[1])),
}
_EACH: dict[str, Callable[..., Column]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "clamp": np.clip,
    "clamp_max": np.minimum,
    "clamp_min": np.maximum,
    "exp": np.exp,
    "floor": np.floor,
    "ln": np.log,
    "log2": np.log2,
    "sqrt": np.sqrt,
}
_PARTS = re.compile(r"\$\$|\$[0-9]+|[^$]+|\$")

FUNCTIONS = frozenset({*_EACH, "label_replace", "vector", "time"})
AGGREGATIONS = frozenset(_OVER_SERIES)
OPERATORS = frozenset({*_ARITHMETIC, *_COMPARISONS, *(f"{each} bool" for each in _COMPARISONS), *_SETS})


def worked_out(expr: Expr, value: Callable[[Expr | float], Vector | Column], times: Column) -> Vector | Column:
    """Return what an expression is at `times`; `value` gives what it is made of. What is of no matter isn't asked for.

    Raises ValueError for what is not worked out here.
    """
    match expr:
        case Aggregate(op=op) if op in AGGREGATIONS:
            return aggregated(expr, _vector(value(expr.expr)))
        case Binary(op="and"):
            right = value(expr.right)
            return joined(expr, value(expr.left), right) if _has_any(right) else {}
        case Binary(op=op) if op in OPERATORS:
            return joined(expr, value(expr.left), value(expr.right))
        case Call(function="time"):
            return times
        case Call(function="vector", args=(inner,)) if not isinstance(inner, str):
            column = value(inner)
            assert not isinstance(column, dict)
            return {(): column}
        case Call(function="label_replace", args=(inner, *texts)) if not isinstance(inner, int | float | str):
            return relabelled(_vector(value(inner)), *map(str, texts))
        case Call(function=function, args=(inner, *numbers)) if function in _EACH and not isinstance(inner, str):
            return each(function, _vector(value(inner)), [float(text(number)) for number in numbers])
    raise ValueError(f"{text(expr)} can't be worked out")


def some(vector: Vector, begin: int, end: int) -> Vector:
    """Return the values of the evaluations from `begin` to before `end`."""
    return {labels: column if len(column) == 1 else column[begin:end] for labels, column in vector.items()}


def chosen(vector: Vector, matchers: Iterable[Matcher]) -> Vector:
    """Return the series that all matchers pick."""
    for each in matchers:
        vector = {labels: column for labels, column in vector.items() if _picks(each, dict(labels).get(each.label, ""))}
    return vector


def labelled(vector: Vector, static: Iterable[tuple[str, str]]) -> Vector:
    """Return the series with labels that a rule sets."""
    found: Vector = {}
    for labels, column in vector.items():
        _put(found, {**dict(labels), **dict(static)}, column)
    return found


def either(vectors: Iterable[Vector]) -> Vector:
    """Return the series of several vectors, each value the first one's that has it."""
    found: Vector = {}
    for vector in vectors:
        for labels, column in vector.items():
            _put(found, dict(labels), column)
    return found


def each(function: str, vector: Vector, numbers: Iterable[float]) -> Vector:
    """Return a function of each value, `numbers` behind it."""
    with np.errstate(all="ignore"):
        return {labels: _EACH[function](column, *numbers) for labels, column in vector.items()}


def relabelled(vector: Vector, into: str, replacement: str, source: str, pattern: str) -> Vector:
    """Return what label_replace does: `into` gets the replacement where the whole of `source` fits the pattern."""
    found: Vector = {}
    for labels, column in vector.items():
        named = dict(labels)
        if match := re.fullmatch(pattern, named.get(source, "")):
            named[into] = "".join(_part(match, each) for each in _PARTS.findall(replacement))
        _put(found, named, column)
    return found


def aggregated(expr: Aggregate, vector: Vector) -> Vector:
    """Return an aggregate over series, at each time over those that are there."""
    groups: dict[Labels, list[Column]] = {}
    for labels, column in vector.items():
        kept = tuple(pair for pair in labels if (pair[0] in expr.by) != expr.without)
        groups.setdefault(kept, []).append(column)
    reduce = _OVER_SERIES[expr.op]
    return {labels: reduce(list(np.broadcast_arrays(*columns))) for labels, columns in groups.items()}


def joined(expr: Binary, left: Vector | Column, right: Vector | Column) -> Vector:
    """Return an operator's result of two vectors, or of a vector and a number, which is a bare column."""
    compute = _computing(expr.op)
    if not isinstance(left, dict):
        assert isinstance(right, dict)
        swapped = _computing(expr.op, keeps_right=True)
        return {labels: swapped(left, column) for labels, column in right.items()}
    if not isinstance(right, dict):
        return {labels: compute(column, right) for labels, column in left.items()}
    if expr.op in _SETS:
        return _of_sets(expr, left, right)
    by_match: dict[Labels, list[tuple[dict[str, str], Column]]] = {}
    for labels, column in right.items():
        by_match.setdefault(_match(expr, labels), []).append((dict(labels), column))
    found: Vector = {}
    for labels, column in left.items():
        match = _match(expr, labels)
        for other, of_other in by_match.get(match, ()):
            named = {**dict(labels), **{each: other.get(each, "") for each in expr.included}}
            _put(found, named if expr.group_left else dict(match), compute(column, of_other))
    return found


def _of_sets(expr: Binary, left: Vector, right: Vector) -> Vector:
    there: dict[Labels, NDArray[np.bool_]] = {}
    deciding, kept = (left, right) if expr.op == "or" else (right, left)
    for labels, column in deciding.items():
        match = _match(expr, labels)
        there[match] = there.get(match, np.zeros(1, bool)) | ~np.isnan(column)
    found = dict(left) if expr.op == "or" else {}
    for labels, column in kept.items():
        seen = there.get(_match(expr, labels), np.zeros(1, bool))
        _put(found, dict(labels), np.where(seen if expr.op == "and" else ~seen, column, np.nan))
    return found


def _match(expr: Binary, labels: Labels) -> Labels:
    if expr.on is not None:
        return tuple(pair for pair in labels if pair[0] in expr.on)
    return tuple(pair for pair in labels if pair[0] not in (expr.ignoring or ()))


def _computing(op: str, *, keeps_right: bool = False) -> _Compute:
    """Return an operator on columns: a value where both have one, and of a filter where it holds."""
    word, _, as_number = op.partition(" ")

    def compute(left: Column, right: Column) -> Column:
        missing = np.isnan(left) | np.isnan(right)
        with np.errstate(all="ignore"):
            if word in _ARITHMETIC:
                return np.where(missing, np.nan, _ARITHMETIC[word](left, right))
            holds = _COMPARISONS[word](left, right)
        if as_number:
            return np.where(missing, np.nan, holds.astype(float))
        return np.where(holds & ~missing, right if keeps_right else left, np.nan)

    return compute


def _vector(found: Vector | Column) -> Vector:
    assert isinstance(found, dict)
    return found


def _has_any(found: Vector | Column) -> bool:
    return not isinstance(found, dict) or any(not np.isnan(column).all() for column in found.values())


def _some(columns: list[Column], reduce: Callable[[Column], Column]) -> Column:
    every = np.array(columns)
    return np.where(np.isnan(every).all(axis=0), np.nan, reduce(every))


def _put(found: Vector, labels: dict[str, str], column: Column) -> None:
    """Add a series; where there is one of these labels already, its values stay."""
    named = tuple(sorted((name, value) for name, value in labels.items() if value))
    found[named] = np.where(np.isnan(found[named]), column, found[named]) if named in found else column


def _part(match: re.Match[str], written: str) -> str:
    """Return what a part of a replacement stands for: a group, a dollar, or itself."""
    if len(written) == 1 or written[0] != "$":
        return written
    return "$" if written == "$$" else match[int(written[1:])] or ""


def _picks(matcher: Matcher, value: str) -> bool:
    same = matcher.value == value if matcher.op in ("=", "!=") else bool(re.fullmatch(matcher.value, value))
    return same if matcher.op in ("=", "=~") else not same

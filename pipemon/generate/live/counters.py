"""Expressions on the page of one process, whose counters began at nothing: what they have counted so far."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, Selector, Subquery
from pipemon.prometheus import Sample

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]

_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: a / b if b else float("nan"),
}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_OVER: dict[str, Callable[[Iterable[float]], float]] = {"sum": sum, "max": max, "min": min}


class NotOnePageError(Exception):
    """What an expression asks for can't be told from one page: a rate, the past."""


@dataclass(frozen=True)
class Page:
    """A process's samples, each name under `__name__`, at a Unix time.

    `seconds` is how long its counters have counted, 0 where nobody knows: then there are no rates.
    """

    samples: Sequence[Sample]
    time: float
    seconds: float = 0.0

    def evaluate(self, expr: Expr) -> list[Sample]:
        """Return what an expression gives, its windows reaching back to the process's beginning.

        Raises NotOnePageError where that needs times or the past.
        """
        value = self._value(expr)
        if isinstance(value, float):
            return [Sample({}, value)]
        return [Sample(dict(labels), number) for labels, number in value.items()]

    def _value(self, expr: Expr | float | str) -> Vector | float:
        match expr:
            case float() | int():
                return float(expr)
            case Selector(offset=0):
                return self._series(expr)
            case Subquery(offset=0):
                return self._value(expr.expr)
            case Call("time", ()):
                return self.time
            case Call("increase" | "avg_over_time" | "last_over_time" | "sum_over_time", (inner,)):
                return self._value(inner)
            case Call("rate", (inner,)) if self.seconds > 0:
                return {labels: number / self.seconds for labels, number in self._vector(inner).items()}
            case Call("abs", (inner,)):
                return {labels: abs(number) for labels, number in self._vector(inner).items()}
            case Aggregate() if expr.op in _OVER:
                return self._together(expr)
            case Binary():
                return self._binary(expr)
            case _:
                raise NotOnePageError

    def _vector(self, expr: Expr | float | str) -> Vector:
        value = self._value(expr)
        if isinstance(value, float):
            raise NotOnePageError
        return value

    def _series(self, expr: Selector) -> Vector:
        found: Vector = {}
        for labels, value in self._named.get(expr.metric.name + expr.suffix, ()):
            if met(labels, expr.matchers):
                found[frozenset(labels.items())] = value
        return found

    @cached_property
    def _named(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """The samples by name, without it: a page has thousands, and many expressions are asked of it."""
        found: dict[str, list[tuple[dict[str, str], float]]] = {}
        for sample in self.samples:
            labels = dict(sample.labels)
            found.setdefault(labels.pop("__name__", ""), []).append((labels, sample.value))
        return found

    def _together(self, expr: Aggregate) -> Vector:
        groups: dict[Labels, list[float]] = {}
        for labels, number in self._vector(expr.expr).items():
            own = frozenset(each for each in labels if (each[0] in expr.by) != expr.without)
            groups.setdefault(own, []).append(number)
        return {labels: _OVER[expr.op](numbers) for labels, numbers in groups.items()}

    def _binary(self, expr: Binary) -> Vector | float:
        left, right = self._value(expr.left), self._value(expr.right)
        op = expr.op

        def key(labels: Labels) -> Labels:
            if expr.on is not None:
                return frozenset(each for each in labels if each[0] in expr.on)
            return frozenset(each for each in labels if each[0] not in (expr.ignoring or ()))

        if isinstance(left, float) and isinstance(right, float):
            if op not in _ARITHMETIC:
                raise NotOnePageError
            return _ARITHMETIC[op](left, right)
        if isinstance(left, float):
            assert isinstance(right, dict)
            pairs = [(labels, left, number, number) for labels, number in right.items()]
        elif isinstance(right, float):
            pairs = [(labels, number, right, number) for labels, number in left.items()]
        else:
            ones = {key(labels): number for labels, number in right.items()}
            if op == "or":
                known = {key(labels) for labels in left}
                return left | {labels: number for labels, number in right.items() if key(labels) not in known}
            if op in ("and", "unless"):
                return {labels: number for labels, number in left.items() if (key(labels) in ones) == (op == "and")}
            keeps = expr.group_left or op in _COMPARISONS
            pairs = [
                (labels if keeps else key(labels), number, ones[key(labels)], number)
                for labels, number in left.items()
                if key(labels) in ones
            ]
        if op in _COMPARISONS:
            return {labels: kept for labels, a, b, kept in pairs if _COMPARISONS[op](a, b)}
        if op not in _ARITHMETIC:
            raise NotOnePageError
        return {labels: _ARITHMETIC[op](a, b) for labels, a, b, _ in pairs}


def met(labels: dict[str, str], matchers: Iterable[Matcher]) -> bool:
    """Tell whether labels meet all matchers; one that is not there is empty."""
    return all(_met(labels.get(matcher.label, ""), matcher) for matcher in matchers)


def _met(value: str, matcher: Matcher) -> bool:
    if matcher.op in ("=", "!="):
        return (value == matcher.value) == (matcher.op == "=")
    return (re.fullmatch(matcher.value, value) is not None) == (matcher.op == "=~")

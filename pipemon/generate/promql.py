"""PromQL as values, printed last, so that metrics and labels are checked while a query is built."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from pipemon.catalogue import Metric
from pipemon.units import duration

Window = float | str
"""Seconds, or a Grafana variable such as `$__rate_interval`."""


@dataclass(frozen=True)
class Matcher:
    """`label op "value"`; `op` is `=`, `!=`, `=~` or `!~`."""

    label: str
    op: str
    value: str


def one_of(label: str, values: tuple[str, ...]) -> Matcher:
    """Return a matcher for any of `values`, each taken literally."""
    if len(values) == 1:
        return Matcher(label, "=", values[0])
    return Matcher(label, "=~", "|".join(re.escape(value) for value in values))


@lru_cache(maxsize=10_000)
def literal(name: str) -> str:
    """Return the regular expression of a name that Prometheus and Alertmanager take literally."""
    return re.escape(name).replace("\\-", "-")


@dataclass(frozen=True)
class Selector:
    """Series of a catalogue metric. `suffix` is `_bucket`, `_count` or `_sum` for a histogram.

    `offset` is how long ago, in seconds. With `at_end` it is looked at once for a whole graph, as of its end.
    """

    metric: Metric
    matchers: tuple[Matcher, ...]
    suffix: str = ""
    window: Window | None = None
    offset: float = 0.0
    at_end: bool = False


@dataclass(frozen=True)
class Recorded:
    """Series that a recording rule of the same file makes; `labels` are the ones it keeps."""

    name: str
    labels: tuple[str, ...]
    matchers: tuple[Matcher, ...] = ()
    window: Window | None = None
    offset: float = 0.0


@dataclass(frozen=True)
class Call:
    """A function over expressions, numbers and texts."""

    function: str
    args: tuple[Expr | float | str, ...]


@dataclass(frozen=True)
class Aggregate:
    """`op by (labels) (expr)`, or `op without (labels) (expr)`.

    `parameter` is the label that `count_values` makes.
    """

    op: str
    by: tuple[str, ...]
    expr: Expr
    without: bool = False
    parameter: str = ""


@dataclass(frozen=True)
class Binary:
    """`left op right`; `on`, `ignoring` and `group_left` as in PromQL, None where absent.

    `included` are labels that a `group_left` takes over from the right side.
    """

    op: str
    left: Expr | float
    right: Expr | float
    on: tuple[str, ...] | None = None
    group_left: bool = False
    ignoring: tuple[str, ...] | None = None
    included: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ManyToManyError for a join that two versions at once, say, would break."""
        if self.group_left and self.on is not None:
            _check_one_side(self.right, self.on)


@dataclass(frozen=True)
class Subquery:
    """An expression as of each `step` within a window, `offset` ago: `(expr)[5m:15s]`."""

    expr: Expr
    window: Window
    step: Window
    offset: float = 0.0


@dataclass(frozen=True)
class Raw:
    """An expression that a person wrote."""

    text: str


class ManyToManyError(ValueError):
    """A join whose one side may have several series for a match: a fault in pipemon, never in a spec."""


def _check_one_side(expr: Expr | float, on: tuple[str, ...]) -> None:
    """Raise ManyToManyError unless an expression has at most one series for each value of the labels `on`."""
    match expr:
        case Binary(op="and" | "unless"):
            _check_one_side(expr.left, on)
        case Binary():
            # A comparison or a factor keeps what its vector side is.
            sides = [side for side in (expr.left, expr.right) if not isinstance(side, int | float)]
            for side in sides:
                _check_one_side(side, on)
        case Call(function="vector"):
            pass
        case Call(function="histogram_quantile"):
            _check_sides(expr, (*on, "le"))
        case Call() if any(not isinstance(arg, int | float | str) for arg in expr.args):
            _check_sides(expr, on)
        case Subquery():
            _check_one_side(expr.expr, on)
        case Aggregate() if not expr.without and set(expr.by) <= set(on):
            pass
        case Recorded() if set(expr.labels) <= set(on):
            pass
        case _:
            raise ManyToManyError(f"{text(expr)} is no aggregation by {', '.join(on)}")


def _check_sides(call: Call, on: tuple[str, ...]) -> None:
    for arg in call.args:
        if not isinstance(arg, int | float | str):
            _check_one_side(arg, on)


Expr = Selector | Recorded | Call | Aggregate | Binary | Subquery | Raw


def rebuilt(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """Return an expression with what it is made of changed, one level down; one that is not made of others as it is."""
    match expr:
        case Call():
            return replace(expr, args=tuple(a if isinstance(a, int | float | str) else change(a) for a in expr.args))
        case Aggregate() | Subquery():
            return replace(expr, expr=change(expr.expr))
        case Binary():
            left, right = (side if isinstance(side, int | float) else change(side) for side in (expr.left, expr.right))
            return replace(expr, left=left, right=right)
        case _:
            return expr


class UnknownLabelError(ValueError):
    """A query names a label that its series do not have: a fault in pipemon, never in a spec."""


def select(
    metric: Metric,
    matchers: tuple[Matcher, ...],
    *,
    suffix: str = "",
    window: Window | None = None,
    offset: float = 0.0,
    target_labels: tuple[str, ...] = (),
) -> Selector:
    """Return a selector whose labels all exist: in the catalogue, `le` for buckets, or among `target_labels`.

    Raises UnknownLabelError otherwise, or when the suffix does not suit the metric's type.
    """
    known = {*metric.labels, *target_labels, *(("le",) if suffix == "_bucket" else ())}
    for matcher in matchers:
        if matcher.label not in known:
            raise UnknownLabelError(f"{metric.name} has no label {matcher.label!r}")
    if metric.name + suffix not in metric.series:
        raise UnknownLabelError(f"{metric.name} has no series {metric.name + suffix!r}")
    return Selector(metric, matchers, suffix, window, offset)


@lru_cache(maxsize=10_000)
def quote(text: str) -> str:
    """Return `text` as a PromQL string literal in double quotes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def number(value: float) -> str:
    """Print a number without a binary tail: 0.1 + 0.2 is `0.3`, 5.0 is `5`. Infinity is `Inf`."""
    return format(value, ".15g").replace("inf", "Inf")


def span(window: Window) -> str:
    """Print a window: seconds as a Prometheus duration, a Grafana variable as it is."""
    return window if isinstance(window, str) else duration(window)


def text(expr: Expr | float | str) -> str:
    """Print an expression on one line."""
    match expr:
        case str():
            return quote(expr)
        case Selector():
            series = expr.metric.name + expr.suffix + _braces(expr.matchers)
            return series + _range(expr.window) + (" @ end()" if expr.at_end else "") + _ago(expr.offset)
        case Recorded():
            return expr.name + _braces(expr.matchers) + _range(expr.window) + _ago(expr.offset)
        case Call():
            return f"{expr.function}({', '.join(map(text, expr.args))})"
        case Aggregate():
            by = f" {'without' if expr.without else 'by'} ({', '.join(expr.by)})" if expr.by else ""
            parameter = f"{quote(expr.parameter)}, " if expr.parameter else ""
            return f"{expr.op}{by} ({parameter}{text(expr.expr)})"
        case Binary():
            return f"{_operand(expr.left)} {_operator(expr)} {_operand(expr.right)}"
        case Subquery():
            bare = isinstance(expr.expr, Recorded) and not (expr.expr.window or expr.expr.offset)
            inner = text(expr.expr) if bare else f"({text(expr.expr)})"
            return f"{inner}[{span(expr.window)}:{span(expr.step)}]{_ago(expr.offset)}"
        case Raw():
            return expr.text
        case _:
            return number(expr)


_LINE = 110


def block(expr: Expr | float) -> str:
    """Print an expression as people write rules: `and` and `or`, and what is long, on lines of their own."""
    if not isinstance(expr, Binary):
        return text(expr)
    if expr.op not in ("and", "or") and len(text(expr)) <= _LINE:
        return text(expr)
    if isinstance(expr.right, float):
        return f"{_term(expr.left, expr)} {_operator(expr)} {number(expr.right)}"
    return f"{_term(expr.left, expr)}\n{_operator(expr)}\n{_term(expr.right, expr)}"


def _term(expr: Expr | float, parent: Binary) -> str:
    if isinstance(expr, Raw):
        return f"({expr.text})"
    if not isinstance(expr, Binary):
        return text(expr)
    logical = ("and", "or")
    if parent.op in logical and (expr.op not in logical or (expr.op == parent.op and expr is parent.left)):
        return block(expr)
    inner = block(expr)
    return "(\n  " + inner.replace("\n", "\n  ") + "\n)" if "\n" in inner else f"({inner})"


def _operator(expr: Binary) -> str:
    on = f" on ({', '.join(expr.on)})" if expr.on is not None else ""
    if expr.ignoring is not None:
        on = f" ignoring ({', '.join(expr.ignoring)})"
    many = f" group_left ({', '.join(expr.included)})" if expr.group_left else ""
    return f"{expr.op}{on}{many}"


def _operand(expr: Expr | float) -> str:
    return f"({text(expr)})" if isinstance(expr, Binary | Raw) else text(expr)


def _range(window: Window | None) -> str:
    return "" if window is None else f"[{span(window)}]"


def _ago(offset: float) -> str:
    return f" offset {duration(offset)}" if offset else ""


def _braces(matchers: tuple[Matcher, ...]) -> str:
    inner = ",".join(f"{m.label}{m.op}{quote(m.value)}" for m in matchers)
    return f"{{{inner}}}" if inner else ""

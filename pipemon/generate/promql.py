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
            return f"{_head(expr)}{text(expr.expr)})"
        case Binary():
            return f"{_operand(expr.left, expr)} {_operator(expr)} {_operand(expr.right, expr)}"
        case Subquery():
            bare = isinstance(expr.expr, Recorded) and not (expr.expr.window or expr.expr.offset)
            inner = text(expr.expr) if bare else f"({text(expr.expr)})"
            return inner + _steps(expr)
        case Raw():
            return expr.text
        case _:
            return number(expr)


_LINE = 110
_LOGICAL = ("and", "or")
_COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
_BINDS = {"^": 3, "*": 2, "/": 2, "%": 2, "+": 1, "-": 1}
"""How tightly operators bind, of those that readers know it of; any others get brackets."""


def block(expr: Expr | float | str) -> str:
    """Print an expression as people write rules: `and` and `or`, and what is long, on lines of their own."""
    whole = text(expr)
    if len(whole) <= _LINE and not (isinstance(expr, Binary) and expr.op in _LOGICAL):
        return whole
    match expr:
        case Call() if len(expr.args) > 1 or not isinstance(expr.args[0], Selector | Recorded):
            return f"{expr.function}(\n  {_indented(_arguments(expr))}\n)"
        case Aggregate():
            return f"{_head(expr)}\n  {_indented(block(expr.expr))}\n)"
        case Subquery() if isinstance(expr.expr, Binary):
            return f"(\n  {_indented(block(expr.expr))}\n){_steps(expr)}"
        case Binary():
            short = isinstance(expr.left, float) or (isinstance(expr.right, float) and not _is_chain(expr.left, expr))
            apart = " " if short else "\n"
            return f"{_term(expr.left, expr)}{apart}{_operator(expr)}{apart}{_term(expr.right, expr)}"
        case _:
            return whole


def _indented(lines: str) -> str:
    return lines.replace("\n", "\n  ")


def _arguments(call: Call) -> str:
    """Print vectors on lines of their own, and the numbers and names between them on one."""
    printed = ""
    for before, arg in zip((None, *call.args), call.args, strict=False):
        together = isinstance(arg, int | float | str) and isinstance(before, int | float | str)
        printed += ("" if before is None else ", " if together else ",\n") + block(arg)
    return printed


def _term(expr: Expr | float, parent: Binary) -> str:
    inner = block(expr)
    if parent.op in _LOGICAL and isinstance(expr, Binary):
        bare = expr.op not in _LOGICAL or (expr.op == parent.op and expr is parent.left)
    else:
        # Over several lines nobody sees what binds more tightly.
        over_lines = isinstance(expr, Binary) and "\n" in inner and not _is_chain(expr, parent)
        bare = not over_lines and not _in_brackets(expr, parent)
    if bare:
        return inner
    return f"(\n  {_indented(inner)}\n)" if "\n" in inner else f"({inner})"


def _in_brackets(expr: Expr | float, parent: Binary) -> bool:
    """Tell whether one side of an operator is printed in brackets: a product within a sum needs none."""
    if not isinstance(expr, Binary):
        return isinstance(expr, Raw)
    inner, outer = _BINDS.get(expr.op, 0), _BINDS.get(parent.op, 0)
    if parent.op.partition(" ")[0] in _COMPARISONS:
        return not inner
    return not (inner > outer > 0 or _is_chain(expr, parent))


def _is_chain(expr: Expr | float, parent: Binary) -> bool:
    """Tell whether a side goes before an operator that binds alike, and is read before it: all but powers are."""
    binds = _BINDS.get(parent.op, 0)
    return isinstance(expr, Binary) and expr is parent.left and _BINDS.get(expr.op, 0) == binds and binds in (1, 2)


def _operator(expr: Binary) -> str:
    on = f" on ({', '.join(expr.on)})" if expr.on is not None else ""
    if expr.ignoring is not None:
        on = f" ignoring ({', '.join(expr.ignoring)})"
    many = f" group_left ({', '.join(expr.included)})" if expr.group_left else ""
    return f"{expr.op}{on}{many}"


def _operand(expr: Expr | float, parent: Binary) -> str:
    return f"({text(expr)})" if _in_brackets(expr, parent) else text(expr)


def _head(expr: Aggregate) -> str:
    by = f" {'without' if expr.without else 'by'} ({', '.join(expr.by)})" if expr.by else ""
    return f"{expr.op}{by} ({f'{quote(expr.parameter)}, ' if expr.parameter else ''}"


def _steps(expr: Subquery) -> str:
    return f"[{span(expr.window)}:{span(expr.step)}]{_ago(expr.offset)}"


def _range(window: Window | None) -> str:
    return "" if window is None else f"[{span(window)}]"


def _ago(offset: float) -> str:
    return f" offset {duration(offset)}" if offset else ""


def _braces(matchers: tuple[Matcher, ...]) -> str:
    inner = ",".join(f"{m.label}{m.op}{quote(m.value)}" for m in matchers)
    return f"{{{inner}}}" if inner else ""

"""The checks of how rules read series: over which ranges, with which functions, of which labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import promql_parser

from pipemon.catalogue import EXTERNAL, METRICS
from pipemon.generate.drift.constants import BASELINE
from pipemon.spec.expression import parse
from pipemon.units import duration

_OF_COUNTERS = {"rate", "increase", "irate", "resets"}
_OF_A_PUSHED_RUN = {"last_over_time"}
_ASK_WHETHER_THERE = {"absent", "absent_over_time", "count", "group", "timestamp"}
_PATTERN = re.compile(r"[.*+?|()\[\]{}^$\\]")
_TYPES = {
    name: "counter" if metric.type == "histogram" else metric.type
    for metric in (*METRICS.values(), *EXTERNAL.values())
    for name in metric.series
}
_LABELS = {name: metric.labels for metric in METRICS.values() for name in metric.series}
_OF_OTHERS = frozenset(
    name for metric in EXTERNAL.values() if "pipeline" not in metric.labels for name in metric.series
)
_PARTS: dict[type, tuple[str, ...]] = {
    promql_parser.AggregateExpr: ("expr", "param"),
    promql_parser.BinaryExpr: ("lhs", "rhs"),
    promql_parser.MatrixSelector: ("vector_selector",),
    promql_parser.ParenExpr: ("expr",),
    promql_parser.SubqueryExpr: ("expr",),
    promql_parser.UnaryExpr: ("expr",),
}
"""What is below a node, but for a function's arguments."""


def series_findings(
    rule: Mapping[str, Any],
    scrape_interval: float,
    interval: float,
    kept: Sequence[str],
    positive: Callable[[str], bool],
    pipeline: str = "pipeline",
) -> Iterator[tuple[str, str]]:
    """Yield (check, sentence) for each thing that is wrong with how a rule, evaluated each `interval`, reads.

    What a person wrote is in alerts; recording rules are pipemon's, and held to more. `positive` tells which
    recorded series are never nothing; `pipeline` is the label of exported ones that says whose they are.
    """
    # What names another's series as pipemon's leaves them as they are.
    if rule.get("record") not in _TYPES:
        yield from _types(parse(rule["expr"]), ())
    for node in nodes(rule["expr"]):
        match node:
            case promql_parser.MatrixSelector() | promql_parser.SubqueryExpr():
                yield from _range(node, scrape_interval, interval)
            case promql_parser.VectorSelector():
                yield from _selector(node, pipeline)
            case promql_parser.BinaryExpr() if (
                "record" in rule and str(node.op) == "/" and not _divides(node.rhs, positive)
            ):
                yield "promql/nan", f"it divides by {node.rhs}, which may be nothing; compare it: (... > 0)"
            case promql_parser.AggregateExpr() if "record" in rule:
                if lost := [label for label in kept if not _keeps(node, label) and _may_have(node, label)]:
                    yield "promql/aggregate", f"{node.op} drops the label {lost[0]}"


def _range(node: Any, scrape_interval: float, interval: float) -> Iterator[tuple[str, str]]:
    if isinstance(node, promql_parser.SubqueryExpr):
        apart = node.step.total_seconds() if node.step else interval
    else:
        apart = interval if ":" in (node.vector_selector.name or "") else scrape_interval
    if (width := node.range.total_seconds()) < 2 * apart:
        words = f"a range of {duration(width)} holds one point of those {duration(apart)} apart"
        yield "expressionDoesNotUseRangeShorterThan", words


def _types(node: Any, around: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with functions over series of the catalogue, of whose type it knows."""
    if isinstance(node, promql_parser.VectorSelector):
        name = node.name or ""
        type_, nearest = _TYPES.get(name, "counter" if name.endswith("_total") else ""), (around or ("",))[-1]
        if type_ == "gauge" and nearest in _OF_COUNTERS:
            yield "validFunctionsOnCounters", f"{nearest} of {node.name}, which is a gauge"
        elif type_ == "counter" and not {*around} & {*_OF_COUNTERS, *_OF_A_PUSHED_RUN, *_ASK_WHETHER_THERE}:
            yield "validFunctionsOnCounters", f"the counter {node.name} is read as it is; ask for its increase"
    called = called_by(node)
    for below in _below(node):
        yield from _types(below, (*around, called) if called else around)


def _selector(node: Any, pipeline: str) -> Iterator[tuple[str, str]]:
    matchers = list(node.matchers.matchers)
    if not node.name and not any(each.name == "__name__" for each in matchers):
        yield "expressionWithNoMetricName", f"{node} names no metric"
    named = {each.name for each in matchers}
    metric = _LABELS.get(node.name or "")
    if metric is not None and "pipeline" in metric and pipeline not in named:
        theirs = f"; pipemon's label arrives as {pipeline}" if "pipeline" in named else ""
        yield "promql/selector", f"{node.name} is read of every pipeline{theirs}"
    for each in matchers:
        if each.op in (promql_parser.MatchOp.Re, promql_parser.MatchOp.NotRe) and not _PATTERN.search(each.value):
            yield "promql/regexp", f"{each.name} is matched by a pattern that is none: {each.value!r}"


def never_nothing(records: Iterable[Mapping[str, Any]]) -> Callable[[str], bool]:
    """Return whether a recorded series is never nothing, by its name: what the rules of that name make it of."""
    exprs: dict[str, list[str]] = {}
    for rule in records:
        exprs.setdefault(rule["record"], []).append(rule["expr"])
    known: dict[str, bool] = {}

    def positive(name: str) -> bool:
        if name not in known:
            # One that reads itself is known by what else it reads.
            known[name] = False
            known[name] = name in exprs and all(_divides(parse(expr), positive) for expr in exprs[name])
            # A baseline without rare bins has no constants of them: nothing is divided then.
            known[name] |= name not in exprs and name.startswith(BASELINE)
        return known[name]

    return positive


def _divides(node: Any, positive: Callable[[str], bool]) -> bool:
    """Tell whether what is divided by is never nothing: a number, what is above one, or made of such."""

    def divides(part: Any) -> bool:
        return _divides(part, positive)

    match node:
        case promql_parser.ParenExpr() | promql_parser.AggregateExpr() if called_by(node) in ("", "min", "max", "sum"):
            return divides(node.expr)
        case promql_parser.BinaryExpr() if str(node.op) in ("and", "unless", "^"):
            return divides(node.lhs)
        case promql_parser.BinaryExpr() if str(node.op) in ("*", "/", "or"):
            return divides(node.lhs) and divides(node.rhs)
        case promql_parser.BinaryExpr() if str(node.op) == "+":
            return divides(node.lhs) or divides(node.rhs)
        case promql_parser.BinaryExpr() if str(node.op) == ">=":
            return divides(node.rhs)
        case promql_parser.BinaryExpr():
            return str(node.op) == ">"
        case promql_parser.Call():
            name = str(node.func.name)
            kept = ("sqrt", "abs", "vector", "label_replace")
            return name in ("clamp_min", "exp") or (name in kept and divides(node.args[0]))
        case promql_parser.VectorSelector():
            return positive(node.name or "")
        case _:
            return isinstance(node, promql_parser.NumberLiteral) and node.val != 0


def _keeps(node: Any, label: str) -> bool:
    if node.modifier is None:
        return False
    return bool((label in node.modifier.labels) == (node.modifier.type == promql_parser.AggModifierType.By))


def _may_have(node: Any, label: str) -> bool:
    """Tell whether any series below may have a label: not `pipeline`, where all are of other exporters."""
    names = {each.name or "" for each in walk(node) if isinstance(each, promql_parser.VectorSelector)}
    return label != "pipeline" or not names <= _OF_OTHERS


def called_by(node: object) -> str:
    """Return the function or aggregation that a node is, or ""."""
    if isinstance(node, promql_parser.Call):
        return str(node.func.name)
    return str(node.op) if isinstance(node, promql_parser.AggregateExpr) else ""


# Each check of an expression asks for them.
@lru_cache(maxsize=10)
def nodes(text: str) -> tuple[Any, ...]:
    """Return the nodes of an expression's syntax tree, each before those below it."""
    return tuple(walk(parse(text)))


def walk(node: Any) -> Iterator[Any]:
    """Yield a syntax tree's nodes, each before those below it."""
    yield node
    for below in _below(node):
        yield from walk(below)


def _below(node: Any) -> Iterator[Any]:
    if isinstance(node, promql_parser.Call):
        yield from node.args
    for part in _PARTS.get(type(node), ()):
        if (below := getattr(node, part)) is not None:
            yield below

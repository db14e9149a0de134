"""Which labels a query's series have, told from its parsed form: every metric and label it names must exist."""

from __future__ import annotations

import re
from collections.abc import Mapping

import promql_parser as promql

from pipemon import catalogue
from pipemon.generate.rules import rules
from pipemon.spec.model import Spec
from pipemon.spec.own_series import STANDS_FOR

Series = Mapping[str, frozenset[str]]
"""The labels of each series that exists, by its name."""


class UnknownNameError(AssertionError):
    """A query names a series or a label that does not exist where it is used."""


def known_series(spec: Spec) -> dict[str, frozenset[str]]:
    """Return what the pipeline exports, others export and the spec's rules record."""
    target = {"job", "instance", *spec.keep, *(k for k, _ in spec.select), *(k for k, _ in spec.targets)}
    known = {
        series: frozenset({*metric.labels, *target, *(("le",) if series.endswith("_bucket") else ())})
        for metric in (*catalogue.METRICS.values(), *catalogue.GPU_METRICS.values(), *catalogue.EXTERNAL.values())
        for series in metric.series
    }
    own = {name: labels | target for name, labels in own_names(spec).items()}
    recorded: dict[str, frozenset[str]] = {}
    for each in rules(spec).recordings:
        recorded[each.name] = recorded.get(each.name, frozenset()).union(
            each.labels, (label for label, _ in each.static)
        )
    return own | recorded | known


def own_names(spec: Spec) -> dict[str, frozenset[str]]:
    """The series that stages which are not decorated export, with the labels that their file names."""
    return {
        series.replace(STANDS_FOR[each.key].name, each.name): frozenset(
            {
                *(label for label, _, _ in (*each.matchers, *each.by_track)),
                *((each.version,) if each.version else ()),
                *(("le",) if series.endswith("_bucket") else ()),
            }
        )
        for stage in spec.stages
        for each in stage.series
        for series in STANDS_FOR[each.key].series
    }


def labels_of(query: str, series: Series) -> frozenset[str]:
    """Return the labels of what a query gives.

    Raises UnknownNameError for a series that is not in `series`, and for a label that a matcher, a
    grouping or a join names and its series don't have; ValueError if the query does not parse.
    """
    found = _labels(promql.parse(query), series, query)
    return frozenset() if found is None else found


def _labels(expr: object, series: Series, query: str) -> frozenset[str] | None:
    """The labels of a vector; None for a number or text."""
    match expr:
        case promql.NumberLiteral() | promql.StringLiteral():
            return None
        case promql.VectorSelector():
            names = _names(expr, series)
            if not names:
                raise UnknownNameError(f"no series {expr.name} in {query}")
            matchers = [m.name for m in expr.matchers.matchers if m.name != "__name__"]
            labels = frozenset.intersection(*(series[name] for name in names))
            return _within(matchers, labels, query, also=labels)
        case promql.MatrixSelector():
            return _labels(expr.vector_selector, series, query)
        case promql.SubqueryExpr() | promql.ParenExpr() | promql.UnaryExpr():
            return _labels(expr.expr, series, query)
        case promql.AggregateExpr():
            inner = _labels(expr.expr, series, query) or frozenset()
            made = frozenset({expr.param.val} if isinstance(expr.param, promql.StringLiteral) else ())
            if expr.modifier is None:
                return made
            if expr.modifier.type == promql.AggModifierType.By:
                return _within(expr.modifier.labels, inner, query) | made
            return inner - frozenset(expr.modifier.labels)
        case promql.Call():
            vectors = [found for arg in expr.args if (found := _labels(arg, series, query)) is not None]
            inner = frozenset[str]().union(*vectors)
            if expr.func.name in ("label_replace", "label_join"):
                return inner | {expr.args[1].val}
            if expr.func.name == "histogram_quantile":
                return inner - _within(("le",), inner, query)
            if expr.func.name in ("time", "scalar"):
                return None
            return frozenset() if expr.func.name == "vector" else inner
        case promql.BinaryExpr():
            return _joined(expr, series, query)
        case _:
            raise UnknownNameError(f"{type(expr).__name__} in {query}")


def _names(selector: promql.VectorSelector, series: Series) -> list[str]:
    """The series that a selector names, by its name or by a pattern of it."""
    patterns = [m.value for m in selector.matchers.matchers if m.name == "__name__"]
    return [name for name in series if name == selector.name or any(re.fullmatch(p, name) for p in patterns)]


def _joined(expr: promql.BinaryExpr, series: Series, query: str) -> frozenset[str] | None:
    left, right = _labels(expr.lhs, series, query), _labels(expr.rhs, series, query)
    if left is None or right is None:
        return right if left is None else left
    matching = expr.modifier.matching if expr.modifier else None
    if matching is not None and matching.type == promql.LabelModifierType.Exclude:
        # The side that has many has the ignored labels too.
        if left - frozenset(matching.labels) != right - frozenset(matching.labels):
            raise UnknownNameError(f"{sorted(left)} and {sorted(right)} never match in {query}")
        return left
    if matching is not None:
        _within(matching.labels, left, query)
        _within(matching.labels, right, query)
        if expr.modifier and expr.modifier.card == promql.VectorMatchCardinality.OneToOne:
            return frozenset(matching.labels)
        return left
    operator = str(expr.op)
    if operator not in ("or", "and", "unless") and left != right:
        raise UnknownNameError(f"{sorted(left)} {operator} {sorted(right)} never match in {query}")
    return left | right if operator == "or" else left


def _within(names: object, labels: frozenset[str], query: str, also: frozenset[str] | None = None) -> frozenset[str]:
    """Return `names`, or `also`, if all of them are labels."""
    wanted = frozenset(names)  # type: ignore[call-overload]
    if missing := wanted - labels:
        raise UnknownNameError(f"no label {', '.join(sorted(missing))} in {query}")
    return wanted if also is None else also

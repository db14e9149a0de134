"""Whether two expressions give the same whatever is exported: both in one normal form, of which each step is proved.

Two things are made alike, each by what follows from the expression itself:

- A matcher is written to each selector of which only series with that value matter. An aggregation `by` a label makes
  each group of one value. What is joined by a label finds partners with its own value of it only: where one side has
  one value, what the other has of others is no matter; of `unless` that is the right side, of `or` neither. What only
  matters for one value behind a join matters for it before, too. So a matcher that one side has lost is no fault where
  the other still has it and both are joined by its label; it is one where they are not, or where both have lost it.
- A label is left out of `on` where both sides have one and the same value of it. It is kept where the join gives it to
  its series: between one and one.

Joins fail where a side has two series for a match, be they of no matter: nothing is written behind one that might.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import promql_parser as promql

_ONE_VALUE = {"sum", "max", "min", "avg", "count", "group"}
_ELEMENTWISE = {"rate", "increase", "abs", "sqrt", "ceil", "floor", "exp", "ln"} | {
    f"{name}_over_time" for name in ("last", "avg", "max", "min", "sum", "count", "present")
}
"""Functions that make each series of one, with its labels."""

Labels = Mapping[str, str]
_NONE: Labels = {}


@lru_cache(maxsize=4000)
def normal_form(expr: str) -> object:
    """Return what two expressions have in common only if they give the same, as nested tuples."""
    return _written(promql.parse(expr), {})


def pinned(node: object, wanted: Labels = _NONE) -> Labels:
    """Return the labels of which all series of an expression, in its normal form, have one value, with that value."""
    match node:
        case promql.VectorSelector():
            own = {m.name: m.value for m in node.matchers.matchers if m.op == promql.MatchOp.Equal and m.value}
            return {**wanted, **own}
        case promql.MatrixSelector():
            return pinned(node.vector_selector, wanted)
        case promql.ParenExpr() | promql.SubqueryExpr() | promql.UnaryExpr():
            return pinned(node.expr, wanted)
        case promql.AggregateExpr() if _is_by(node):
            return _only(pinned(node.expr, _only(wanted, node)), node)
        case promql.Call() if node.func.name in _ELEMENTWISE:
            return pinned(node.args[0], wanted)
        case promql.BinaryExpr():
            return _pinned_of_join(node, wanted)
    return {}


def _pinned_of_join(node: promql.BinaryExpr, wanted: Labels) -> Labels:
    if _is_number(node.lhs) or _is_number(node.rhs):
        return pinned(node.rhs if _is_number(node.lhs) else node.lhs, wanted)
    for_left, for_right = _wanted_of_sides(node, wanted)
    left, right, op = pinned(node.lhs, for_left), pinned(node.rhs, for_right), str(node.op)
    if op == "or":
        return dict(left.items() & right.items())
    if op == "unless":
        return left
    matched = {label: value for label, value in right.items() if _matches(node, label)}
    if op == "and":
        return {**matched, **left}
    if node.modifier is not None and _is_many_to_one(node):
        # What `group_left` takes over is the other side's.
        return {label: value for label, value in left.items() if label not in (node.modifier.group_labels or ())}
    return {label: value for label, value in {**matched, **left}.items() if _matches(node, label)}


def _wanted_of_sides(node: promql.BinaryExpr, wanted: Labels) -> tuple[Labels, Labels]:
    """Return the labels of those series on the left, and on the right, that matter."""
    if not _is_sound(node):
        return {}, {}
    op, left, right = str(node.op), pinned(node.lhs), pinned(node.rhs)
    behind = {label: value for label, value in wanted.items() if _matches(node, label)}
    for_left, for_right = dict(behind), dict(behind)
    if op not in ("or", "unless"):
        for_left |= {label: value for label, value in right.items() if _matches(node, label)}
    if op != "or":
        for_right |= {label: value for label, value in left.items() if _matches(node, label)}
    return for_left, for_right


def _written(node: object, wanted: Labels) -> object:
    """Return the normal form of an expression of which only series with the `wanted` labels matter."""
    match node:
        case promql.VectorSelector():
            own = {(m.name, str(m.op), m.value) for m in node.matchers.matchers}
            own |= {(label, str(promql.MatchOp.Equal), value) for label, value in wanted.items()}
            return node.name, tuple(sorted(own)), str(node.offset), str(node.at)
        case promql.MatrixSelector():
            return _written(node.vector_selector, wanted), str(node.range)
        case promql.ParenExpr() | promql.UnaryExpr():
            return type(node).__name__, _written(node.expr, wanted)
        case promql.SubqueryExpr():
            return _written(node.expr, wanted), str(node.range), str(node.step), str(node.offset), str(node.at)
        case promql.AggregateExpr() if _is_by(node):
            return str(node.op), tuple(sorted(_by(node) or ())), _written(node.expr, _only(wanted, node))
        case promql.AggregateExpr():
            return str(node.op), str(node.modifier and node.modifier.labels), str(node.param), _written(node.expr, {})
        case promql.Call():
            keeps = node.func.name in _ELEMENTWISE
            return node.func.name, tuple(_written(arg, wanted if keeps else {}) for arg in node.args)
        case promql.BinaryExpr():
            return _written_join(node, wanted)
    return str(node)


def _written_join(node: promql.BinaryExpr, wanted: Labels) -> object:
    op, on = str(node.op), _on(node)
    if _is_number(node.lhs) or _is_number(node.rhs):
        returns = bool(node.modifier and node.modifier.return_bool)
        return op, returns, _written(node.lhs, wanted), _written(node.rhs, wanted)
    for_left, for_right = _wanted_of_sides(node, wanted)
    left, right = pinned(node.lhs, for_left), pinned(node.rhs, for_right)
    shown: object = (
        None
        if node.modifier is None
        else (
            str(node.modifier.card),
            None if node.modifier.matching is None else str(node.modifier.matching.type),
            node.modifier.return_bool,
            str(node.modifier.group_labels),
        )
    )
    labels = None if node.modifier is None or node.modifier.matching is None else node.modifier.matching.labels
    if on is not None and (op in ("and", "or", "unless") or _is_many_to_one(node)):
        labels = [label for label in on if left.get(label, "") != right.get(label)]
    joined = None if labels is None else tuple(sorted(labels))
    return op, shown, joined, _written(node.lhs, for_left), _written(node.rhs, for_right)


def _is_sound(node: promql.BinaryExpr) -> bool:
    """Tell whether no match of a join can have two series on a side that may have one only."""
    if node.modifier is None or node.modifier.matching is None:
        return True  # a whole set of labels is there once
    if _on(node) is None:
        return False
    if str(node.op) in ("and", "or", "unless"):
        return True  # of these, any side may have several
    sides = [node.rhs] if _is_many_to_one(node) else [node.lhs, node.rhs]
    return all((kept := _kept(side)) is not None and kept <= set(_on(node) or ()) for side in sides)


def _kept(node: object) -> set[str] | None:
    """Return the only labels that the series of an expression have, None where that can't be told."""
    match node:
        case promql.ParenExpr():
            return _kept(node.expr)
        case promql.AggregateExpr():
            return set(_by(node) or ()) if _is_by(node) else None
        case promql.BinaryExpr() if _is_number(node.rhs):
            return _kept(node.lhs)
        case promql.BinaryExpr() if _is_number(node.lhs):
            return _kept(node.rhs)
    return None


def _is_by(node: promql.AggregateExpr) -> bool:
    """Tell whether an aggregation makes one series of each group, and its labels are those that it is by."""
    return _by(node) is not None and str(node.op) in _ONE_VALUE


def _only(labels: Labels, node: promql.AggregateExpr) -> Labels:
    """Return the labels, of some, that an aggregation is by."""
    return {label: value for label, value in labels.items() if label in (_by(node) or ())}


def _by(node: promql.AggregateExpr) -> tuple[str, ...] | None:
    if node.modifier is None or node.modifier.type != promql.AggModifierType.By:
        return None
    return tuple(node.modifier.labels)


def _on(node: promql.BinaryExpr) -> tuple[str, ...] | None:
    matching = node.modifier.matching if node.modifier else None
    if matching is None or matching.type != promql.LabelModifierType.Include:
        return None
    return tuple(matching.labels)


def _matches(node: promql.BinaryExpr, label: str) -> bool:
    """Tell whether series are joined by a label."""
    matching = node.modifier.matching if node.modifier else None
    if matching is None:
        return True
    return (label in matching.labels) == bool(matching.type == promql.LabelModifierType.Include)


def _is_many_to_one(node: promql.BinaryExpr) -> bool:
    return node.modifier is not None and str(node.modifier.card) == str(promql.VectorMatchCardinality.ManyToOne)


def _is_number(node: object) -> bool:
    match node:
        case promql.NumberLiteral():
            return True
        case promql.ParenExpr() | promql.UnaryExpr():
            return _is_number(node.expr)
        case promql.Call():
            return node.func.name in ("time", "scalar")
        case promql.BinaryExpr():
            return _is_number(node.lhs) and _is_number(node.rhs)
    return False

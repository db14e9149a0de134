"""The PromQL of a `promql` signal and the series that test it: checked before they go into rules and tests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import promql_parser

from pipemon.spec.reader import shown

_LONGEST = 4000
_DEEPEST = 100
# Strings and comments, which hide what looks like an expression.
OPAQUE = r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|\#[^\n]*)"""
_PLACED = re.compile(rf"{OPAQUE}|\[[^\]]*\]|\boffset\s*(?:-\s*)?\w+|\{{[^}}]*\}}")
_TIME_AS_NUMBER = re.compile(r"(?<![\w.:])[0-9]+(?:ms|[smhdwy])\b")
_NO_ALERT = {
    "MatrixSelector": "a range of values",
    "SubqueryExpr": "a range of values",
    "StringLiteral": "a text",
}
_SERIES = re.compile(r"([^\s{]*(?:\{.*\})?)\s+(\S.*)")
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?|inf|nan)"
_VALUE = re.compile(
    rf"(?:(?:_|stale|[+-]?{_NUMBER})|[+-]?{_NUMBER}[+-]{_NUMBER}x[0-9]{{1,5}}|(?:_|[+-]?{_NUMBER})x[0-9]{{1,5}})", re.I
)


def fault(text: str) -> str:
    """Return what keeps PromQL from being an alert's expression in every supported Prometheus, or ""."""
    # The parser recurses in native code, where too much would end the process.
    if len(text) > _LONGEST:
        return f"longer than {_LONGEST} characters; record parts of it with rules of your own"
    bare = re.sub(OPAQUE, '""', text)
    if _depth(bare) > _DEEPEST:
        return f"brackets nested more than {_DEEPEST} deep"
    try:
        parsed = parse(text)
    except ValueError as error:
        return f"not PromQL: {' '.join(str(error).split())}"
    while isinstance(parsed, promql_parser.ParenExpr):
        parsed = parsed.expr
    if found := _NO_ALERT.get(type(parsed).__name__):
        return f"an alert needs one value a series; this is {found}"
    if _scalar(parsed):
        return "an alert needs series, and is held by each that the expression returns; this is a lone number"
    if number := _TIME_AS_NUMBER.search(_PLACED.sub(" ", text)):
        return f"a duration as a number ({number[0]}) needs Prometheus 3; write it in seconds"
    return ""


# Each check of an expression asks for it.
@lru_cache(maxsize=100)
def parse(text: str) -> object:
    """Return the syntax tree of PromQL. Raises ValueError for what is not PromQL."""

    # The parser takes a backslash in backticks for an escape; Prometheus does not.
    def quoted(found: re.Match[str]) -> str:
        inner = found[0][1:-1].replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{inner}"' if found[0].startswith("`") else found[0]

    return promql_parser.parse(re.sub(OPAQUE, quoted, text) if "`" in text else text)


def uncommented(text: str) -> str:
    """Return PromQL without its comments, which would hide what a rule puts behind it."""
    return re.sub(OPAQUE, lambda found: "" if found[0].startswith("#") else found[0], text).strip()


def series_fault(text: str) -> str:
    """Return what is wrong with a series of a rule test, such as `errors{code="503"} 0+60x100`, or ""."""
    match = _SERIES.fullmatch(text)
    if not match:
        return f"expected a series and its values, such as 'errors{{code=\"503\"}} 0+60x100', found {shown(text)}"
    if wrong := fault(match[1]):
        return wrong
    if not isinstance(parse(match[1]), promql_parser.VectorSelector):
        return f"expected one series, found {shown(match[1])}"
    for value in match[2].split():
        if not _VALUE.fullmatch(value):
            return f"expected values such as 5, _ or 0+60x100, found {shown(value)}"
    return ""


def may_keep(text: str, labels: Iterable[str]) -> bool:
    """Tell whether what an expression returns may have one of `labels`: its aggregations do not drop all of them."""
    asked = set(labels)
    left = [parse(text)]
    while left:
        match expr := left.pop():
            case promql_parser.AggregateExpr():
                modifier = expr.modifier
                if modifier is None:
                    continue
                named = asked & set(modifier.labels)
                if modifier.type == promql_parser.AggModifierType.By:
                    if named:
                        return True
                elif named < asked:
                    return True
            case promql_parser.ParenExpr() | promql_parser.UnaryExpr():
                left.append(expr.expr)
            case promql_parser.BinaryExpr():
                left += [expr.lhs, expr.rhs]
            case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
                pass
            case promql_parser.Call():
                left += list(expr.args)
            case _:
                return True
    return False


def _scalar(parsed: object) -> bool:
    # No recursion: a sum may be as long as the text.
    left = [parsed]
    while left:
        match expr := left.pop():
            case promql_parser.ParenExpr() | promql_parser.UnaryExpr():
                left.append(expr.expr)
            case promql_parser.BinaryExpr():
                left += [expr.lhs, expr.rhs]
            case promql_parser.NumberLiteral():
                pass
            case promql_parser.Call() if expr.func.return_type == promql_parser.ValueType.Scalar:
                pass
            case _:
                return False
    return True


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest

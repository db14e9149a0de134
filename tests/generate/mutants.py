"""Small faults put into the rules of a generated file, one at a time, as a careless edit would."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from pipemon.units import duration, seconds

_FLIPPED = {">": "<", "<": ">", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}
_COMPARISON = re.compile(r"(?<![=!<>~\"])(==|!=|>=|<=|>|<)(?=\s+-?\d)")
_THRESHOLD = re.compile(r"((?:==|!=|>=|<=|>|<)\s+)(-?\d+(?:\.\d+)?)")
_WINDOW = re.compile(r"\[(\w+)\]")
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"[^"]*"')
_LOGICAL = re.compile(r"^ *(and|or)\b", re.MULTILINE)
_SUM = re.compile(r"\bsum\b")
_GROUPING = re.compile(r"\b(by|on) \(([^)]*)\)")
_WHETHER = re.compile(r"\band on \([^)]*\)\s+\((?=sum by \([^)]*\) \(increase\([^()]*\)\) > 0\))")
"""Before a sum that only tells whether there is any."""


@dataclass(frozen=True)
class Mutant:
    """A rule with one fault, and in words what it is; `rule` is the sound rule."""

    what: str
    rule: dict[str, Any]
    changed: dict[str, Any]
    family: str
    """What kind of fault it is: comparison, threshold, window, duration, label, matcher, operator, aggregation."""


def mutants(document: dict[str, Any], selected: Collection[str] = ()) -> Iterator[Mutant]:
    """Yield every mutant: comparisons flipped, thresholds and times doubled, times halved, labels dropped, sums not.

    Left out is what is the same rule in other words:

    - Every selector has the pipeline and the `selected` labels, so both sides of a match have the one value of each:
      that an `on` does not name them is no fault.
    - A quantile of average buckets is that of their sum: the average is the sum over the number of the replicas, the
      same for each bucket, and a quantile depends on their ratios only.
    - A label that a rule sets is no other than that of all its series where each of its selectors, or the one before
      its first `unless`, picks that value and each of its aggregations keeps it: it tells rules of one name apart.
    - An increase is never below 0, so that a sum of some is above 0 where the largest of them is, or their average:
      where `and` only asks for that, all three are the same.
    """
    fixed = {"pipeline", *selected}
    for group in document["groups"]:
        for rule in group["rules"]:
            name = rule.get("alert") or rule["record"]
            for family, what, changed in _changed(rule, fixed):
                yield Mutant(f"{name}: {what}", rule, changed, family)


def _changed(rule: dict[str, Any], fixed: Collection[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    expr: str = rule["expr"]
    for family, what, text in _expressions(expr, fixed):
        yield family, what, {**rule, "expr": text}
    for key in ("for", "keep_firing_for"):
        if key in rule:
            yield "duration", f"{key} doubled", {**rule, key: duration(2 * seconds(rule[key]))}
            yield "duration", f"{key} halved", {**rule, key: duration(seconds(rule[key]) / 2)}
            yield "duration", f"{key} dropped", {name: value for name, value in rule.items() if name != key}
    for label in rule.get("labels", {}):
        if "record" in rule and _is_kept(expr, label, rule["labels"][label], fixed):
            continue
        labels = {name: value for name, value in rule["labels"].items() if name != label}
        yield "label", f"label {label} dropped", {**rule, "labels": labels}


def _is_kept(expr: str, label: str, value: str, fixed: Collection[str]) -> bool:
    """Tell whether the series of an expression have a label with that value by themselves."""
    kept = re.split(r"\sunless\b", expr)[0]
    groups = [match[2].split(", ") for match in _GROUPING.finditer(kept) if match[1] == "by"]
    picked = re.findall(r"\{([^}]*)\}", kept)
    return (
        bool(groups and picked)
        and all(label in group for group in groups)
        and (label in fixed or all(f'{label}="{value}"' in matchers.split(",") for matchers in picked))
    )


def _expressions(expr: str, fixed: Collection[str]) -> Iterator[tuple[str, str, str]]:
    for match in _COMPARISON.finditer(expr):
        yield "comparison", f"{match[1]} flipped", _with(expr, match.span(1), _FLIPPED[match[1]])
    for match in _THRESHOLD.finditer(expr):
        if float(match[2]):
            yield "threshold", f"threshold {match[2]} doubled", _with(expr, match.span(2), f"{2 * float(match[2]):g}")
    for match in _WINDOW.finditer(expr):
        yield "window", f"window {match[1]} doubled", _with(expr, match.span(1), duration(2 * seconds(match[1])))
    for matcher in dict.fromkeys(match[0] for match in _MATCHER.finditer(expr)):
        # From every selector: what one side of a join has lost, the other still picks.
        yield (
            "matcher",
            f"matcher {matcher} dropped",
            expr.replace(f"{matcher},", "").replace(f",{matcher}", "").replace(matcher, ""),
        )
    for match in _LOGICAL.finditer(expr):
        other = {"and": "or", "or": "and"}[match[1]]
        yield "operator", f"{match[1]} made {other}", _with(expr, match.span(1), other)
    whether = {match.end() for match in _WHETHER.finditer(expr)}
    for match in _SUM.finditer(expr):
        if match.start() in whether:
            continue
        for other in ("max",) if "histogram_quantile(" in expr else ("max", "avg"):
            yield "aggregation", f"sum made {other}", _with(expr, match.span(), other)
    for match in _GROUPING.finditer(expr):
        labels = match[2].split(", ") if match[2] else []
        for label in labels:
            if match[1] == "on" and label in fixed:
                continue
            kept = ", ".join(other for other in labels if other != label)
            yield "label", f"{label} dropped from {match[1]}", _with(expr, match.span(2), kept)


def _with(text: str, span: tuple[int, int], new: str) -> str:
    return text[: span[0]] + new + text[span[1] :]

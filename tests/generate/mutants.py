"""Small faults put into the rules of a generated file, one at a time, as a careless edit would."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from same_rule import normal_form

from pipemon.units import duration, seconds

_FLIPPED = {">": "<", "<": ">", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}
_COMPARISON = re.compile(r"(?<![=!<>~\"])(==|!=|>=|<=|>|<)(?=\s+-?\d)")
_THRESHOLD = re.compile(r"((?:==|!=|>=|<=|>|<)\s+)(-?\d+(?:\.\d+)?)")
_WINDOW = re.compile(r"\[(\w+)(?=[\]:])")
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"[^"]*"')
_LOGICAL = re.compile(r"^ *(and|or)\b", re.MULTILINE)
_SUM = re.compile(r"\bsum\b")
_GROUPING = re.compile(r"\b(by|on) \(([^)]*)\)")
_SELECTOR = re.compile(r"(?<![\w:\"])(?:(\w+)(?=\{)|(\w+:[\w:]+))(?:\{([^}]*)\})?")
"""The name of what is exported, or recorded, and its matchers."""
_OF_EXPORTED = re.compile(r"\bby \(([^)]*)\) \(\s*(?:\w+\(\s*)*(?!ALERTS)\w+\{([^}]*)\}")
"""What a rule reads of what is exported: its own alert only says when it records, and gives no series its labels."""
_OF_A_CONSTANT = re.compile(r"\)(?: group_left \([^)]*\))?\s+[(\s]*pipemon:")
_NOTHING = re.compile(r'(label_replace\(\s*0 \* [\w:]+)\{[^}]*le="\+Inf"\}(?=,\s*"below")')
"""A bucket that is only there to be 0 below the first bound."""
_WHETHER = re.compile(
    r"\band on \([^)]*\)[\s(]+"
    r"(?=sum by \([^)]*\) \(\s*(?:increase\(|last_over_time\(\w+_total\{)[^()]*\)\s*\) > 0)"
)
"""Before a sum that only tells whether there is any."""
_SKIPPED = re.compile(r"-\s+sum by \(([^)]*)\) \(\s*\w+\(pipemon_stage_skipped_total\{([^}]*)\}")
"""What is subtracted from recorded calls."""


@dataclass(frozen=True)
class Mutant:
    """A rule with one fault, and in words what it is; `rule` is the sound rule."""

    what: str
    rule: dict[str, Any]
    changed: dict[str, Any]
    family: str
    """What kind of fault it is: comparison, threshold, window, duration, label, matcher, operator, aggregation."""


def mutants(document: dict[str, Any]) -> Iterator[Mutant]:
    """Yield every mutant: comparisons flipped, thresholds and times doubled, times halved, labels dropped, sums not.

    Left out is what is the same rule in other words:

    - Of a label of which each selector of an expression picks the one value, both sides of a match have that: that an
      `on` does not name it is no fault. A failure mode is one value of what its own rules read by its name: its stage,
      track and feature, where each of those that read what is exported picks the one, and what these rules set. A
      constant is of no failure mode: what it is joined by is all that picks it.
    - Nor is it a fault that the outermost `by` does not name a label with one value which the rule sets anyway.
    - A quantile of average buckets is that of their sum: the average is the sum over the number of the replicas, the
      same for each bucket, and a quantile depends on their ratios only.
    - A label that a rule sets is no other than that of all its series where they have one value, that one, before its
      first `unless`, and each aggregation keeps it: it tells rules of one name apart.
      What `and` and `unless` leave of series are these series, and those of all sides of an `or` must have it.
    - A count times 0 is 0, of whichever bucket, and of several the largest is taken: which one is picked is no matter.
    - An increase is never below 0, nor is a counter, so that a sum of some is above 0 where the largest of them is, or
      their average: where `and` only asks for that, all three are the same.
    - What `same_rule` proves to be the same: what a join picks by itself, of which all that matters has one value.
    - Skipped calls of another track find no calls that they would be subtracted from, where these are recorded of one.
    """
    rules = [rule for group in document["groups"] for rule in group["rules"]]
    modes = _of_modes(rules)
    for rule in rules:
        name = rule.get("alert") or rule["record"]
        sound = normal_form(rule["expr"])
        for family, what, changed in _changed(rule, modes):
            is_other = changed["expr"] != rule["expr"]
            if is_other and family in ("matcher", "label") and sound == normal_form(changed["expr"]):
                continue
            yield Mutant(f"{name}: {what}", rule, changed, family)


Modes = Mapping[str, Mapping[str, str]]
"""Labels of which all that the rules of a failure mode record has one value, with that value."""


def _of_modes(rules: Collection[dict[str, Any]]) -> Modes:
    said: dict[str, dict[str, set[str]]] = {}
    for rule in rules:
        mode = rule.get("labels", {}).get("failure_mode")
        if "record" not in rule or mode is None:
            continue
        labels = said.setdefault(mode, {})
        for label, value in rule["labels"].items():
            labels.setdefault(label, set()).add(value)
        for kept, matchers in _OF_EXPORTED.findall(rule["expr"]):
            picked = _picked(matchers)
            for label in kept.split(", "):
                labels.setdefault(label, set()).add(picked.get(label, ""))
    return {
        mode: {label: min(values) for label, values in labels.items() if len(values) == 1 and "" not in values}
        for mode, labels in said.items()
    }


def _picked(matchers: str) -> dict[str, str]:
    return dict(re.findall(r'(\w+)="([^"]*)"', matchers))


def _single(expr: str, modes: Modes) -> dict[str, str]:
    """Return the labels of which each selector of an expression picks the one value, but for constants."""
    found: dict[str, str] | None = None
    for exported, recorded, matchers in _SELECTOR.findall(expr):
        if recorded.startswith("pipemon:"):
            continue
        picked = _picked(matchers)
        if not exported:
            picked = {**modes.get(picked.get("failure_mode", ""), {}), **picked}
        found = picked if found is None else dict(found.items() & picked.items())
    return found or {}


def _changed(rule: dict[str, Any], modes: Modes) -> Iterator[tuple[str, str, dict[str, Any]]]:
    expr: str = rule["expr"]
    for family, what, text in _expressions(expr, _single(expr, modes), rule.get("labels", {})):
        yield family, what, {**rule, "expr": text}
    for key in ("for", "keep_firing_for"):
        if key in rule:
            yield "duration", f"{key} doubled", {**rule, key: duration(2 * seconds(rule[key]))}
            yield "duration", f"{key} halved", {**rule, key: duration(seconds(rule[key]) / 2)}
            yield "duration", f"{key} dropped", {name: value for name, value in rule.items() if name != key}
    for label in rule.get("labels", {}):
        if "record" in rule and _is_kept(expr, label, rule["labels"][label], modes):
            continue
        labels = {name: value for name, value in rule["labels"].items() if name != label}
        yield "label", f"label {label} dropped", {**rule, "labels": labels}


def _is_kept(expr: str, label: str, value: str, modes: Modes) -> bool:
    """Tell whether the series of an expression have a label with that value by themselves."""
    for side in re.split(r"^or$", expr, flags=re.MULTILINE):
        kept = re.split(r"\s(?:and|unless)\b", side)[0]
        groups = [match[2].split(", ") for match in _GROUPING.finditer(kept) if match[1] == "by"]
        if _single(kept, modes).get(label) != value or not all(label in group for group in groups):
            return False
    return True


def _is_outermost(expr: str, at: int) -> bool:
    """Tell whether an aggregation, whose labels begin at a place, makes the series of the expression."""
    if not re.fullmatch(r"[\w\s(]*\b(?:by) \(", expr[:at]):
        return False
    begin = expr.index("(", expr.index(")", at))
    depth = 0
    for end, each in enumerate(expr[begin:], begin):
        depth += {"(": 1, ")": -1}.get(each, 0)
        if not depth:
            return re.fullmatch(r"[\s)]*(?:[<>=/*]+ [\d.]+[\s)]*)*", expr[end + 1 :]) is not None
    return False


def _expressions(expr: str, single: Mapping[str, str], told: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for match in _COMPARISON.finditer(expr):
        yield "comparison", f"{match[1]} flipped", _with(expr, match.span(1), _FLIPPED[match[1]])
    for match in _THRESHOLD.finditer(expr):
        if float(match[2]):
            yield "threshold", f"threshold {match[2]} doubled", _with(expr, match.span(2), f"{2 * float(match[2]):g}")
    for match in _WINDOW.finditer(expr):
        yield "window", f"window {match[1]} doubled", _with(expr, match.span(1), duration(2 * seconds(match[1])))
    of_nothing = _NOTHING.sub(r"\1", expr)
    found = _SKIPPED.search(expr)
    if found is not None and "track" in found[1].split(", "):
        of_nothing = of_nothing.replace(f',track="{_picked(found[2])["track"]}"', "")
    for matcher in dict.fromkeys(match[0] for match in _MATCHER.finditer(of_nothing)):
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
            if label in single and match[1] == "on" and not _OF_A_CONSTANT.match(expr, match.end() - 1):
                continue
            if label in single and match[1] == "by" and label in told and _is_outermost(expr, match.start(2)):
                continue
            kept = ", ".join(other for other in labels if other != label)
            yield "label", f"{label} dropped from {match[1]}", _with(expr, match.span(2), kept)


def _with(text: str, span: tuple[int, int], new: str) -> str:
    return text[: span[0]] + new + text[span[1] :]

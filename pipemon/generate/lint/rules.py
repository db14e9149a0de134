"""The checks of rule groups, as Prometheus would read them from the file."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import promql_parser

from pipemon.catalogue import METRICS
from pipemon.generate.annotations import SENTENCE_ENDS
from pipemon.generate.lint.series import called_by, never_nothing, nodes, series_findings, walk
from pipemon.generate.lint.targets import unknown
from pipemon.spec.expression import parse
from pipemon.spec.fields import ADDRESS, listed
from pipemon.units import duration, seconds

Found = tuple[str, str, str]
Group = Mapping[str, Any]

_EXPORTED = frozenset(name for metric in METRICS.values() for name in metric.series)
_LOOKBACK = 300.0
_COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}
_RATES = {"rate", "increase", "irate", "delta", "idelta"}
_FRAGILE = {"topk", "bottomk", "limitk", "limit_ratio", "irate", "idelta"}
_READ_BY_ROUTES = ("failure_mode", "kind", "severity", "owner")
_TEMPLATE = re.compile(r"\{\{[^}]*[$.]")
_ABSENT = {"absent", "absent_over_time"}
_LEVEL_METRIC_OPERATIONS = re.compile(r"[a-z_]\w*(?::[a-zA-Z_]\w*){2}")
_STRING_OF_NAMES = re.compile(r'"[\w-]+(?:\|[\w-]+)*"')
_ASKED = re.compile(r"(?<!\| )(?:query|printf) (`[^`]*`|\"(?:\\.|[^\"\\])*\")")


def rule_findings(
    groups: Sequence[Group],
    severities: Sequence[str],
    scrape_interval: float,
    versions: tuple[str, ...],
    kept: Sequence[str] = (),
    pipeline: str = "pipeline",
) -> Iterator[Found]:
    """Yield (check, rule, sentence) for each thing that is wrong with the groups of a file.

    `kept` are the labels that no aggregation of a recording rule may drop, `pipeline` is the one that tells in what is
    exported whose it is, as it arrives.
    """
    records = {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}
    recorded = never_nothing(rule for group in groups for rule in group["rules"] if "record" in rule)
    named: set[tuple[object, ...]] = set()
    before: set[str] = set()
    levels = tuple({f"{record.split(':')[0]}:pipemon_" for record in records})
    for group in groups:
        if seconds(group["interval"]) > _LOOKBACK:
            yield "group/interval", group["name"], f"it is evaluated every {group['interval']}, beyond 5m"
        later = Counter(rule["record"] for rule in group["rules"] if "record" in rule)
        for rule in group["rules"]:
            name = str(rule.get("alert") or rule["record"])
            identity = (name, *sorted(rule.get("labels", {}).items()))
            if identity in named:
                yield "rule/duplicate", name, "there is another rule of this name and labels"
            named.add(identity)
            yield from ((check, name, words) for check, words in _expr(rule, group, scrape_interval, versions))
            reading = series_findings(rule, scrape_interval, seconds(group["interval"]), kept, recorded, pipeline)
            yield from ((check, name, words) for check, words in reading)
            unread = _series(rule["expr"])
            for read in sorted(each for each in unread if ":" in each):
                # What others record is not ours to know.
                if read not in records and read.startswith(levels):
                    yield "rule/dependency", name, f"it reads {read}, which no rule records"
                # One that reads its own past reads what was recorded before.
                elif later[read] and read not in before and read != name:
                    yield "rule/dependency", name, f"it reads {read}, which is recorded only after it"
            if "record" in rule:
                # What is named as the exporter names it stands for what a stage exports of its own.
                if name not in _EXPORTED and not _LEVEL_METRIC_OPERATIONS.fullmatch(name):
                    yield "rule/name", name, "it is not named as a level, a metric and operations: stage:calls:rate5m"
                later[rule["record"]] -= 1
                before.add(rule["record"])
            else:
                yield from ((check, name, words) for check, words in _alert(rule, group, severities))


def _expr(
    rule: Mapping[str, Any], group: Group, scrape_interval: float, versions: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    for node in nodes(rule["expr"]):
        called = called_by(node)
        if words := called and unknown(called, versions):
            yield "promql/functions", words
        if called in _FRAGILE and "alert" in rule:
            yield "promql/fragile", f"{called} picks other series from one evaluation to the next"
        if called not in _RATES or not isinstance(node, promql_parser.Call):
            continue
        (window,) = node.args
        if isinstance(window, promql_parser.MatrixSelector):
            width = window.range.total_seconds()
            # A step of a cumulative sum is seen once, and can't be longer than Prometheus looks back.
            scrapes = 2 if "record" in rule and width == seconds(group["interval"]) else 4
            if width < (least := scrapes * scrape_interval):
                too_few = f"is under {'two' if scrapes == 2 else 'four'} scrape intervals ({duration(least)})"
                yield "promql/rate", f"{called} over {duration(width)} {too_few}"
        elif any(isinstance(each, promql_parser.AggregateExpr) for each in walk(window)):
            yield "rateBeforeAggregation", f"{called} of a sum; sum the rates instead"


def _alert(rule: Mapping[str, Any], group: Group, severities: Sequence[str]) -> Iterator[tuple[str, str]]:
    if not any(_is_condition(node) for node in nodes(rule["expr"])):
        yield "alerts/comparison", "its expression compares nothing, so it fires on any data"
    if 0 < seconds(rule.get("for", "0s")) < 2 * seconds(group["interval"]):
        yield "alerts/for", f"a for of {rule['for']} is under two evaluations of {group['interval']}"
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", rule["alert"]):
        yield "alert-name-camelcase", "its name is not in CamelCase"
    labels, notes = rule.get("labels", {}), rule.get("annotations", {})
    if labels.get("severity") not in severities:
        yield "alert-severity-rule", f"its severity is {labels.get('severity')!r}; expected {', '.join(severities)}"
    for label, value in labels.items():
        if not value:
            yield "nonEmptyLabels", f"its label {label} is empty"
        if re.search(r"\{\{[^}]*(?:\$value|\.Value)", value):
            yield "alerts/template", f"its label {label} changes with the value"
    if lost := [label for label in _READ_BY_ROUTES if label not in labels]:
        yield "rule/label", f"it has no label {listed(lost)}"
    if _TEMPLATE.search(notes.get("summary", "")):
        yield "alert-summary-templating", "its summary is a template; the description tells what changes"
    for note in ("summary", "description"):
        if not notes.get(note):
            yield f"alert-{note}-missing-rule", f"it has no {note}"
    if (summary := notes.get("summary")) and (summary[0].islower() or not summary.endswith(SENTENCE_ENDS)):
        yield "alert-summary-style", "its summary is no sentence: a capital first, a full stop last"
    if (words := notes.get("description")) and "{{" not in words and not _tells_absence(rule["expr"]):
        yield "alert-description-templating", "its description is the same whatever the value"
    for note, text in notes.items():
        if any(not _is_query(asked) for asked in _ASKED.findall(text)):
            yield "annotationIsValidPromQL", f"what its {note} asks Prometheus is not PromQL"
    for note in ("runbook_url", "dashboard_url"):
        if note in notes and not ADDRESS.fullmatch(notes[note]):
            yield "annotationIsValidURL", f"its {note} is no address of the web: {notes[note]!r}"


def _is_query(string: str) -> bool:
    """Tell whether a string of Go's templates is PromQL, once a label's value is put in for each %q."""
    text = string[1:-1] if string.startswith("`") else json.loads(string)
    # Most queries differ in names alone, and are then parsed once: one name is as good as another, or as several.
    text = _STRING_OF_NAMES.sub('"x"', text.replace("%q", '"x"').replace("%%", "%"))
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _is_condition(node: object) -> bool:
    if isinstance(node, promql_parser.BinaryExpr):
        return str(node.op) in {*_COMPARISONS, "unless"} and "bool" not in str(node.modifier)
    return called_by(node) in _ABSENT


def _tells_absence(expr: str) -> bool:
    """Tell whether an alert is of what is not there, which has no value to tell."""
    return any(called_by(node) in _ABSENT for node in nodes(expr))


def _series(expr: str) -> set[str]:
    found = (node.name for node in nodes(expr) if isinstance(node, promql_parser.VectorSelector))
    return {name for name in found if name}

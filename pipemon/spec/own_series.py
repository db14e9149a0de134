"""The series of a stage that is not decorated, as its file names them: what of the catalogue they stand for."""

from __future__ import annotations

import re
from dataclasses import fields as fields_of

import promql_parser

from pipemon import catalogue as c
from pipemon.catalogue import Metric
from pipemon.spec import fields
from pipemon.spec.expression import fault, parse
from pipemon.spec.fields import Report
from pipemon.spec.reader import Items, Mapping, Node, kind, shown
from pipemon.spec.reads import Counted
from pipemon.spec.signals import SIGNALS, Signal
from pipemon.topology import OwnSeries, StageShape

STANDS_FOR: dict[str, Metric] = {
    "calls": c.STAGE_CALLS,
    "failures": c.STAGE_FAILURES,
    "null_outputs": c.STAGE_NULL_OUTPUTS,
    "duration": c.STAGE_DURATION,
    "in_progress": c.STAGE_IN_PROGRESS,
}
"""The words of a file, and what each is of a stage."""

VERSIONS = ("version", "canary")
"""The words that tell versions of the model apart."""

_WRITTEN = ("pipeline", "stage", "version", "track", "series")
"""Labels that the rules give the series of a service."""

_LEARNED_LATER = {"feedback": "feedback", "quality": "scores", "agreement": "candidates"}
"""Signals of what another service tells of the stage's outputs, and where a file declares it."""
_OPERATORS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
_SUFFIX = re.compile(r"_(?:bucket|count|sum)$")
_UNITS = {"ms": 1e-3, "milliseconds": 1e-3, "us": 1e-6, "microseconds": 1e-6, "ns": 1e-9, "nanoseconds": 1e-9}
_NOT_SECONDS = re.compile(rf"_({'|'.join(_UNITS)}|minutes)(?:_|$)")


def own_series(report: Report, body: Mapping, where: str) -> tuple[tuple[OwnSeries, ...], tuple[float, ...]]:
    """Return the series that a stage's body names, and the bounds of its durations in seconds."""
    found: list[OwnSeries] = []
    bounds: tuple[float, ...] = ()
    for key, metric in STANDS_FOR.items():
        node = body.get(key)
        if node is None:
            continue
        at = f"{where}: {key}"
        if metric.type == "histogram":
            named, bounds = _histogram(report, node, at)
            found += [OwnSeries(key, *named, unit=_unit(named[0]))] if named else []
        else:
            found += [OwnSeries(key, *named) for named in _counters(report, node, at)]
    found = _versions(report, body, found, where)
    given = [key for key in (*STANDS_FOR, *VERSIONS) if body.get(key) is not None]
    if given and body.get("calls") is None:
        message = f"{where}: {given[0]}: nothing is told without `calls`; name the counter of its calls"
        report.add(body.key(given[0]), message, "missing")
    calls, failures = ([own.name for own in found if own.key == key] for key in ("calls", "failures"))
    if calls and failures and all("success" in name for name in calls) and not {*calls} & {*failures}:
        missing = fields.listed(failures, "and")
        message = f"{where}: calls: {fields.listed(calls, 'and')} counts no failures; list {missing} too"
        report.add(body.get("calls") or body, message, "series")
    if found and (features := body.get("features")) is not None:
        report.add(features, f"{where}: features: it is not decorated, so nothing takes them; remove it", "differs")
    return tuple(found), bounds


def _versions(report: Report, body: Mapping, series: list[OwnSeries], where: str) -> list[OwnSeries]:
    """Return series with the label of their version, and a canary's beside the others."""
    version, canary = body.get("version"), body.get("canary")
    if version is not None:
        label = fields.text(report, version, f"{where}: version")
        if label and not fields.LABEL.fullmatch(label):
            message = f"{where}: version: expected the label that has it, such as model_version, found {shown(label)}"
            report.add(version, message, "name")
        series = [own._replace(version=label) for own in series]
    if canary is None:
        return series
    example = "expected the label and value that its series have, such as {deployment: canary}"
    picked = fields.labels(report, canary, f"{where}: canary") if isinstance(canary, Mapping) else ()
    if len(picked) != 1:
        found = kind(canary) if not isinstance(canary, Mapping) else f"{len(picked)} labels"
        report.add(canary, f"{where}: canary: {example}, found {found}", "type")
        return series
    ((label, value),) = picked
    if label in _WRITTEN:
        report.add(canary, f"{where}: canary: the rules write the label {label!r} themselves; {example}", "name")
        return series
    for own in series:
        if label == own.version or label in [name for name, _, _ in own.matchers]:
            key = "version" if label == own.version else own.key
            message = f"{where}: canary: `{key}` reads the label {label!r}, too; {example}"
            report.add(canary, message, "duplicate")
            return series
    tracks = (("stable", "!="), ("canary", "="))
    return [own._replace(track=track, by_track=((label, op, value),)) for track, op in tracks for own in series]


def check_canaries(report: Report, stages: Node | None, keep: tuple[str, ...]) -> None:
    """Refuse a canary that a kept or selected label tells: what it is compared with has the same value of it."""
    for name, _, body in stages if isinstance(stages, Mapping) else ():
        canary = body.get("canary") if isinstance(body, Mapping) else None
        for label, key, _ in canary if isinstance(canary, Mapping) else ():
            if label in keep:
                message = f"stages: {name}: canary: {label!r} is kept or selected, so it is the same on both sides"
                report.add(key, f"{message}; name a label that only tells the canary", "duplicate")


def _counters(report: Report, node: Node, where: str) -> list[tuple[str, tuple[tuple[str, str, str], ...]]]:
    items = node.items if isinstance(node, Items) else (node,)
    found: list[tuple[str, tuple[tuple[str, str, str], ...]]] = []
    for item in items:
        if named := _selector(report, item, where):
            if named[0] in [name for name, _ in found]:
                message = f'{where}: {named[0]} is here twice; pick all in one, such as model=~"a|b"'
                report.add(item, message, "duplicate")
            else:
                found.append(named)
    return found


def _histogram(
    report: Report, node: Node, where: str
) -> tuple[tuple[str, tuple[tuple[str, str, str], ...]] | None, tuple[float, ...]]:
    """Return a histogram, and its bounds where they are said: `{histogram: name, bounds: [100ms, 300ms]}`."""
    if not isinstance(node, Mapping):
        at: Node = node
        found, bounds = _selector(report, node, where), tuple[float, ...]()
    else:
        fields.check_keys(report, node, ("histogram", "bounds"), where)
        inner = node.get("histogram")
        if inner is None:
            report.add(node, f"{where}: say which: {{histogram: request_duration_seconds, bounds: [300ms]}}", "missing")
            return None, ()
        found = _selector(report, inner, where)
        at, bounds = inner, _bounds(report, node.get("bounds"), f"{where}: bounds")
    if found is None:
        return None, ()
    if _SUFFIX.search(found[0]):
        report.add(at, f"{where}: name the histogram without _bucket, _count or _sum, found {found[0]}", "series")
    elif (unit := _NOT_SECONDS.search(found[0])) and not (bounds and unit[1] in _UNITS):
        message = f"{where}: expected a histogram of seconds, found {found[0]}"
        why = "say its bounds, such as bounds: [100ms, 1s]: they are labels, which PromQL can't divide"
        if unit[1] not in _UNITS:
            why = "record it in seconds where it is exported"
        report.add(at, f"{message}; {why}", "unit")
    return found, bounds


def _unit(name: str) -> float:
    found = _NOT_SECONDS.search(name)
    return _UNITS.get(found[1], 1.0) if found else 1.0


def _bounds(report: Report, node: Node | None, where: str) -> tuple[float, ...]:
    if node is None:
        return ()
    items = node.items if isinstance(node, Items) else (node,)
    found = [fields.time(report, item, 0.0, where) for item in items]
    if all(found) and sorted(set(found)) != found:
        report.add(node, f"{where}: expected rising bounds, each once", "range")
    return tuple(sorted({bound for bound in found if bound}))


def _selector(report: Report, node: Node, where: str) -> tuple[str, tuple[tuple[str, str, str], ...]] | None:
    """Return the name and the matchers of a selector such as `requests_total{model="asr"}`."""
    example = "expected a name and labels, such as 'requests_total{model=\"asr\"}'"
    if isinstance(node, Mapping) and node.entries:
        report.add(node, f"{where}: {example}, found {kind(node)}; put it in quotes", "series")
        return None
    text = fields.text(report, node, where)
    if not text:
        return None
    parsed = None if fault(text) else parse(text)
    if not isinstance(parsed, promql_parser.VectorSelector) or not parsed.name:
        wrong = fault(text)
        said = wrong if wrong.startswith("not PromQL") else f"found {shown(text)}"
        report.add(node, f"{where}: {example}; {said}", "series")
        return None
    if parsed.offset is not None or parsed.at is not None or parsed.matchers.or_matchers:
        report.add(node, f"{where}: {example}, without offset, @ and or; found {shown(text)}", "series")
        return None
    if any(parsed.name.removesuffix(suffix) in c.METRICS for suffix in ("", "_bucket", "_count", "_sum")):
        report.add(node, f"{where}: {parsed.name} is pipemon's own, which decorated stages export; remove it", "series")
        return None
    matchers = tuple(
        (each.name, _OPERATORS[str(each.op).rpartition(".")[2]], each.value) for each in parsed.matchers.matchers
    )
    for label, op, value in matchers:
        try:
            example_of(op, value)
            example_unlike(op, value)
        except ValueError:
            message = f"{where}: {label}: what {op}{shown(value)} picks is not known; write values out, such as a|b"
            report.add(node, message, "series")
            return None
    return parsed.name, matchers


def example_of(op: str, value: str) -> str:
    """Return a label's value that a matcher picks, "" where it picks only its absence. Raises ValueError."""
    plain = [value, *value.split("|"), *(re.sub(r"\\(.)", r"\1", part) for part in value.split("|"))]
    guesses = [*plain, *(re.sub(r"[^\w /:.-]|[.](?=[*+?])", "", part) for part in plain), "another", "neighbour", ""]
    for guess in guesses:
        if picks(op, value, guess):
            return guess
    raise ValueError(value)


def picks(op: str, value: str, text: str) -> bool:
    """Tell whether a matcher picks a label's value. Raises ValueError for a pattern that is none."""
    if op in ("=", "!="):
        return (text == value) == (op == "=")
    try:
        return bool(re.fullmatch(value, text)) == (op == "=~")
    except re.error:
        raise ValueError(value) from None


def example_unlike(op: str, value: str) -> str:
    """Return a label's value that a matcher does not pick. Raises ValueError."""
    for guess in ("another", "neighbour", value, *value.split("|"), ""):
        if not picks(op, value, guess):
            return guess
    raise ValueError(value)


def lacking(signal: Signal, stage: StageShape, named: str = "") -> str:
    """Return why a signal, and the one `named` after it, can't be told of a stage that is not decorated, or ""."""
    if signal.argument == "burned":
        # The bad events are another signal's; what is no signal is told elsewhere.
        return lacking(SIGNALS[named], stage) if named in SIGNALS else ""
    if signal.name in _LEARNED_LATER:
        key = _LEARNED_LATER[signal.name]
        return "" if getattr(stage, key) else f"add `{key}:` to it if another service tells it"
    if signal.argument == "signal":
        return without_canary(stage) or (lacking(SIGNALS[named], stage) if named in SIGNALS else "")
    return _not_exported(signal, stage)


def without_canary(stage: StageShape) -> str:
    """Return why a canary can't be told of a stage that is not decorated, or ""."""
    told = any(own.track == "canary" for own in stage.series)
    return "" if told else "add `canary:` with the label and value that its series have, as {deployment: canary}"


def _not_exported(signal: Signal, stage: StageShape) -> str:
    reads = [getattr(signal.reads, each.name) for each in fields_of(signal.reads) if each.name != "whole"]
    wanted = [metric for metric in reads if isinstance(metric, Metric) and metric.name in c.METRICS]
    wanted = [signal.reads.undecorated] if isinstance(signal.reads, Counted) else wanted
    keys = {metric: key for key, metric in STANDS_FOR.items()}
    given = {each.key for each in stage.series}
    if signal.needs or (signal.name != "promql" and not wanted) or any(metric not in keys for metric in wanted):
        return "only decorated stages export what it reads; use `promql`"
    without = [keys[metric] for metric in wanted if keys[metric] not in given]
    return f"add `{without[0]}:` with the series that it exports" if without else ""

"""A JSON Schema of the failure-mode file, made of the tables that the loader reads it by.

Editors complete and check by it as one types. It knows every key and which values have a form; what refers to
other parts of a file, or to the code, only `pipemon check` can tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipemon.spec import arrivals, defaults, fields, link, load, modes, schedule, stages, windows
from pipemon.spec.checks import CHECKS
from pipemon.spec.drift import AGAINST
from pipemon.spec.model import ACTIONS, MULTIPLE_TESTING, SEVERITIES
from pipemon.spec.own_series import STANDS_FOR
from pipemon.spec.signals import SIGNALS, Signal
from pipemon.spec.written_signal import BESIDE

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "pattern": r"\S"}
_ADDRESS: Schema = {"type": "string", "pattern": rf"^\s*{fields.ADDRESS.pattern}\s*$"}
_TIME: Schema = {
    "type": "string",
    "pattern": r"^\s*(?:[0-9]+(?:\.[0-9]+)?\s*(?:ms|[smhdw])\s*)+$",
    "examples": ["500ms", "30s", "10m"],
}
_NAME: Schema = {"type": "string", "pattern": rf"^\s*{fields.NAME.pattern}\s*$"}
_VERSION: Schema = {"type": ["string", "number"]}
_AMOUNT: Schema = {"type": ["number", "string"], "examples": ["5%", "300ms", "budget", 0.25]}
_OFF: Schema = {"type": "object", "required": ["off"], "additionalProperties": False, "properties": {"off": _TEXT}}
_THRESHOLDS = ("above", "below", "outside", "changes_by")

_WORDS = {
    "pipeline": "The name of the cascade, as the code declares it.",
    "owner": "Who is told: the alert's label `owner`, by which Alertmanager routes.",
    "runbook": "Where to read what to do. At the top, each failure mode's page is this with #<its name>.",
    "scrape_interval": "How often Prometheus scrapes, 5s to 5m; it sizes every window.",
    "select": "Labels and values that go into every selector.",
    "keep": "Labels that every aggregation, inhibition and grouping keeps.",
    "targets": "The labels of the scrape targets, by which absence is told.",
    "code": "module:pipeline, where stages, features and budgets come from.",
    "budget": "How long it may take.",
    "stages": "The stages by their names, where no code tells them.",
    "baseline": "The file that `pipemon baseline` writes, relative to this one; or several, the newest first.",
    "severities": "The alert's label for page, ticket and notice, where routes know other words.",
    "data": "Whose data it is: user data drifts slowly, enterprise data can shift in a day.",
    "schedule": "How often a batch job runs whose values are pushed: hourly, daily, weekly, or a period such as 6h.",
    "link": "Of devices whose link comes and goes: intermittent, or how long a cut may be, such as 4h.",
    "multiple_testing": "How the features of a stage share its false alarms of drift: the more have moved, the more.",
    "checks": "Checks of the generated files that are off, each with the reason: {promql/rate: {off: why}}.",
    "failure_modes": "What can go wrong, each under its name.",
    "defaults": "What holds for each failure mode of this file that does not say it itself.",
    "what": "What goes wrong, in the team's words.",
    "stage": "At which stage; without it, in the pipeline as a whole.",
    "signal": "What shows it.",
    "signals": "Several signals, any or all of them.",
    "above": "Bad above this.",
    "below": "Bad below this.",
    "outside": "Bad below the first or above the second.",
    "changes_by": "Bad when this far from the baseline, or from `from`.",
    "from": "What `changes_by` is counted from.",
    "min_calls": "How many observations must lie in the window.",
    "slice": "The group that it is about, of those that are kept apart: age=young.",
    "by": "A group, such as device: one failure mode for each of its members, in `slices` or of features by it.",
    "against": "What drift is from: the baseline, unless this says the last hour, or the same hours of earlier days.",
    "hold": "How long the hour before stays what a sudden change is told by.",
    "objective": "The share of calls that must be good over a time, which budget_burn burns: 99.5% over 30d.",
    "slices": "The groups that what is learned later is kept apart by: {age: [young, old]}.",
    "scores": "Scores that are told later, and their units: {wer: ratio}.",
    "candidates": "Versions that its outputs are compared with.",
    "pace": "How fast it comes: minutes or days.",
    "window": "How far back it looks.",
    "for": "How long it must hold before anyone is told.",
    "keep_firing_for": "How long the alert outlasts it.",
    "severity": "Whether it wakes somebody, waits for the day, or is only noted.",
    "labels": "Labels of the alert beyond pipemon's own, with fixed values.",
    "do": "What to do about it.",
    "then": "What a receiver may do about it: {rollback: vad} or {retrain: vad}. `pipemon serve --actions` does it.",
    "mode": "`observe` is its burn-in: recorded, told to nobody.",
    "leads_to": "The failure modes that it causes: held back while it fires.",
    "fires_on": "Series on which a promql signal must fire, for its test.",
    "quiet_on": "Series on which a promql signal must stay quiet, for its test.",
    "after": "The stages right before this one.",
    "features": "Features and their units: {input.level_dbfs: dBFS}.",
    "feedback": "What is learned later: redo, accepted, ...",
    "calls": "Of a stage that is not decorated: its counters of calls, which are added, whatever their outcome.",
    "failures": "Of a stage that is not decorated: its counters of failed calls.",
    "null_outputs": "Of a stage that is not decorated: its counters of calls that gave nothing usable.",
    "duration": "Of a stage that is not decorated: its histogram of durations in seconds, and its bounds.",
    "in_progress": "Of a stage that is not decorated: its gauges of calls in progress.",
    "version": "Of a stage that is not decorated: the label of its series that has the model's version.",
    "canary": "Of a stage that is not decorated: the label and value of a canary's series, {deployment: canary}.",
    "one_to_one": "Each item that comes in must come out.",
}


def schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of a failure-mode file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pipemon failure modes",
        "type": "object",
        "required": ["pipeline"],
        "additionalProperties": False,
        "patternProperties": {"^x-": {"description": "Holds anchors; not read."}},
        "properties": _described({**_top(), "defaults": _object(_common())}, (*load.KEYS, "defaults")),
        "$defs": {"failure_mode": _failure_mode(), "signal": _signal()},
    }


def _described(found: Mapping[str, Schema], keys: Iterable[str]) -> dict[str, Schema]:
    """Return the schema of each key, in the loader's order. A key that no one wrote a schema for is a KeyError."""
    return {key: {"description": _WORDS[key]} | found[key] for key in keys}


def _object(found: Mapping[str, Schema], keys: Iterable[str] = defaults.KEYS) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": _described(found, keys)}


def _top() -> dict[str, Schema]:
    stage = _object(_stage(), stages.KEYS)
    return {
        "pipeline": _NAME,
        "owner": _TEXT,
        "runbook": _ADDRESS,
        "scrape_interval": _TIME,
        "select": _labels(load.RESERVED_OF_TARGETS),
        "labels": {
            "description": "Labels of pipemon that arrive under other names: {stage: exported_stage}.",
            "type": "object",
            "propertyNames": {"enum": list(arrivals.OWN)},
            "additionalProperties": {"type": "string", "pattern": f"^{fields.LABEL.pattern}$"},
        },
        "keep": _words(),
        "targets": _labels(),
        "code": {"type": "string", "pattern": "^[^:]+:[^:]+$", "examples": ["app.speech:speech"]},
        "budget": _TIME,
        "stages": {"type": "object", "minProperties": 1, "additionalProperties": {**stage, "type": ["object", "null"]}},
        "objective": {"type": "string", "pattern": r"%\s+over\s", "examples": ["99.5% over 30d"]},
        "slices": {"type": "object", "minProperties": 1, "additionalProperties": _words()},
        "baseline": _words(),
        "severities": {
            "type": "object",
            "additionalProperties": False,
            "properties": dict.fromkeys(SEVERITIES, _NAME),
        },
        "data": {"enum": list(stages.DATA)},
        "schedule": _schedule(),
        "link": {"anyOf": [{"enum": [link.INTERMITTENT]}, _TIME]},
        "multiple_testing": {"enum": list(MULTIPLE_TESTING)},
        "checks": {
            "type": "object",
            "additionalProperties": False,
            "properties": dict.fromkeys(CHECKS, _OFF),
        },
        "failure_modes": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": f"^{modes.MODE_NAME.pattern}$"},
            "additionalProperties": {"$ref": "#/$defs/failure_mode"},
        },
    }


def _schedule() -> Schema:
    period: Schema = {"anyOf": [{"enum": list(schedule.PERIODS)}, _TIME]}
    given = {"every": period, "grace": _TIME}
    whole = {"type": "object", "required": ["every"], "additionalProperties": False, "properties": given}
    return {"anyOf": [*period["anyOf"], whole]}


def _stage() -> dict[str, Schema]:
    bounds: Schema = {"anyOf": [_TIME, {"type": "array", "minItems": 1, "items": _TIME}]}
    histogram: Schema = {
        "type": "object",
        "required": ["histogram"],
        "additionalProperties": False,
        "properties": {"histogram": _TEXT, "bounds": bounds},
    }
    feature = rf"^(?:input|output)\.{fields.NAME.pattern}$"
    return {
        "after": _words(),
        "budget": _TIME,
        "features": {
            "type": "object",
            "propertyNames": {"pattern": feature},
            "additionalProperties": {
                "anyOf": [{"type": ["string", "null"]}, {"type": "array", "minItems": 1, "items": _TEXT}]
            },
        },
        "feedback": _words(),
        "scores": {"anyOf": [_words(), {"type": "object", "additionalProperties": _TEXT}]},
        "candidates": {"anyOf": [_VERSION, {"type": "array", "items": _VERSION}]},
        "one_to_one": {"type": "boolean"},
        "data": {"enum": list(stages.DATA)},
        **dict.fromkeys(STANDS_FOR, _words()),
        "version": _TEXT,
        "canary": _labels(()) | {"maxProperties": 1},
        "duration": {"anyOf": [_TEXT, histogram]},
    }


def _common() -> dict[str, Schema]:
    """What failure modes and their defaults have in common."""
    since: Schema = {
        "type": "object",
        "required": ["observe"],
        "additionalProperties": False,
        "properties": {"observe": {"type": "string", "format": "date", "examples": ["2026-01-31"]}},
    }
    return {
        "for": _TIME,
        "keep_firing_for": _TIME,
        "severity": {"enum": list(SEVERITIES)},
        "owner": _TEXT,
        "labels": _labels(load.RESERVED_ON_ALERTS),
        "runbook": _ADDRESS,
        "mode": {"anyOf": [{"enum": list(defaults.MODES)}, since]},
    }


def _failure_mode() -> Schema:
    item = {"anyOf": [{"enum": _bare()}, _item()]}
    several: Schema = {"type": "array", "minItems": 1, "items": item}
    found = {
        **_common(),
        **_beside(),
        "what": _TEXT,
        "stage": _TEXT,
        "signal": {"$ref": "#/$defs/signal"},
        "signals": {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "properties": {"any": several, "all": several},
        },
        "pace": {"enum": list(windows.PACES)},
        "window": _TIME,
        "by": _TEXT,
        "do": _TEXT,
        "then": _then(),
        "leads_to": _words(),
        "fires_on": _words(),
        "quiet_on": _words(),
    }
    takes = [rule for signal in SIGNALS.values() if (rule := _takes(signal))]
    return {
        **_object(found, modes.KEYS),
        "required": ["what"],
        "not": {"required": ["signal", "signals"]},
        "allOf": takes,
    }


def _then() -> Schema:
    one = {"type": "object", "additionalProperties": False, "minProperties": 1, "maxProperties": 1}
    return {**one, "properties": dict.fromkeys(ACTIONS, _TEXT)}


def _beside() -> dict[str, Schema]:
    found: dict[str, Schema] = {
        "outside": {"type": "array", "minItems": 2, "maxItems": 2, "items": _AMOUNT},
        "min_calls": {"type": "integer", "minimum": 1},
        "slice": {"type": "string", "pattern": "^[^=]+=.+$", "examples": ["age=young"]},
        "against": {"enum": list(AGAINST)},
        "hold": _TIME,
    }
    return {key: found.get(key, _AMOUNT) for key in BESIDE}


def _bare() -> list[str]:
    return [
        signal.name for signal in SIGNALS.values() if signal.argument in ("none", "quantile", "candidate", "burned")
    ]


def _arguments() -> dict[str, Schema]:
    """The signals as keys, each with what may stand after it."""
    forms: dict[str, Schema] = {
        "none": {"type": "null"},
        "quantile": {"type": ["string", "null"], "pattern": r"^\s*p[0-9]{1,2}(\.[0-9]{1,3})?\s*$", "examples": ["p99"]},
        "feature": {**_TEXT, "examples": ["input.level_dbfs"]},
        "feature_quantile": {"type": "string", "pattern": r"^\s*p\S+\s+of\s+\S", "examples": ["p95 of input.words"]},
        "category": {"type": "string", "pattern": "^[^=]+=.+$", "examples": ["input.language=fr"]},
        "feature_category": {**_TEXT, "examples": ["input.language"]},
        "statistic": {**_TEXT, "examples": ["input.level_dbfs", "ks of input.level_dbfs"]},
        "shifted": {**_TEXT, "examples": ["input.level_dbfs", "spread of input.level_dbfs"]},
        "feedback": {**_TEXT, "examples": ["redo"]},
        "score": {**_TEXT, "examples": ["wer"]},
        "candidate": {"type": ["string", "number", "null"], "examples": ["2.0"]},
        "burned": {"type": ["string", "null"], "examples": ["error_ratio"]},
        "summed": {**_TEXT, "examples": ["null_ratio", "feedback redo"]},
        "confidence": {**_TEXT, "examples": ["output.confidence"]},
        "promql": _TEXT,
        "signal": {"anyOf": [{"type": "string"}, {"type": "object"}]},
    }
    return {signal.name: {"description": _said(signal), **forms[signal.argument]} for signal in SIGNALS.values()}


def _said(signal: Signal) -> str:
    of_run = f"; with a schedule, {signal.of_run.words} of the last run" if signal.of_run else ""
    return f"{signal.words}{of_run}"


def _signal() -> Schema:
    alone = {"type": "object", "additionalProperties": False, "minProperties": 1, "maxProperties": 1}
    return {"anyOf": [{"enum": _bare()}, {**alone, "properties": _arguments()}]}


def _item() -> Schema:
    """One of several signals: `{mean: input.level, below: -60}`, or with `signal:`."""
    found = {**_arguments(), **_described(_beside(), BESIDE), "signal": {"$ref": "#/$defs/signal"}}
    one = [{"required": [name]} for name in (*SIGNALS, "signal")]
    return {"type": "object", "additionalProperties": False, "properties": found, "oneOf": one}


def _takes(signal: Signal) -> Schema:
    """Refuse the comparisons that make no sense for a signal."""
    refused = [key for key in _THRESHOLDS if key not in signal.comparisons]
    if not refused:
        return {}
    named = {"anyOf": [{"const": signal.name}, {"type": "object", "required": [signal.name]}]}
    return {
        "if": {"required": ["signal"], "properties": {"signal": named}},
        "then": {"properties": dict.fromkeys(refused, False)},
    }


def _words() -> Schema:
    return {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}


def _labels(reserved: Iterable[str] = ()) -> Schema:
    names: Schema = {"pattern": f"^{fields.LABEL.pattern}$", "not": {"enum": sorted(reserved)}}
    return {
        "type": "object",
        "propertyNames": names if names["not"]["enum"] else {"pattern": names["pattern"]},
        "additionalProperties": {"type": ["string", "number", "boolean"]},
    }

"""The `failure_modes:` of a file, each resolved against the stages, the signals and the baseline."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import cast

from pipemon.errors import nearest
from pipemon.spec import fields
from pipemon.spec.arguments import Place
from pipemon.spec.baseline import Baseline
from pipemon.spec.conditions import conditions
from pipemon.spec.cusum import summed
from pipemon.spec.defaults import Defaults, over, values
from pipemon.spec.expression import series_fault
from pipemon.spec.fields import Report
from pipemon.spec.groups import Written, by_name, each_of, led_to, of_member, written_once
from pipemon.spec.model import (
    ACTIONS,
    BOUNDS_DIFFER,
    STABLE,
    Action,
    Condition,
    FailureMode,
    Kind,
    Spec,
)
from pipemon.spec.reader import Mapping, Node, Scalar, kind, shown
from pipemon.spec.signals import SIGNALS, Signal, signal_in
from pipemon.spec.signals import kind as alert_kind
from pipemon.spec.together import counted
from pipemon.spec.windows import looked_over, pace_of, usual_for
from pipemon.topology import StageShape, find_cycle

_THRESHOLD = ("above", "below", "outside", "changes_by", "from")
KEYS = (
    "what", "stage", "signal", "signals", *_THRESHOLD, "min_calls", "slice", "by", "against", "hold", "pace", "window",
    "for", "keep_firing_for", "severity", "owner", "labels", "do", "then", "runbook", "mode", "leads_to", "fires_on",
    "quiet_on",
)  # fmt: skip

MODE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Surroundings:
    """What failure modes are resolved against. `no_baseline` says why there is no baseline.

    `closed` tells that the code names every feature there is. `defaults` are those of each file; `reserved`
    the labels that no alert may set for itself.
    """

    spec: Spec
    baseline: Baseline | None
    no_baseline: str = ""
    closed: bool = False
    defaults: dict[str, Defaults] = field(default_factory=dict)
    reserved: frozenset[str] = frozenset()


def alert_name(pipeline: str, mode: str) -> str:
    """Return the pipeline and the failure mode in CamelCase: `SpeechVadCutsEverything`."""
    parts = re.split(r"[^A-Za-z0-9]+", f"{pipeline}-{mode}")
    return "".join(part[:1].upper() + part[1:] for part in parts)


def failure_modes(report: Report, root: Mapping, around: Surroundings) -> tuple[FailureMode, ...]:
    """Return the failure modes in the order of the file."""
    node = root.get("failure_modes")
    if not isinstance(node, Mapping) or not node.entries:
        at = node if node is not None else root
        found = f", found {kind(node)}" if node is not None else ""
        report.add(at, f"failure_modes: expected at least one failure mode by its name{found}", "missing")
        return ()
    every = each_of(report, node, around.spec.slices)
    names = dict.fromkeys(name for each in every for name in (each.key.text, each.name))
    alerts = {alert_name(around.spec.pipeline, BOUNDS_DIFFER): BOUNDS_DIFFER}
    written: dict[str, Written] = {}
    faulty: Scalar | None = None
    modes: list[FailureMode] = []
    named = by_name(every)
    for each in every:
        name, key, body = each[:3]
        if not MODE_NAME.fullmatch(name):
            message = f"failure_modes: {shown(name)} is not a name; use letters, digits, '-' and '_', a letter first"
            report.add(key, f"{message}{_as_name(name) if name == key.text else ''}", "name")
            continue
        alert = alert_name(around.spec.pipeline, name)
        if alerts.get(alert) == BOUNDS_DIFFER:
            report.add(key, f"failure_modes: every pipeline has the alert {alert} already; choose another name", "name")
        elif alert in alerts:
            message = f"failure_modes: {name!r} and {alerts[alert]!r} would both be the alert {alert}"
            report.add(key, message, "duplicate")
        alerts.setdefault(alert, name)
        if not isinstance(body, Mapping):
            message = f"{name}: expected at least `what:`, found {kind(body)}"
            report.add(body, message, "type")
            continue
        before = len(report.problems)
        mode = _mode(report, each, body, names, around)
        if len(report.problems) > before and faulty is each.key:
            # What is wrong with one member is with all.
            del report.problems[before:]
        faulty = each.key if len(report.problems) > before else faulty
        written[name] = each
        if written_once(report, mode, each):
            modes.append(replace(of_member(mode, each), leads_to=tuple(led_to(mode.leads_to, each, named))))
    modes = [counted(report, mode, written[mode.name].key, _body(written[mode.name]), modes) for mode in modes]
    cycle = find_cycle({mode.name: mode.leads_to for mode in modes})
    if cycle:
        targets = dict(fields.words(Report(""), _body(written[cycle[0]]).get("leads_to"), ""))
        message = f"leads_to goes in a circle: {' to '.join(cycle)}; each would silence the next"
        at = targets.get(cycle[1]) or targets[written[cycle[1]].key.text]
        report.add(at, message, "cycle")
    return tuple(modes)


def _body(written: Written) -> Mapping:
    return cast(Mapping, written.body)


def _mode(report: Report, written: Written, body: Mapping, names: Collection[str], around: Surroundings) -> FailureMode:
    name, key, spec = written.name, written.key, around.spec
    fields.check_keys(report, body, KEYS, name)
    what = fields.text(report, body.get("what"), f"{name}: what")
    if body.get("what") is None:
        report.add(key, f"{name}: say in the team's words what goes wrong: `what: ...`", "missing")
    stage = _stage(report, name, body.get("stage"), spec)
    sudden = isinstance(said_pace := body.get("pace"), Scalar) and said_pace.text.strip() == "sudden"
    whose = (written.group, written.member)
    place = Place(spec, stage, around.baseline, name, around.no_baseline, around.closed, sudden, *whose)
    found, combine, waiting = conditions(report, body, key, place)
    pace, usual_window = pace_of(report, name, body.get("pace"), stage, found)
    first = found[0] if found else None
    signal = signal_in(spec, "compare" if first.reference == STABLE else first.signal) if first else None
    default_severity = signal.severity if signal else "ticket"
    below = around.defaults.get(report.file(key), Defaults())
    said = over(values(report, body, name, around.reserved), below, says_mode=body.get("mode") is not None)
    severity = said.severity or default_severity
    found, window = looked_over(report, written, body, found, usual_window, severity, spec)
    return FailureMode(
        name=name,
        what=what,
        stage=stage.name if stage else None,
        kind=_kind(first, signal) if signal and first else "software",
        conditions=() if waiting else found,
        combine="all" if combine == "all" else "any",
        pace=pace,
        severity=severity,
        window=window,
        for_=said.for_ or usual_for(found, pace, window, spec),
        keep_firing_for=said.keep_firing_for or 0.0,
        owner=said.owner or spec.owner,
        do=fields.text(report, body.get("do"), f"{name}: do"),
        runbook=said.runbook or (f"{spec.runbook}#{name}" if spec.runbook else ""),
        leads_to=_leads_to(report, written, body.get("leads_to"), names),
        waiting=waiting,
        fires_on=_series(report, name, body, "fires_on", found),
        quiet_on=_series(report, name, body, "quiet_on", found),
        for_given=said.for_ is not None,
        labels=said.labels,
        observe=said.mode.observe,
        observe_since=said.mode.since,
        undecided=found if waiting else (),
        then=_then(report, name, body.get("then"), spec),
    )


def _kind(first: Condition, signal: Signal) -> Kind:
    """Return the kind of alert: of a sum, that of what is summed."""
    return alert_kind(SIGNALS[summed(first).signal] if first.tolerated else signal, _direction(first))


def _direction(condition: Condition) -> str | None:
    return condition.feature.direction if condition.feature else None


def _stage(report: Report, name: str, node: Node | None, spec: Spec) -> StageShape | None:
    wanted = fields.text(report, node, f"{name}: stage")
    if not wanted or node is None:
        return None
    for stage in spec.stages:
        if stage.name == wanted:
            return stage
    if spec.stages:
        names = [stage.name for stage in spec.stages]
        hint = nearest(wanted, names) or f"; there are {fields.listed(names, 'and')}"
        report.add(node, f"{name}: there is no stage {shown(wanted)}{hint}", "unknown-stage")
    return StageShape(wanted)


def _then(report: Report, name: str, node: Node | None, spec: Spec) -> Action | None:
    """Return the one action, on a stage that there is."""
    where = f"{name}: then"
    if node is None:
        return None
    if not isinstance(node, Mapping) or not node.entries:
        message = f"{where}: expected an action on a stage, such as {{rollback: vad}}, found {kind(node)}"
        report.add(node, message, "type")
        return None
    fields.check_keys(report, node, ACTIONS, where)
    known = [(action, key, target) for action, key, target in node if action in ACTIONS]
    if len(known) > 1:
        report.add(known[1][1], f"{where}: one action each, found {known[0][0]!r} and {known[1][0]!r}", "comparison")
    if len(known) != 1:
        return None
    action, _, target = known[0]
    stage = _stage(report, f"{where}: {action}", target, spec)
    return Action(action, stage.name) if stage else None


def _leads_to(report: Report, written: Written, node: Node | None, names: Collection[str]) -> tuple[str, ...]:
    name, found = written.name, []
    for target, at in fields.words(report, node, f"{name}: leads_to"):
        if target not in names:
            hint = nearest(target, names)
            report.add(at, f"{name}: leads_to: there is no failure mode {shown(target)}{hint}", "unknown-mode")
        elif target in (name, written.key.text):
            report.add(at, f"{name}: leads_to: a failure mode can't lead to itself", "cycle")
        else:
            found.append(target)
    return tuple(found)


def _series(report: Report, name: str, body: Mapping, key: str, found: tuple[Condition, ...]) -> tuple[str, ...]:
    node = body.get(key)
    if node is not None and found and not any(condition.signal == "promql" for condition in found):
        at = body.key(key)
        report.add(at, f"{name}: {key} is for promql; the tests of other signals are written for you", "comparison")
    series = fields.words(report, node, f"{name}: {key}")
    for text, at in series:
        if wrong := series_fault(text):
            report.add(at, f"{name}: {key}: {wrong}", "series")
    return tuple(text for text, _ in series)


def _as_name(words: str) -> str:
    """Return a hint for a name that is a sentence."""
    joined = "-".join(re.findall(r"\w+", words, re.ASCII)).lower()
    return f"; did you mean {joined!r}?" if " " in words.strip() and MODE_NAME.fullmatch(joined) else ""

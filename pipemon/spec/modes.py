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
from pipemon.spec.cusum import adds_up, step_of, summed
from pipemon.spec.defaults import Defaults, over, values
from pipemon.spec.expression import series_fault
from pipemon.spec.fields import Report
from pipemon.spec.groups import Written, by_name, each_of, led_to, of_member, written_once
from pipemon.spec.model import (
    ACTIONS,
    BOUNDS_DIFFER,
    LONGEST_STEP,
    STABLE,
    Action,
    Condition,
    FailureMode,
    Kind,
    Pace,
    Reference,
    Severity,
    Spec,
)
from pipemon.spec.objective import burning, burns
from pipemon.spec.reader import Mapping, Node, Scalar, kind, shown
from pipemon.spec.signals import CUSUM, SHIFT, SIGNALS, Signal, for_seconds, signal_in
from pipemon.spec.signals import kind as alert_kind
from pipemon.spec.thresholds import MIN_EVENTS
from pipemon.spec.together import counted
from pipemon.topology import StageShape, find_cycle
from pipemon.units import duration

_THRESHOLD = ("above", "below", "outside", "changes_by", "from")
KEYS = (
    "what", "stage", "signal", "signals", *_THRESHOLD, "min_calls", "slice", "by", "against", "hold", "pace", "window",
    "for", "keep_firing_for", "severity", "owner", "labels", "do", "then", "runbook", "mode", "leads_to", "fires_on",
    "quiet_on",
)  # fmt: skip

PACES: tuple[Pace, ...] = ("sudden", "gradual")
_WINDOW: dict[Pace, float] = {"sudden": 300.0, "gradual": 6 * 3600.0}
_GRADUAL_FOR = 1800.0
MODE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_OF_DATA: dict[str, tuple[Pace, float]] = {"user": ("gradual", 6 * 3600.0), "enterprise": ("sudden", 3600.0)}
"""The pace and window, in seconds, of features: users change slowly, an enterprise's data can shift in a day."""


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
            report.add(key, message, "name")
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
    pace, usual_window = _pace(report, name, body.get("pace"), stage, found)
    first = found[0] if found else None
    signal = signal_in(spec, "compare" if first.reference == STABLE else first.signal) if first else None
    default_severity = signal.severity if signal else "ticket"
    below = around.defaults.get(report.file(key), Defaults())
    said = over(values(report, body, name, around.reserved), below, says_mode=body.get("mode") is not None)
    severity = said.severity or default_severity
    past = first.against if first is not None else None
    if spec.schedule is not None:
        usual_window = 0.0
        if (written_window := body.get("window")) is not None:
            message = f"{name}: window: a pipeline with a schedule has the values of its last run; remove it"
            report.add(written_window, message, "comparison")
    elif past is not None and past.offset:
        # A few minutes of last week say little.
        usual_window = max(usual_window, spec.timing.long_window)
    window = _window(report, body, name, usual_window, spec)
    if _of_last_hour(found) and window > spec.timing.long_window:
        message = (
            f"{name}: {duration(window)} can't be told from the hour before; give it a `window` of an hour or less"
        )
        report.add(body.get("window") or body.get("pace") or key, message, "range")
    if spec.schedule is None and past is not None and past.offset:
        _check_past(report, body.get("window") or key, name, past, window, spec)
    if any(condition.signal == "budget_burn" for condition in found):
        found = _burning(report, body, key, found, spec, severity)
        window = max((condition.burns[0].long for condition in found), default=window)
    if adding := [condition.signal for condition in found if condition.signal in (CUSUM, SHIFT)]:
        _check_adding(report, body, key, f"{name}: {{}}{adding[0]}", spec)
        window = step_of(spec.timing)
    usual_for = max((for_seconds(SIGNALS[c.signal], _direction(c)) for c in found), default=120.0)
    if adding:
        # Two evaluations, which are one step each.
        usual_for = max(usual_for, 2 * window)
    if pace == "gradual":
        usual_for = max(usual_for, _GRADUAL_FOR)
    if any(SIGNALS[condition.signal].for_window for condition in found):
        usual_for = max(usual_for, window)
    # A lost scrape or two is no silence.
    usual_for = max(usual_for, 3 * spec.timing.scrape_interval)
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
        for_=said.for_ or usual_for,
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


def _burning(
    report: Report, body: Mapping, key: Scalar, found: tuple[Condition, ...], spec: Spec, severity: Severity
) -> tuple[Condition, ...]:
    """Return the conditions with the burn rates of the objective, which decide the windows."""
    name, rates, message = key.text, burns(spec, severity), ""
    if spec.objective is None:
        message = "budget_burn burns an objective; add `objective: 99.5% over 30d` at the top"
    elif not rates:
        message = f"with {spec.objective.words}, more than all calls would have to fail before a {severity} fires"
    elif body.get("window") is not None:
        message = "the windows of budget_burn follow from the objective; remove `window`"
    if spec.objective is None and any(problem.message.startswith("objective:") for problem in report.problems):
        # What is wrong with it is told already.
        return ()
    if message or spec.objective is None:
        report.add(
            body.key("window") if body.get("window") is not None and rates else key, f"{name}: {message}", "objective"
        )
        return ()
    threshold = burning(spec.objective, rates)
    return tuple(replace(each, burns=rates, threshold=threshold, min_events=MIN_EVENTS) for each in found)


def _kind(first: Condition, signal: Signal) -> Kind:
    """Return the kind of alert: of a sum, that of what is summed."""
    return alert_kind(SIGNALS[summed(first).signal] if first.tolerated else signal, _direction(first))


def _check_past(report: Report, at: Node, name: str, past: Reference, window: float, spec: Spec) -> None:
    """Report a window that can't be told from the same hours before."""
    if window < spec.timing.long_window:
        message = f"{name}: window: {duration(window)} of {past.words} say little; give it an hour or more"
        report.add(at, message, "range")
    elif window > past.offset / 2:
        # Hours in which its own alert was there, or soon before it, are nothing to compare with.
        message = (
            f"{name}: window: of {duration(window)}, {past.words} are too near to be told from what is now; "
            f"give it {duration(past.offset / 2)} or less"
        )
        report.add(at, message, "range")


def _of_last_hour(found: tuple[Condition, ...]) -> bool:
    """Tell whether something is compared with the hour before, which is what makes a change sudden."""
    return any(past.hold for each in found if (past := each.against or each.reference) is not None)


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


def _pace(
    report: Report, name: str, node: Node | None, stage: StageShape | None, found: tuple[Condition, ...]
) -> tuple[Pace, float]:
    """Return the pace and its usual window: by the data where only features are looked at, unless it is written."""
    whose = stage.data if stage and found and all(condition.feature for condition in found) else ""
    # What is added up step by step takes the steps that it needs, whoever sends the data.
    whose = "" if any(condition.signal == SHIFT for condition in found) else whose
    slow = bool(found) and all(SIGNALS[condition.signal].slow for condition in found)
    if _of_last_hour(found):
        whose, slow = "", False
    usual: Pace = "gradual" if slow else "sudden"
    usual, window = (usual, _WINDOW[usual]) if slow else _OF_DATA.get(whose, (usual, _WINDOW[usual]))
    pace = cast(Pace, fields.choice(report, node, PACES, usual, f"{name}: pace"))
    return pace, window if node is None else _WINDOW[pace]


def _check_adding(report: Report, body: Mapping, key: Node, words: str, spec: Spec) -> None:
    """Report what keeps a failure mode from adding up steps; `words` begin each message, with a place for more."""
    if (node := body.get("window")) is not None:
        step = duration(step_of(spec.timing))
        report.add(node, f"{words.format('window: ')} adds up steps of {step}; remove it", "comparison")
    if not adds_up(spec.timing):
        apart, most = duration(spec.timing.scrape_interval), duration(LONGEST_STEP / 2)
        message = f"{words.format('')} needs scrapes that are {most} apart at most, and `scrape_interval` is {apart}"
        report.add(key, f"{message}; scrape more often, or take a signal with a window", "range")


def _window(report: Report, body: Mapping, name: str, usual: float, spec: Spec) -> float:
    least = 4 * spec.timing.scrape_interval
    node = body.get("window")
    window = fields.time(report, node, max(usual, least), f"{name}: window")
    if node is not None and window < least:
        message = f"{name}: window: {duration(window)} is under four scrape intervals ({duration(least)})"
        report.add(node, message, "range")
    return window


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

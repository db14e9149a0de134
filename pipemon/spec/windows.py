"""Over which window a failure mode is looked at, by its pace, and how long its conditions hold before it fires."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from pipemon.spec import fields
from pipemon.spec.cusum import adds_up, step_of
from pipemon.spec.fields import Report
from pipemon.spec.groups import Written
from pipemon.spec.model import LONGEST_STEP, Condition, Pace, Severity, Spec
from pipemon.spec.objective import burning, burns
from pipemon.spec.reader import Mapping, Node, Scalar
from pipemon.spec.signals import CUSUM, SHIFT, SIGNALS, for_seconds
from pipemon.spec.thresholds import MIN_EVENTS
from pipemon.topology import StageShape
from pipemon.units import duration

PACES: tuple[Pace, ...] = ("sudden", "gradual")
_WINDOW: dict[Pace, float] = {"sudden": 300.0, "gradual": 6 * 3600.0}
_GRADUAL_FOR = 1800.0
_OF_DATA: dict[str, tuple[Pace, float]] = {"user": ("gradual", 6 * 3600.0), "enterprise": ("sudden", 3600.0)}
"""The pace and window, in seconds, of features: users change slowly, an enterprise's data can shift in a day."""


def pace_of(
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


def looked_over(
    report: Report,
    written: Written,
    body: Mapping,
    found: tuple[Condition, ...],
    usual: float,
    severity: Severity,
    spec: Spec,
) -> tuple[tuple[Condition, ...], float]:
    """Return the conditions with what follows from their windows, and how far they look back, in seconds."""
    name, key, node = written.name, written.key, body.get("window")
    past = found[0].against if found else None
    if spec.schedule is not None:
        usual = 0.0
        if node is not None:
            message = f"{name}: window: a pipeline with a schedule has the values of its last run; remove it"
            report.add(node, message, "comparison")
    elif past is not None and past.offset:
        # A few minutes of last week say little.
        usual = max(usual, spec.timing.long_window)
    window = _window(report, body, name, usual, spec)
    if _of_last_hour(found) and window > spec.timing.long_window:
        message = (
            f"{name}: {duration(window)} can't be told from the hour before; give it a `window` of an hour or less"
        )
        report.add(node or body.get("pace") or key, message, "range")
    if spec.schedule is None:
        if past is not None and past.offset and window < spec.timing.long_window:
            message = f"{name}: window: {duration(window)} of {past.words} say little; give it an hour or more"
            report.add(node or key, message, "range")
        _check_near(report, node or key, name, found, window)
    if any(condition.signal == "budget_burn" for condition in found):
        found = _burning(report, body, key, found, spec, severity)
        window = max((condition.burns[0].long for condition in found), default=window)
    if adding := _adding(found):
        _check_adding(report, body, key, f"{name}: {{}}{adding[0]}", spec)
        window = step_of(spec.timing)
    return found, window


def _window(report: Report, body: Mapping, name: str, usual: float, spec: Spec) -> float:
    least = 4 * spec.timing.scrape_interval
    node = body.get("window")
    window = fields.time(report, node, max(usual, least), f"{name}: window")
    if node is not None and window < least:
        message = f"{name}: window: {duration(window)} is under four scrape intervals ({duration(least)})"
        report.add(node, message, "range")
    return window


def _check_near(report: Report, at: Node, name: str, found: tuple[Condition, ...], window: float) -> None:
    """Report a window that can't be told from the time that it is compared with."""
    for past in filter(None, (each.reference or each.against for each in found)):
        if past.offset and window > past.offset / 2:
            # Hours in which its own alert was there, or soon before it, are nothing to compare with.
            message = (
                f"{name}: window: of {duration(window)}, {past.words} are too near to be told from what is now; "
                f"give it {duration(past.offset / 2)} or less"
            )
            report.add(at, message, "range")
            return


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


def _check_adding(report: Report, body: Mapping, key: Node, words: str, spec: Spec) -> None:
    """Report what keeps a failure mode from adding up steps; `words` begin each message, with a place for more."""
    if (node := body.get("window")) is not None:
        step = duration(step_of(spec.timing))
        report.add(node, f"{words.format('window: ')} adds up steps of {step}; remove it", "comparison")
    if not adds_up(spec.timing):
        apart, most = duration(spec.timing.scrape_interval), duration(LONGEST_STEP / 2)
        message = f"{words.format('')} needs scrapes that are {most} apart at most, and `scrape_interval` is {apart}"
        report.add(key, f"{message}; scrape more often, or take a signal with a window", "range")


def usual_for(found: tuple[Condition, ...], pace: Pace, window: float, spec: Spec) -> float:
    """Return how long the conditions hold before the alert fires, in seconds, where nobody says."""
    usual = max(
        (for_seconds(SIGNALS[c.signal], c.feature.direction if c.feature else None) for c in found), default=120.0
    )
    if _adding(found):
        # Two evaluations, which are one step each.
        usual = max(usual, 2 * window)
    if pace == "gradual":
        usual = max(usual, _GRADUAL_FOR)
    if any(SIGNALS[condition.signal].for_window for condition in found):
        usual = max(usual, window)
    # A lost scrape or two is no silence.
    return max(usual, 3 * spec.timing.scrape_interval)


def _adding(found: tuple[Condition, ...]) -> list[str]:
    """Return the signals that add up step by step."""
    return [condition.signal for condition in found if condition.signal in (CUSUM, SHIFT)]


def _of_last_hour(found: tuple[Condition, ...]) -> bool:
    """Tell whether something is compared with the hour before, which is what makes a change sudden."""
    return any(past.hold for each in found if (past := each.against or each.reference) is not None)

"""`schedule:` of a batch pipeline: how often a run is to end well, and which signals its last run can show."""

from __future__ import annotations

from pipemon.spec import fields
from pipemon.spec.fields import Report
from pipemon.spec.model import Reference, Schedule
from pipemon.spec.reader import Mapping, Node
from pipemon.spec.signals import Signal
from pipemon.units import duration

PERIODS = {"hourly": 3600.0, "daily": 86_400.0, "weekly": 7 * 86_400.0}
"""Periods that have a name, in seconds."""
KEYS = ("every", "grace")
_SHORTEST, _LONGEST = 300.0, 31 * 86_400.0
_LEAST_GRACE = 600.0

_INSTEAD = {
    "in_progress": "latency", "load": "latency", "cpu": "latency", "memory": "latency",
    "budget_burn": "error_ratio", "cusum": "error_ratio", "shift": "drift",
}  # fmt: skip
"""Signals of what goes on over time, which the values of a last run have lost, and what comes nearest."""


def schedule(report: Report, node: Node | None) -> Schedule | None:
    """Return what `schedule: daily` or `schedule: {every: 6h, grace: 1h}` says, or None where there is none."""
    if node is None:
        return None
    every, grace_node = node, None
    if isinstance(node, Mapping):
        fields.check_keys(report, node, KEYS, "schedule")
        found, grace_node = node.get("every"), node.get("grace")
        if found is None:
            report.add(node, "schedule: say how often: {every: daily, grace: 2h}", "missing")
            return None
        every = found
    expected = f"schedule: expected {fields.listed(tuple(PERIODS))}, or a period such as 6h"
    period = fields.period(report, every, PERIODS, expected, _SHORTEST, _LONGEST)
    if not period:
        return None
    # A run takes longer one day than another, and a day with a change of clocks has an hour more.
    grace = fields.time(report, grace_node, max(_LEAST_GRACE, period / 12), "schedule: grace")
    if period + grace > _LONGEST:
        report.add(every, f"schedule: expected 5m to {duration(_LONGEST)} with its grace", "range")
        return None
    return Schedule(period, grace)


def unseen(signal: Signal, compared: str = "") -> str:
    """Return why the last run's values can't tell a signal, or the one that it compares, as a clause, or ""."""
    if "labelled" in (signal.name, compared):
        return (
            "labels of what a run sent come in later runs, so the last run does not tell which share is labelled; "
            "expected a signal of the labels that came, of which 'label_delay' is the nearest"
        )
    name = compared if compared in _INSTEAD else signal.name
    if name not in _INSTEAD:
        return ""
    return (
        f"a pipeline with a schedule has the values of its last run only, which do not tell {name}; expected a share, "
        f"a mean, a quantile, drift, age, throughput or no_calls, of which {_INSTEAD[name]!r} is the nearest"
    )


def same_run(made: Schedule, reference: Reference) -> str:
    """Return why what is compared with is no other run, as a clause, or ""."""
    # What is held is of the window before, in which a run's values have not changed.
    if not reference.hold and (not reference.offset or reference.offset >= made.period):
        return ""
    others = [words for words, days in (("yesterday", 1), ("last week", 7)) if days * 86_400.0 >= made.period]
    hint = f"; compare with {fields.listed(others)}" if others else ""
    return f"{reference.words} may be the same run of a pipeline that runs every {duration(made.period)}{hint}"

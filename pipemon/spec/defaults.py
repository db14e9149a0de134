"""What a file's `defaults:` say for each of its failure modes that does not say it itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import cast

from pipemon.spec import fields
from pipemon.spec.fields import Report
from pipemon.spec.model import SEVERITIES, Severity
from pipemon.spec.reader import Mapping, Node, Scalar, kind, shown

KEYS = ("for", "keep_firing_for", "severity", "owner", "labels", "runbook", "mode")
MODES = ("notify", "observe")

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class Mode:
    """How an alert is treated: with `observe` it is recorded and routed nowhere, `since` a day where that is said."""

    observe: bool = False
    since: str = ""


@dataclass(frozen=True)
class Defaults:
    """Values where they are written, else None or nothing. Times in seconds."""

    for_: float | None = None
    keep_firing_for: float | None = None
    severity: Severity | None = None
    owner: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    runbook: str = ""
    mode: Mode = Mode()


def defaults(report: Report, node: Node | None, reserved: Iterable[str]) -> Defaults:
    """Return what `defaults:` says; `reserved` are the labels that no one may set."""
    if node is None:
        return Defaults()
    if not isinstance(node, Mapping):
        message = f"defaults: expected a mapping such as {{severity: ticket}}, found {kind(node)}"
        report.add(node, message, "type")
        return Defaults()
    fields.check_keys(report, node, KEYS, "defaults")
    return values(report, node, "defaults", reserved)


def values(report: Report, body: Mapping, where: str, reserved: Iterable[str]) -> Defaults:
    """Return those values of a mapping that `defaults:` and a failure mode have in common."""
    severity = fields.choice(report, body.get("severity"), SEVERITIES, "", f"{where}: severity")
    return Defaults(
        fields.time(report, body.get("for"), 0.0, f"{where}: for") or None,
        fields.time(report, body.get("keep_firing_for"), 0.0, f"{where}: keep_firing_for") or None,
        cast(Severity, severity) if severity else None,
        fields.text(report, body.get("owner"), f"{where}: owner"),
        fields.alert_labels(report, body.get("labels"), f"{where}: labels", reserved),
        fields.address(report, body.get("runbook"), f"{where}: runbook"),
        _mode(report, body.get("mode"), f"{where}: mode"),
    )


def over(own: Defaults, below: Defaults, *, says_mode: bool) -> Defaults:
    """Return a failure mode's own values over its file's; labels are joined, its own first in a conflict."""
    return Defaults(
        own.for_ or below.for_,
        own.keep_firing_for or below.keep_firing_for,
        own.severity or below.severity,
        own.owner or below.owner,
        tuple((dict(below.labels) | dict(own.labels)).items()),
        own.runbook or below.runbook,
        own.mode if says_mode else below.mode,
    )


def _mode(report: Report, node: Node | None, where: str) -> Mode:
    if isinstance(node, Mapping) and node.entries:
        name, key, day = next(iter(node))
        if name == "observe" and len(node.entries) == 1:
            return Mode(True, _day(report, day, f"{where}: observe"))
        message = f"{where}: expected notify, observe or {{observe: 2026-01-31}}, found {shown(name)}"
        report.add(key, message, "choice")
        return Mode()
    return Mode(fields.choice(report, node, MODES, "notify", where) == "observe")


def _day(report: Report, node: Node, where: str) -> str:
    text = node.text.strip() if isinstance(node, Scalar) else ""
    try:
        if not _DAY.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text).isoformat()
    except ValueError:
        found = shown(text) if text else kind(node)
        report.add(node, f"{where}: expected the day since when, such as 2026-01-31, found {found}", "type")
        return ""

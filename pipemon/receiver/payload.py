"""Alertmanager's webhook payload, version 4, as values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Status = Literal["firing", "resolved"]
_TOLD = {"alertname", "pipeline", "stage", "failure_mode", "severity", "kind", "owner"} | {
    "alertgroup", "prometheus", "prometheus_replica",
}  # fmt: skip
"""Labels that are told elsewhere, and those that vmalert and the Prometheus Operator add."""


class PayloadError(ValueError):
    """A body that is not an Alertmanager notification; its message is one sentence."""


@dataclass(frozen=True)
class Alert:
    """One alert of a notification. Texts are safe to print: one line, no control characters.

    `pipeline` and `failure_mode` are empty for alerts that pipemon's rules did not make, `stage` also for
    those of a whole pipeline. `starts_at` is when it fired, `ends_at` when it resolved; None where not told.
    `fingerprint` is the same for all that is told of the same labels, which are `labels`, sorted.
    """

    status: Status
    name: str
    pipeline: str
    stage: str
    failure_mode: str
    severity: str
    kind: str
    owner: str
    summary: str
    description: str
    do: str
    then: str
    runbook_url: str
    fingerprint: str
    starts_at: datetime | None
    ends_at: datetime | None
    labels: tuple[tuple[str, str], ...] = ()
    upstream: str = ""
    origin: str = ""
    dashboard_url: str = ""

    @property
    def place(self) -> str:
        """Pipeline and stage: `speech/vad`."""
        return "/".join(filter(None, (self.pipeline, self.pipeline and self.stage)))

    @property
    def title(self) -> str:
        """The failure mode, or what else there is to call it by."""
        return self.failure_mode or self.name or "an alert without a name"

    @property
    def where(self) -> str:
        """What further labels say: `cluster=eu, version=1.2`."""
        return ", ".join(f"{one_line(name)}={value}" for name, value in self.labels if value and name not in _TOLD)


@dataclass(frozen=True)
class Notification:
    """What Alertmanager sends at once: the alerts of a group, and how many it left out."""

    alerts: tuple[Alert, ...]
    left_out: int


def parse(body: bytes) -> Notification:
    """Return the notification in a webhook's body.

    Raises PayloadError, which says where and what, for anything that is not one. Unknown keys are
    ignored, and labels and annotations may be absent.
    """
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise PayloadError("the body is not JSON") from None
    alerts = _mapping(data, "the body").get("alerts")
    if not isinstance(alerts, list):
        raise PayloadError("alerts is not a list" if "alerts" in data else "the body has no alerts")
    left_out = data.get("truncatedAlerts", 0)
    return Notification(
        alerts=tuple(_alert(alert, f"alerts[{index}]") for index, alert in enumerate(alerts)),
        left_out=left_out if isinstance(left_out, int) and left_out > 0 else 0,
    )


def _alert(data: object, where: str) -> Alert:
    alert = _mapping(data, where)
    status = alert.get("status")
    if status not in ("firing", "resolved"):
        raise PayloadError(f"{where}.status is neither firing nor resolved")
    labels = _texts(alert, "labels", where)
    notes = _texts(alert, "annotations", where)
    return Alert(
        status=status,
        name=labels.get("alertname", ""),
        pipeline=labels.get("pipeline", "") if "failure_mode" in labels else "",
        stage=labels.get("stage", ""),
        failure_mode=labels.get("failure_mode", ""),
        severity=labels.get("severity", ""),
        kind=labels.get("kind", ""),
        owner=labels.get("owner", ""),
        summary=notes.get("summary", ""),
        description=notes.get("description", ""),
        do=notes.get("do", ""),
        then=notes.get("then", ""),
        runbook_url=notes.get("runbook_url", ""),
        fingerprint=_text(alert.get("fingerprint", ""), f"{where}.fingerprint") or _fingerprint(labels),
        starts_at=_time(alert, "startsAt", where),
        ends_at=_time(alert, "endsAt", where) if status == "resolved" else None,
        labels=tuple(sorted(labels.items())),
        upstream=notes.get("upstream", ""),
        origin=notes.get("origin", ""),
        dashboard_url=notes.get("dashboard_url", ""),
    )


def _fingerprint(labels: Mapping[str, str]) -> str:
    """Return one for a sender that tells none."""
    return hashlib.sha256(json.dumps(sorted(labels.items())).encode()).hexdigest()[:16]


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise PayloadError(f"{where} is not an object")
    return value


def _texts(alert: Mapping[str, Any], key: str, where: str) -> dict[str, str]:
    texts = _mapping(alert.get(key) or {}, f"{where}.{key}")
    return {name: _text(text, f"{where}.{key}.{one_line(name)}") for name, text in texts.items()}


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise PayloadError(f"{where} is not a string")
    return one_line(value)


def _time(alert: Mapping[str, Any], key: str, where: str) -> datetime | None:
    text = alert.get(key)
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise PayloadError(f"{where}.{key} is not a time such as 2025-01-31T08:15:30Z") from None
    # Alertmanager writes the year 1 for a time that is not known.
    return None if time.year == 1 else time if time.tzinfo else time.replace(tzinfo=UTC)


def one_line(text: str) -> str:
    """Return `text` on one line without what a terminal would obey: escapes, other controls, bidi marks."""
    return "".join(mark if mark.isprintable() else "\ufffd" for mark in " ".join(text.split()))

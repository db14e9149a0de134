"""What the receiver prints: one line for each alert."""

from __future__ import annotations

from datetime import datetime

from pipemon.receiver.payload import Alert
from pipemon.units import duration


def line(alert: Alert, at: datetime) -> str:
    """Return the line for an alert that was received `at`.

    `2025-01-31 08:15:30 FIRING critical speech/asr slow-asr: p95 is 0.71 s, above 0.3 s. Do: Add workers.`
    A resolved one tells how long it fired instead, since its last value is no longer true.
    """
    return f"{at:%Y-%m-%d %H:%M:%S} {sentence(alert)}"


def sentence(alert: Alert) -> str:
    """Return the line without its time."""
    head = " ".join(filter(None, (alert.status.upper(), alert.severity, _place(alert), _name(alert))))
    if alert.status == "resolved":
        return f"{head}{_lasted(alert)}"
    told = _stop(alert.description or alert.summary)
    do = alert.do and f"Do: {_stop(alert.do)}"
    then = alert.then and f"Then: {_stop(alert.then)}"
    said = " ".join(filter(None, (told, do, then)))
    return f"{head}: {said}" if said else head


def _place(alert: Alert) -> str:
    return "/".join(filter(None, (alert.pipeline, alert.pipeline and alert.stage)))


def _name(alert: Alert) -> str:
    return alert.failure_mode or alert.name or "an alert without a name"


def _lasted(alert: Alert) -> str:
    if alert.starts_at is None or alert.ends_at is None:
        return ""
    seconds = (alert.ends_at - alert.starts_at).total_seconds()
    return f" after {duration(round(seconds))}" if seconds >= 1 else ""


def _stop(text: str) -> str:
    return text and text.rstrip(" .") + "."

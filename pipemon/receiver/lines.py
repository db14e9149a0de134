"""What the receiver prints: one line for each alert."""

from __future__ import annotations

from datetime import datetime

from pipemon.receiver.payload import Alert
from pipemon.units import duration


def line(alert: Alert, at: datetime, *, again: bool = False) -> str:
    """Return the line for an alert that was received `at`; `again` where it was told before and fires still.

    `2025-01-31 08:15:30 FIRING critical speech/asr slow-asr (cluster=eu): p95 is 0.71 s, above 0.3 s. Do: Add workers.`
    A resolved one tells how long it fired instead, since its last value is no longer true.
    """
    look = alert.status == "firing" and (alert.dashboard_url or alert.runbook_url)
    told = f"{at:%Y-%m-%d %H:%M:%S} {sentence(alert, _lasting(alert, at) if again else '')}"
    return f"{told} Look: {look}" if look else told


def sentence(alert: Alert, still: str = "") -> str:
    """Return the line without its time and its link; `still` is how long an alert fires that was told before."""
    status = f"{'STILL ' if still else ''}{alert.status.upper()}"
    where = alert.where and f"({alert.where})"
    head = " ".join(filter(None, (status, alert.severity, alert.place, alert.title, where, still)))
    if alert.status == "resolved":
        return f"{head}{_lasted(alert)}"
    told = _stop(alert.description or alert.summary)
    # That nothing fires upstream is no news.
    upstream = alert.upstream if alert.upstream.startswith("Fires") else ""
    do = alert.do and f"Do: {_stop(alert.do)}"
    then = alert.then and f"Then: {_stop(alert.then)}"
    said = " ".join(filter(None, (told, upstream, alert.origin, do, then)))
    return f"{head}: {said}" if said else head


def _lasting(alert: Alert, at: datetime) -> str:
    # Of a time that is not told, or ahead of this machine's clock, there is no more to say.
    seconds = (at - alert.starts_at).total_seconds() if alert.starts_at else 0
    return f"after {duration(round(seconds))}" if seconds >= 1 else "on"


def _lasted(alert: Alert) -> str:
    if alert.starts_at is None or alert.ends_at is None:
        return ""
    seconds = (alert.ends_at - alert.starts_at).total_seconds()
    return f" after {duration(round(seconds))}" if seconds >= 1 else ""


def _stop(text: str) -> str:
    return text if text.endswith(("!", "?")) else text and text.rstrip(" .") + "."

"""Notifications as Alertmanager sends them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from pipemon.receiver.payload import Notification, parse

NOW = 1_790_000_000.0


def stamp(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat()


def body(*alerts: dict[str, Any]) -> bytes:
    return json.dumps({"version": "4", "alerts": list(alerts)}).encode()


def firing(mode: str = "vad-cuts", then: str = "rollback vad", start: float = NOW, **labels: str) -> dict[str, Any]:
    own = {"alertname": "A", "pipeline": "speech", "stage": "vad", "failure_mode": mode, "severity": "critical"}
    return {
        "status": "firing",
        "labels": own | labels,
        "annotations": {"description": "null outputs 31%", "do": "Look"} | ({"then": then} if then else {}),
        "startsAt": stamp(start),
    }


def resolved(mode: str = "vad-cuts", start: float = NOW, end: float = NOW + 60, **labels: str) -> dict[str, Any]:
    return firing(mode, start=start, **labels) | {"status": "resolved", "endsAt": stamp(end)}


def told(*alerts: dict[str, Any]) -> Notification:
    return parse(body(*alerts))

"""The message templates, rendered by Alertmanager's own tool: what the on-call reads."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipemon.generate.templates import templates_file

LABELS = {
    "alertname": "SpeechSlow",
    "pipeline": "speech",
    "stage": "asr",
    "failure_mode": "slow",
    "severity": "critical",
    "kind": "software",
    "owner": "speech-team",
    "cluster": "eu",
    "prometheus": "monitoring/k8s",
}
ANNOTATIONS = {
    "summary": "The recogniser is slow",
    "description": "Calls of asr over 300ms: 31% over 5m, above the 1% that p99 leaves.",
    "upstream": "Fires upstream, the earliest first: vad/vad-cuts-everything.",
    "overran": "asr took 1.4 times its budget on average, more than any other stage.",
    "holds_back": "answer-too-late",
    "do": "Add workers.",
    "dashboard_url": "https://grafana.example/d/speech",
    "runbook_url": "https://wiki.example/speech#slow",
}


def rendered(folder: Path, name: str, *alerts: dict[str, Any]) -> str:
    if shutil.which("amtool") is None:
        pytest.skip("needs amtool on the PATH")
    (folder / "pipemon.tmpl").write_text(templates_file())
    data = {
        "receiver": "page",
        "status": "firing" if any(alert["status"] == "firing" for alert in alerts) else "resolved",
        "alerts": list(alerts),
        "groupLabels": {},
        "commonLabels": dict(set.intersection(*({*alert["labels"].items()} for alert in alerts))),
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
    }
    (folder / "data.json").write_text(json.dumps(data))
    command = [
        "amtool", "template", "render", "--template.glob=pipemon.tmpl", "--template.data=data.json",
        f'--template.text={{{{ template "{name}" . }}}}',
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip("\n")


def alert(status: str = "firing", **labels: str) -> dict[str, Any]:
    return {
        "status": status,
        "labels": LABELS | labels,
        "annotations": ANNOTATIONS,
        "startsAt": "2026-01-31T08:15:30Z",
        "endsAt": "2026-01-31T09:00:00Z",
    }


def test_an_alert_tells_what_where_how_bad_since_when_who_moved_first_what_to_do_and_where_to_look(
    tmp_path: Path,
) -> None:
    assert rendered(tmp_path, "pipemon.text", alert()) == (
        "speech/asr slow (critical) cluster=eu: The recogniser is slow\n"
        "Calls of asr over 300ms: 31% over 5m, above the 1% that p99 leaves.\n"
        "Since 2026-01-31 08:15 UTC. Fires upstream, the earliest first: vad/vad-cuts-everything. "
        "asr took 1.4 times its budget on average, more than any other stage.\n"
        "Held back while it lasts: answer-too-late.\n"
        "Do: Add workers.\n"
        "Dashboard: https://grafana.example/d/speech?from=1769843730000&to=now\n"
        "Runbook: https://wiki.example/speech#slow"
    )


def test_what_has_resolved_comes_last_without_its_old_value(tmp_path: Path) -> None:
    text = rendered(tmp_path, "pipemon.text", alert("resolved", failure_mode="dead-air"), alert())
    first, last = text.split("\n\nResolved:\n")
    assert first.startswith("speech/asr slow (critical) cluster=eu")
    assert last.startswith(
        "speech/asr dead-air (critical) cluster=eu: The recogniser is slow\n"
        "From 2026-01-31 08:15 to 2026-01-31 09:00 UTC."
    )
    assert "31%" not in last


def test_two_canaries_in_two_clusters_are_told_apart(tmp_path: Path) -> None:
    text = rendered(tmp_path, "pipemon.text", alert(version="1.1"), alert(version="1.2", cluster="us"))
    assert [line for line in text.splitlines() if line.startswith("speech/")] == [
        "speech/asr slow (critical) cluster=eu version=1.1: The recogniser is slow",
        "speech/asr slow (critical) cluster=us version=1.2: The recogniser is slow",
    ]


def test_the_dashboard_of_what_has_resolved_is_that_of_its_time(tmp_path: Path) -> None:
    found = alert("resolved")
    found["annotations"] = ANNOTATIONS | {"dashboard_url": "https://grafana.example/d/speech?viewPanel=7"}
    told = rendered(tmp_path, "pipemon.text", found)
    assert "Dashboard: https://grafana.example/d/speech?viewPanel=7&from=1769843730000&to=1769853600000" in told


@pytest.mark.parametrize(
    ("alerts", "title"),
    [
        ([alert()], "[FIRING:1] speech/asr slow (critical) cluster=eu"),
        ([alert(), alert(failure_mode="wrong", stage="vad")], "[FIRING:2] speech (critical) cluster=eu"),
        ([alert("resolved")], "[RESOLVED] speech/asr slow (critical) cluster=eu"),
    ],
)
def test_the_title_says_what_all_alerts_have_in_common(
    tmp_path: Path, alerts: list[dict[str, Any]], title: str
) -> None:
    assert rendered(tmp_path, "pipemon.title", *alerts) == title

"""Staging and production, each with a Prometheus of its own that names it by an external label, in one Alertmanager."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.request import urlopen

import pytest
from real_servers import running_alertmanager

from pipemon.generate.alertmanager import alertmanager_file
from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rules
from pipemon.spec.load import load

pytestmark = pytest.mark.integration

SPEC = """\
pipeline: chain
owner: team
keep: [environment]
stages: {first: {}, second: {after: first}}
failure_modes:
  empty: {what: Nothing comes out, stage: first, signal: null_ratio, severity: page}
  blank: {what: So nothing comes in, stage: second, signal: null_ratio, severity: ticket}
"""


def test_a_page_of_staging_neither_holds_back_nor_joins_what_production_tells(tmp_path: Path) -> None:
    (tmp_path / "chain.yaml").write_text(SPEC)
    made = plan(load(tmp_path / "chain.yaml"))
    alerts = {alert.mode.name: alert for alert in rules(made.spec).alerts}

    def fires(mode: str, environment: str) -> dict[str, str]:
        alert = alerts[mode]
        place = {"pipeline": "chain", "stage": str(alert.mode.stage), "environment": environment}
        return {"alertname": alert.name, **place, **alert.labels}

    firing = {
        f"{mode} {environment}": fires(mode, environment)
        for mode, environment in (("empty", "staging"), ("blank", "staging"), ("blank", "production"))
    }
    with running_alertmanager(alertmanager_file([made], "http://127.0.0.1:1/"), tmp_path / "alertmanager") as inbox:
        assert inbox.held_back(firing) == {"blank staging": "empty staging"}
        with urlopen(f"{inbox.url}/api/v2/alerts/groups", timeout=10) as answer:
            groups = json.load(answer)
    told = [(group["receiver"]["name"], group["labels"].get("environment"), len(group["alerts"])) for group in groups]
    assert sorted(each for each in told if each[1]) == [
        ("team-page", "staging", 1),
        ("team-ticket", "production", 1),
        ("team-ticket", "staging", 1),
    ]

"""A batch pipeline's rules: of the last run's values, and of runs that do not come."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import yaml
from rule_subsets import failing_modes

from pipemon.generate.dashboards.pipeline import dashboard
from pipemon.generate.formats.scraping import prometheus_document
from pipemon.generate.inhibition import plan
from pipemon.generate.promql import text
from pipemon.generate.rules import Rules, rule_file, rules
from pipemon.spec.load import load
from pipemon.spec.model import Schedule
from pipemon.spec.scale import scaled

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def made() -> Rules:
    return rules(plan(load(HERE / "nightly.yaml")).spec)


@pytest.mark.integration
def test_every_generated_rule_test_passes_on_what_runs_push(made: Rules, tmp_path: Path) -> None:
    assert failing_modes(made, tmp_path) == {}


@pytest.mark.integration
def test_drift_is_that_of_the_last_run(tmp_path: Path) -> None:
    document = yaml.safe_load((HERE / "drifting.yaml").read_text())
    modes = document["failure_modes"]
    kept = {"hotter-than-usual"}
    document |= {
        "schedule": "daily",
        "baseline": str(HERE / "drifting.baseline.json"),
        "failure_modes": {name: {**body, "for": "2m"} for name, body in modes.items() if name in kept},
    }
    (tmp_path / "kitchen.yaml").write_text(yaml.safe_dump(document))
    found = rules(plan(load(tmp_path / "kitchen.yaml")).spec)
    assert {mode.name for mode in found.spec.measurable} == kept
    assert failing_modes(found, tmp_path) == {}


def test_counters_are_read_as_they_were_pushed(made: Rules) -> None:
    """A rate of what a gateway keeps is nothing."""
    written = rule_file(made)
    assert "last_over_time(pipemon_stage_calls_total{" in written
    assert "increase(" not in written
    assert "rate(" not in written


def test_panels_show_last_values(made: Rules) -> None:
    shown = json.dumps(dashboard(made.spec))
    assert "increase(" not in shown
    assert " rate(" not in shown
    assert "Calls of the last run, by outcome" in shown
    assert "Since the last success" in shown


def test_a_grace_of_a_twelfth_is_part_of_the_limit(made: Rules) -> None:
    (late,) = (alert for alert in made.alerts if alert.mode.name == "nightly-missing")
    assert "> 93600" in text(late.expr)


def test_a_gateway_is_scraped_once_and_its_jobs_keep_their_names(made: Rules) -> None:
    document = prometheus_document([made.spec, replace(made.spec, pipeline="weekly")], (), "127.0.0.1:9093")
    (job,) = cast("list[dict[str, object]]", document["scrape_configs"])
    assert job["honor_labels"] is True


def test_a_time_scale_divides_the_schedule(made: Rules) -> None:
    shorter = scaled(made.spec, 60).schedule
    assert shorter == Schedule(1440.0, 120.0)

"""A batch pipeline's rules: of the last run's values, and of runs that do not come."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import yaml
from real_servers import tool
from rule_subsets import failing_modes

from pipemon.generate.coverage import summary
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


BY_HAND = """
pipeline: nightly
scrape_interval: 2m
schedule: daily
stages: {load: {}}
failure_modes:
  few: {what: Few rows came, stage: load, signal: throughput, below: 1000}
  fewer: {what: Half as many as last night came, stage: load, signal: throughput, below: 0.5x yesterday}
"""


@pytest.mark.integration
def test_the_items_of_the_last_run_are_those_of_all_its_shards_told_by_hand(tmp_path: Path) -> None:
    """Nights of 1500, 1100 and 500 rows, the last with a scrape lost; then a run anew of 1500."""
    (tmp_path / "nightly.yaml").write_text(BY_HAND)
    (tmp_path / "rules.yml").write_text(rule_file(rules(plan(load(tmp_path / "nightly.yaml")).spec)))

    def pushed(*rows: int, track: str = "stable", **labels: str) -> dict[str, str]:
        own = {"pipeline": "nightly", "stage": "load", "version": "1", "track": track, **labels}
        name = "pipemon_stage_items_in_total" + "{" + ",".join(f'{k}="{v}"' for k, v in own.items()) + "}"
        first, second, third, anew = rows
        # A sample every 4m, and none at 49h.
        return {"series": name, "values": f"{first}x359 {second}x359 {third}x14 _ {third}x13 {anew}x20"}

    def firing(at: str, *modes: str) -> dict[str, object]:
        samples = [{"labels": f'{{failure_mode="{mode}"}}', "value": 1} for mode in modes]
        expr = 'count by (failure_mode) (ALERTS{alertstate="firing"})'
        return {"expr": expr, "eval_time": at, "exp_samples": samples}

    test = {
        "interval": "4m",
        "input_series": [
            pushed(800, 600, 300, 1200, shard="a"),
            pushed(700, 500, 200, 300, shard="b"),
            pushed(5000, 5000, 5000, 5000, track="shadow", shard="a"),
        ],
        "promql_expr_test": [
            firing("23h"),
            firing("47h"),
            firing("48h4m"),
            firing("48h8m", "few", "fewer"),
            firing("49h", "few", "fewer"),
            firing("50h4m"),
        ],
    }
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "4m", "tests": [test]}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(document))
    tool("promtool", "test", "rules", "tests.yml", cwd=tmp_path)


@pytest.mark.parametrize(("signal", "asks"), [("null_ratio", True), ("throughput, below: 10", False)])
def test_runs_that_may_be_of_any_size_are_asked_about(signal: str, asks: bool, tmp_path: Path) -> None:
    head = BY_HAND.partition("  few:")[0]
    (tmp_path / "nightly.yaml").write_text(f"{head}  empty: {{what: Nothing comes, stage: load, signal: {signal}}}\n")
    told = [line for line in summary(plan(load(tmp_path / "nightly.yaml"))) if "how many items a run has" in line]
    assert (
        told
        == [
            "  no failure mode watches how many items a run has; a run on nothing ends well: "
            "{stage: load, signal: throughput, below: 0.5x last week}"
        ]
        * asks
    )


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

"""What shares are of, told by hand-written series: skipped calls, and items that come out more often than in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.load import load

pytestmark = pytest.mark.integration

SPEC = """
pipeline: shop
stages: {classify: {one_to_one: true}}
failure_modes:
  fails: {what: It fails, stage: classify, signal: error_ratio, above: 20%}
  lost: {what: Items get lost, stage: classify, signal: unaccounted_ratio}
"""
PLACE = '{pipeline="shop",stage="classify",version="1",track="stable"}'


def firing(folder: Path, totals: dict[str, int]) -> str:
    """Return how many alerts fire, as promtool has it, where these counters rise by so many a minute."""
    (folder / "shop.yaml").write_text(SPEC)
    (folder / "rules.yml").write_text(rule_file(rules(plan(load(folder / "shop.yaml")).spec)))
    inputs = [
        {"series": f"pipemon_stage_{name}_total{PLACE}", "values": f"0+{rise}x30"} for name, rise in totals.items()
    ]
    count = {"expr": "count(ALERTS{alertstate='firing'}) or vector(0)", "eval_time": "25m"}
    for number in (0, 1):
        samples = [{"labels": "{}", "value": number}]
        test = {
            "interval": "1m",
            "input_series": inputs,
            "promql_expr_test": [{**count, "exp_samples": samples}],
        }
        (folder / "tests.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": [test]}))
        command = ["promtool", "test", "rules", "tests.yml"]
        if subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0:
            return str(number)
    return "more"


def test_skipped_calls_do_not_dilute_the_share_that_fails(tmp_path: Path) -> None:
    assert firing(tmp_path, {"calls": 100, "failures": 10, "skipped": 0}) == "0"
    assert firing(tmp_path, {"calls": 100, "failures": 10, "skipped": 80}) == "1"


def test_an_exporter_without_skips_has_shares_of_all_its_calls(tmp_path: Path) -> None:
    assert firing(tmp_path, {"calls": 100, "failures": 30}) == "1"


@pytest.mark.parametrize(
    ("ways", "number"),
    [
        ({"out": 70, "null": 5, "failed": 10, "dropped": 15}, "0"),
        ({"out": 67, "null": 5, "failed": 10, "dropped": 15}, "1"),
        ({"out": 73, "null": 5, "failed": 10, "dropped": 15}, "1"),
    ],
    ids=["all told", "some are lost", "more come out than in"],
)
def test_items_are_accounted_for_both_ways(ways: dict[str, int], number: str, tmp_path: Path) -> None:
    items = {f"items_{way}": rise for way, rise in {"in": 100, **ways}.items()}
    assert firing(tmp_path, items) == number

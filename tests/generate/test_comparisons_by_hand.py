"""Comparisons in time and between versions, told by hand-written series: what a deploy must neither hide nor raise."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from pipemon.generate.inhibition import plan
from pipemon.generate.promql import Aggregate, Binary, ManyToManyError, Recorded
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.load import load

SPEC = """
pipeline: shop
scrape_interval: 1m
stages: {classify: {}}
failure_modes:
  redo: {what: Users ask again, stage: classify, signal: {feedback: redo}, above: 2x yesterday, for: 2m}
  worse: {what: The canary is worse, stage: classify, signal: {compare: null_ratio}, above: 1.5x stable}
"""
DAY = 24 * 60
"""Minutes, which are scrapes."""


def rising(name: str, version: str, track: str, *phases: tuple[int, float], **more: str) -> dict[str, str]:
    """Return a counter that rises by so much a minute for so many minutes; a negative rise is no series at all."""
    labels = {"pipeline": "shop", "stage": "classify", "version": version, "track": track, **more}
    parts, level = [], 0.0
    for minutes, rise in phases:
        if rise < 0:
            parts.append(f"_x{minutes}")
            continue
        parts.append(f"{level:g}+{rise:g}x{minutes - 1}")
        level += rise * minutes
    inner = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return {"series": f"pipemon_{name}_total{{{inner}}}", "values": " ".join(parts)}


def firing(folder: Path, series: list[dict[str, str]], at: dict[int, list[str]]) -> str:
    """Return what promtool finds different from the alerts that should fire at each minute, "" for nothing."""
    (folder / "shop.yaml").write_text(SPEC)
    (folder / "rules.yml").write_text(rule_file(rules(plan(load(folder / "shop.yaml")).spec)))
    exprs = [
        {
            "expr": "count by (failure_mode, version) (ALERTS{alertstate='firing'})",
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": labels, "value": 1} for labels in expected],
        }
        for minute, expected in at.items()
    ]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": exprs}
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [test]}
    (folder / "tests.yml").write_text(yaml.safe_dump(document))
    command = ["promtool", "test", "rules", "tests.yml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


REDO = '{failure_mode="redo"}'
WORSE = '{failure_mode="worse",version="3"}'


@pytest.mark.integration
def test_a_deploy_during_a_tenfold_jump_does_not_hide_it(tmp_path: Path) -> None:
    jump, deploy = DAY + 60, DAY + 65
    new = 40
    series = [
        rising("stage_calls", "1", "stable", (deploy, 60)),
        rising("feedback", "1", "stable", (jump, 1), (deploy - jump, 10), signal="redo", slice=""),
        rising("stage_calls", "2", "stable", (deploy, -1), (new, 60)),
        rising("feedback", "2", "stable", (deploy, -1), (new, 10), signal="redo", slice=""),
    ]
    assert firing(tmp_path, series, {jump - 1: [], deploy + 6: [REDO], deploy + 30: [REDO]}) == ""


@pytest.mark.integration
def test_a_deploy_a_restart_and_fewer_replicas_raise_nothing(tmp_path: Path) -> None:
    # Version 1 restarts at a day and half an hour, and goes as version 2 comes.
    restart, deploy, left = DAY + 30, DAY + 60, 60
    series = []
    for name, rise, more in (("stage_calls", 60.0, {}), ("feedback", 3.0, {"signal": "redo", "slice": ""})):
        first = rising(name, "1", "stable", (restart, rise), instance="a", **more)
        again = rising(name, "1", "stable", (deploy - restart, rise), **more)
        series.append({**first, "values": f"{first['values']} {again['values']}"})
        series.append(rising(name, "1", "stable", (deploy + 10, rise), instance="b", **more))
        series.append(rising(name, "2", "stable", (deploy, -1), (left, rise), instance="c", **more))
    assert firing(tmp_path, series, {minute: [] for minute in range(DAY + 20, deploy + left, 5)}) == ""


@pytest.mark.integration
def test_a_pipeline_without_a_yesterday_is_not_alerted_on(tmp_path: Path) -> None:
    series = [
        rising("stage_calls", "1", "stable", (60, 60)),
        rising("feedback", "1", "stable", (20, 1), (40, 30), signal="redo", slice=""),
    ]
    assert firing(tmp_path, series, {30: [], 55: []}) == ""


@pytest.mark.integration
@pytest.mark.parametrize(("share", "alerts"), [(0.06, []), (0.16, [WORSE])], ids=["as good", "worse"])
def test_a_canary_beside_two_stable_versions_is_judged_by_both_together(
    share: float, alerts: list[str], tmp_path: Path
) -> None:
    # Stable is 30 of 600 in one version and 60 of 400 in the other: 9% of all.
    series = [
        rising("stage_calls", "1", "stable", (40, 600)),
        rising("stage_null_outputs", "1", "stable", (40, 30)),
        rising("stage_calls", "2", "stable", (10, -1), (30, 400)),
        rising("stage_null_outputs", "2", "stable", (10, -1), (30, 60)),
        rising("stage_calls", "3", "canary", (40, 100)),
        rising("stage_null_outputs", "3", "canary", (40, 100 * share)),
    ]
    assert firing(tmp_path, series, {30: alerts, 38: alerts}) == ""


@pytest.mark.integration
@pytest.mark.parametrize(("nulls", "fires"), [(0.8, False), (1.0, True)])
def test_a_canary_beside_a_stable_version_without_a_null_output_is_no_worse_by_chance(
    nulls: float, fires: bool, tmp_path: Path
) -> None:
    # Of 300 calls in five minutes none are taken for three, of which the canary is to have 1.5 times as many: 4.5.
    series = [
        rising("stage_calls", "2", "stable", (30, 60)),
        rising("stage_null_outputs", "2", "stable", (30, 0)),
        rising("stage_calls", "3", "canary", (30, 60)),
        rising("stage_null_outputs", "3", "canary", (30, nulls)),
    ]
    assert firing(tmp_path, series, {20: [WORSE] if fires else []}) == ""


def test_a_join_needs_one_series_on_its_one_side() -> None:
    many = Recorded("pipeline_stage_version:pipemon_x:rate5m", ("pipeline", "stage", "version"))
    on = ("pipeline", "stage")
    Binary(">", many, Binary("*", 1.5, Aggregate("max", on, many)), on=on, group_left=True)
    with pytest.raises(ManyToManyError, match="no aggregation by pipeline, stage"):
        Binary(">", many, Binary("*", 1.5, many), on=on, group_left=True)
    with pytest.raises(ManyToManyError):
        Binary(">", many, Aggregate("max", (*on, "version"), many), on=on, group_left=True)

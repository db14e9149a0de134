"""A day's rhythm is no dependence between the same hours: from a past in Prometheus to an alert, end to end."""

from __future__ import annotations

import json
import math
import random
from itertools import accumulate
from pathlib import Path

import past as past_module
import pytest
from click.testing import CliRunner
from past import BEGIN, blocks
from real_servers import running_prometheus
from rule_tests import Expect, check, rules_of

from pipemon.cli import cli
from pipemon.spec.baseline import load

pytestmark = pytest.mark.integration

SPEC = """\
pipeline: past
owner: team
scrape_interval: 5m
baseline: past.baseline.json
stages: {hear: {features: {input.word: [left, right]}}}
failure_modes:
  unlike: {what: x, stage: hear, signal: {drift: input.word}, against: same hour yesterday, for: 30m}
"""
STEP = 300
DAYS = 6
CALLS = 25
WORDS = ("left", "right")
PLACE = 'pipeline="past",stage="hear",track="stable",version="1",direction="input",feature="word"'


def left(step: int) -> float:
    """The share of one word: nearly all by day, hardly any by night."""
    return 0.5 + 0.4 * math.sin(2 * math.pi * step * STEP / 86_400)


def counted(word: str) -> str:
    return f'pipemon_feature_category_total{{{PLACE},category="{word}"}}'


def info() -> str:
    return f'pipemon_feature_info{{{PLACE},bins=""}}'


def test_what_comes_every_day_leaves_a_verdict_from_yesterday(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past_module, "STEP", STEP)
    chance, steps = random.Random(5), DAYS * 86_400 // STEP
    lefts = [sum(chance.random() < left(step) for _ in range(CALLS)) for step in range(steps)]
    series: dict[str, list[float | None]] = {
        counted(word): [0.0, *accumulate(float(each if word == "left" else CALLS - each) for each in lefts)]
        for word in WORDS
    }
    series[info()] = [1.0] * (steps + 1)
    series[f"pipemon_feature_observed_total{{{PLACE}}}"] = [float(CALLS * step) for step in range(steps + 1)]
    blocks(series, tmp_path / "data")
    path = tmp_path / "past.yaml"
    path.write_text(SPEC)
    with running_prometheus("{}", tmp_path) as prometheus:
        period = ["--from", str(BEGIN), "--to", str(BEGIN + DAYS * 86_400)]
        done = CliRunner().invoke(cli, ["baseline", str(path), "--url", prometheus.url, *period])
    assert done.exit_code == 0, done.output
    learned = load(tmp_path / "past.baseline.json").features["hear.input.word"]
    assert learned.design_effect > 100
    assert 1 <= learned.seasonal_design_effects["daily"] < 1.3
    assert "weekly" not in learned.seasonal_design_effects

    # The rhythm of two days, then a day that is all night; 1,800 values in six hours, 100 of which must be independent.
    rises = [CALLS * left(step) for step in range(2 * 288)] + [CALLS * 0.1] * 288
    live = {
        counted(word): " ".join(map(repr, accumulate(each if word == "left" else CALLS - each for each in rises)))
        for word in WORDS
    }
    live[info()] = f"1x{len(rises)}"
    firing = 'count(ALERTS{alertstate="firing"}) or vector(0)'
    expected = [Expect("47h", f"max_over_time(({firing})[46h:10m])", {"{}": 0}), Expect("56h", firing, {"{}": 1})]
    check(rules_of(path), live, expected, tmp_path, "5m", "10m")

    # A baseline of values in their order alone knows of no hours: nothing is said then.
    told = json.loads((tmp_path / "past.baseline.json").read_text())
    del told["features"]["hear.input.word"]["seasonal_design_effects"]
    (tmp_path / "past.baseline.json").write_text(json.dumps(told))
    check(rules_of(path), live, [Expect("56h", firing, {"{}": 0})], tmp_path, "5m", "10m")


def test_a_window_of_a_day_is_told_once_it_holds_one_and_a_restart_does_not_blind_it(tmp_path: Path) -> None:
    path = tmp_path / "past.yaml"
    path.write_text(SPEC.replace("against: same hour yesterday", "window: 1d"))
    features = '{"hear.input.word": {"count": 9000, "categories": {"left": 0.5, "right": 0.5}}}'
    (tmp_path / "past.baseline.json").write_text(f'{{"pipeline": "past", "from": 0, "to": 1, "features": {features}}}')
    hour = 3600 // STEP
    # One word only, all along; another process takes over after 30 hours, and an hour in which there is none.
    first, pause, second = 30 * hour, hour, 30 * hour
    live = {
        f'{counted("left")[:-1]},instance="a"}}': f"0+{CALLS}x{first} stale",
        f'{info()[:-1]},instance="a"}}': f"1x{first} stale",
        f'{counted("left")[:-1]},instance="b"}}': f"_x{first + pause} 0+{CALLS}x{second}",
        f'{info()[:-1]},instance="b"}}': f"_x{first + pause} 1x{second}",
    }
    firing = 'count(ALERTS{alertstate="firing"}) or vector(0)'
    expected = [
        Expect("23h50m", f"max_over_time(({firing})[23h:10m])", {"{}": 0}),
        Expect("25h", firing, {"{}": 1}),
        Expect("60h", f"min_over_time(({firing})[27h:10m])", {"{}": 1}),
    ]
    check(rules_of(path), live, expected, tmp_path, "5m", "10m")

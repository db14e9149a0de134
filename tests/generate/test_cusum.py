"""Cumulative sums of bad events: what they do in promtool, and how often chance makes them."""

from __future__ import annotations

from itertools import accumulate
from math import log2
from pathlib import Path

import numpy as np
import pytest
from rule_subsets import failing_modes
from rule_tests import Expect, check, fired, rules_of

from benchmarks.drift.cusum import chain, run_length
from pipemon.generate.cusum import MOST
from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rules
from pipemon.spec.cusum import LIMIT, RUN_LENGTH, slack
from pipemon.spec.load import load

SPEC = """\
pipeline: shop
owner: team
keep: [cluster]
stages:
  read: {features: {input.pitch: hertz}}
  judge: {after: read}
slices: {age: [young, old]}
failure_modes:
  a-little-more: {what: x, stage: read, signal: {cusum: null_ratio}, above: 10%}
  no-pitch: {what: x, stage: read, signal: {cusum: missing_ratio input.pitch}, above: 0.1%}
  young-ask-again: {what: x, stage: judge, signal: {cusum: feedback redo}, slice: age=young, above: 4%}
  means-something-else: {what: x, stage: judge, signal: {cusum: wrong_ratio}, above: 55%, severity: page}
  answers-fail: {what: x, signal: {cusum: error_ratio}, above: 1%, keep_firing_for: 10m}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(SPEC)
    return path


@pytest.mark.integration
def test_shares_of_any_kind_fire_once_they_add_up_stay_quiet_and_resolve(spec: Path, tmp_path: Path) -> None:
    assert failing_modes(rules(plan(load(spec)).spec), tmp_path) == {}


@pytest.mark.integration
def test_each_step_is_added_once_and_the_sum_begins_anew_where_the_counters_did(spec: Path, tmp_path: Path) -> None:
    random, steps, scrapes, calls = np.random.default_rng(1), 30, 16, 64
    bad = random.binomial(calls, 0.14, steps)
    # All is bad for a while, then the process is gone for two steps.
    bad[18:21] = calls
    gone = 24
    counts: dict[str, list[float]] = {
        "null_outputs": [*accumulate(np.repeat(bad / scrapes, scrapes).tolist())],
        "calls": [(i + 1) * calls / scrapes for i in range(steps * scrapes)],
        "skipped": [0.0] * steps * scrapes,
    }
    series = {}
    for name, values in counts.items():
        shown = [f"{value:.10g}" for value in (0, *values)]
        shown[gone * scrapes + 1 : (gone + 2) * scrapes + 1] = ["stale", *["_"] * (2 * scrapes - 1)]
        place = 'cluster="eu",pipeline="shop",stage="read",version="1",track="stable"'
        series[f"pipemon_stage_{name}_total{{{place}}}"] = " ".join(shown)
    seen, sums = 1 - 1 / scrapes, [0.0]
    for more in bad.tolist():
        sums.append(min(max(sums[-1] + seen * (more - slack(0.1) * calls), 0.0), MOST))
    name = (
        "round(sum by (stage) (cluster_pipeline_stage_failure_mode:pipemon_stage_null_outputs_cusum:increase4m), 1e-6)"
    )
    expected = [Expect(f"{4 * step}m", name, {'{stage="read"}': round(sums[step], 6)}) for step in (3, 9, 17, 21, gone)]
    expected += [
        Expect(f"{4 * (gone + 2)}m", name, {}),
        fired(f"{4 * 17}m", f"{4 * 17}m"),
        fired(f"{4 * gone}m", "8m", "ShopALittleMore"),
        fired(f"{4 * steps}m", "8m"),
    ]
    check(rules_of(spec), series, expected, tmp_path, evaluation="4m")
    assert max(sums[:18]) < LIMIT < sums[gone] <= MOST


def test_each_event_takes_log2_of_one_and_the_tolerated_share() -> None:
    share, odds = 0.02, 2.0
    other = odds * share / (1 - share + odds * share)
    ratios = other / share, (1 - other) / (1 - share)
    assert slack(share) == pytest.approx(1 - log2(ratios[0]))
    assert slack(share) == pytest.approx(-log2(ratios[1]))
    assert share < slack(share) < other


@pytest.mark.parametrize("steps_down", [200, 35, 7], ids=["0.3%", "2%", "10%"])
def test_by_chance_a_sum_passes_its_limit_no_more_often_than_is_said(steps_down: int) -> None:
    assert RUN_LENGTH <= chain(LIMIT, steps_down) < 1.4 * RUN_LENGTH


def test_the_run_length_of_the_steps_added_up_is_the_chains() -> None:
    random, share = np.random.default_rng(1), 2 ** (1 / 7) - 1
    # The limit is between two values that a sum can have.
    one_by_one, _ = run_length(random, share, share, calls=1, limit=6.05, streams=2000, steps=8000)
    assert one_by_one == pytest.approx(chain(6.0, 7), rel=0.05)
    step_by_step, _ = run_length(random, share, share, calls=20, limit=6.05, streams=2000, steps=500)
    assert step_by_step > 1.1 * one_by_one
    doubled, _ = run_length(random, share, 2 * share / (1 + share), calls=1, limit=6.05, streams=2000, steps=1000)
    assert doubled == pytest.approx(chain(6.0, 7, odds=2.0), rel=0.05)

"""Since when values have moved, and where first: the generated cumulative sums against numpy's, by promtool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drifting import SPEC, Counts, Scrapes, Test, promtool

from benchmarks.drift.emulation import cumulated, run_lengths
from benchmarks.drift.origin import SCENES, SIDES, moved_with, right
from pipemon.generate.drift.constants import Reference
from pipemon.generate.drift.onset import CERTAIN, LIMIT, Onset, onset
from pipemon.spec.baseline import FeatureBaseline
from pipemon.spec.model import Timing
from pipemon.topology import StageShape
from pipemon.units import fingerprint

BOUNDS = (0.0,)
MEAN, SD, COUNT = 10.0, 2.0, 60.0
BASE = FeatureBaseline(MEAN, SD, 1e20, bounds=BOUNDS, shares=(0.0, 1.0))
STEP, SCRAPES = 4, 2
"""Minutes of a step, and scrapes in it."""
ERROR = np.sqrt(1 / (COUNT * (1 - 1 / SCRAPES)))
DIAMOND = replace(
    SPEC,
    timing=Timing(scrape_interval=60.0 * STEP / SCRAPES),
    keep=("cluster",),
    stages=(
        StageShape("a", ()),
        StageShape("b", ("a",)),
        StageShape("c", ("a",)),
        StageShape("d", ("b", "c")),
        StageShape("e", ("d",)),
    ),
)


def place(stage: str, direction: str, feature: str) -> str:
    """Return the labels of a feature; its stage may be told with its cluster: `east/vad`."""
    cluster, _, name = stage.rpartition("/")
    where = f'cluster="{cluster}",pipeline="shop",stage="{name}",version="1",track="stable"'
    return f'{where},direction="{direction}",feature="{feature}"'


def scrapes_of(scores: Mapping[tuple[str, str, str], Counts]) -> Scrapes:
    """Return what is scraped where the mean of each step is so many standard errors off."""
    found = Scrapes()
    for where, z in scores.items():
        labels, scrapes = place(*where), SCRAPES * len(z)
        means = MEAN + SD * ERROR * z
        total = np.concatenate([[0.0], np.cumsum(np.repeat(means * COUNT / SCRAPES, SCRAPES))])
        found.series[f'pipemon_feature_value_bucket{{{labels},le="+Inf"}}'] = f"0+{COUNT / SCRAPES:g}x{scrapes}"
        found.series[f'pipemon_feature_sum_total{{{labels},sign="positive"}}'] = " ".join(
            f"{each:.12g}" for each in total
        )
        found.series[f'pipemon_feature_sum_total{{{labels},sign="negative"}}'] = f"0x{scrapes}"
        found.series[f'pipemon_feature_info{{{labels},bins="{fingerprint(BOUNDS)}"}}'] = f"1x{scrapes}"
    return found


def rules_for(scores: Mapping[tuple[str, str, str], Counts], limit: float = LIMIT) -> Onset:
    watched = dict.fromkeys((stage.rpartition("/")[2], side, feature) for stage, side, feature in scores)
    return onset(DIAMOND, tuple(Reference(*where, BASE, "1") for where in watched), limit)


def told(expr: str, step: int, samples: Mapping[str, float]) -> Test:
    wanted = [{"labels": labels, "value": value} for labels, value in samples.items()]
    return {"expr": expr, "eval_time": f"{STEP * step}m", "exp_samples": wanted}


def check(folder: Path, made: Onset, scores: Mapping[tuple[str, str, str], Counts], tests: list[Test]) -> str:
    return promtool(folder, [made.origin], scrapes_of(scores), tests, f"{STEP}m", f"{STEP // SCRAPES}m")


@pytest.mark.integration
def test_cumulative_sums_are_those_whose_run_lengths_are_known(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    limit, steps, number = 4.0, 60, 20
    scores = {
        ("a", "input", f"f{i}"): random.normal(2.0 * (i % 3) * (np.arange(steps) > 30), 1.0) for i in range(number)
    }
    made, sums, tests = rules_for(scores, limit), np.zeros((2, number)), []
    zeros = np.ones((2, number))
    for step in range(1, steps + 1):
        z = np.array([each[step - 1] for each in scores.values()])
        sums = cumulated(sums, z, limit)
        zeros = np.where(sums > 0, zeros, step)
        if step % 12 == 0:
            near = " or ".join(
                f'(abs({made.sums[0].name}{{feature="f{i}",side="{side}"}} - {sums[j][i]:.15g}) < 1e-6)'
                for i in range(number)
                for j, side in enumerate(("high", "low"))
            )
            tests.append(told(f"count({near})", step, {"{}": 2 * number}))
            since = {
                f'{{feature="f{i}",side="{side}"}}': float(zeros[j][i]) * STEP * 60
                for i in range(number)
                for j, side in enumerate(("high", "low"))
                if sums[j][i] > limit
            }
            tests.append(told(f"sum by (feature, side) ({made.onset.name})", step, since))
    assert any(test["exp_samples"] for test in tests[1::2])
    assert check(tmp_path, made, scores, tests) == ""


@pytest.mark.parametrize(("limit", "still", "moved"), [(4.0, 168.0, 8.38), (5.0, 465.0, 10.4)])
def test_run_lengths_are_the_tables(limit: float, still: float, moved: float) -> None:
    random = np.random.default_rng(8)
    assert run_lengths(random, 0.0, limit, 4000).mean() == pytest.approx(still, rel=0.06)
    assert run_lengths(random, 1.0, limit, 8000).mean() == pytest.approx(moved, rel=0.02)


def test_what_is_off_of_the_baseline_itself_does_not_add_up() -> None:
    random, steps, streams, values, known = np.random.default_rng(2), 4000, 200, 100, 1000
    own, error = random.normal(size=streams) / np.sqrt(known), np.sqrt(1 / values + 1 / known)
    allowances = (0.0, CERTAIN / np.sqrt(known) / error)
    sums, above = np.zeros((2, 2, streams)), np.zeros((2, streams), bool)
    for _ in range(steps):
        z = (random.normal(size=streams) / np.sqrt(values) - own) / error
        for i, allowance in enumerate(allowances):
            sums[i] = cumulated(sums[i], z, LIMIT, allowance)
            above[i] |= (sums[i] > LIMIT).any(0)
    without, shipped = above.mean(1)
    assert without > 0.1
    # By chance once in 9,500 steps.
    assert shipped < steps / 9500 / 2


@pytest.mark.parametrize("scene", SCENES)
def test_the_origin_is_right_nearly_always_though_effects_may_seem_to_begin_before_their_cause(scene: str) -> None:
    shares = right(np.random.default_rng(1), scene, 6.0, 400, (5, 60))
    assert shares.min() > 0.98


@pytest.mark.integration
def test_of_a_diamond_whichever_stage_broke_is_named_ten_minutes_four_hours_and_a_day_later(tmp_path: Path) -> None:
    random = np.random.default_rng(6)
    steps, begins = 24 * 60 // STEP + 30, 20
    times = [begins + 3, begins + 4 * 60 // STEP, begins + 24 * 60 // STEP]
    scores, named = {}, {}
    for scene, (stage, direction) in SCENES.items():
        moved = moved_with(stage, direction)
        for where in SIDES:
            # Effects may be larger than their cause.
            size = 0.0 if where[:2] not in moved else 6.0 if where[:2] == (stage, direction) else random.uniform(4, 20)
            z = random.normal(size=steps) + size * (np.arange(steps) >= begins)
            scores[f"{scene}/{where[0]}", where[1], where[2]] = z
        named[f'{{cluster="{scene}",stage="{stage}",direction="{direction}"}}'] = 1.0
    made = rules_for(scores)
    name = f"sum by (cluster, stage, direction) ({made.origin.name})"
    tests = [told(name, begins - 1, {}), *(told(name, time, named) for time in times)]
    assert check(tmp_path, made, scores, tests) == ""


@pytest.mark.integration
def test_a_sum_is_held_over_a_gap_and_soon_below_the_limit_when_all_is_well_again(tmp_path: Path) -> None:
    where = ("a", "input", "x")
    z = np.concatenate([np.zeros(5), np.full(40, 9.0), np.zeros(60)])
    made = rules_for({where: z})
    name = f'{made.sums[0].name}{{side="high"}}'
    recovered = 45 + int(LIMIT / 0.5) + 1
    tests = [
        told(f"max({name})", 44, {"{}": 2 * LIMIT}),
        told(f"count({made.onset.name})", recovered - 2, {"{}": 1}),
        told(f"count({made.onset.name})", recovered + 1, {}),
    ]
    assert check(tmp_path, made, {where: z}, tests) == ""
    assert made.step == 60 * STEP

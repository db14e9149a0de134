"""Levels and spreads that have shifted: the generated sums against numpy's by promtool, and what chance does."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from drifting import SPEC, Counts, Scrapes, Test, promtool
from scipy import stats

from benchmarks.drift.emulation import ShiftSums, counts, learned, standard_scores, until_shifted
from pipemon.generate.drift.constants import Reference
from pipemon.generate.drift.shifts import ENOUGH, Shifts, shifts
from pipemon.generate.promql import Call
from pipemon.generate.rules import rules
from pipemon.spec.baseline import FeatureBaseline
from pipemon.spec.load import load
from pipemon.spec.model import Timing
from pipemon.spec.shift import KINDS, LIMIT, MOST, Of, run_length, scores, spread_deviation
from pipemon.units import fingerprint, le

STEP, SCRAPES = 4, 2
"""Minutes of a step, and scrapes in it."""
STEPWISE = replace(SPEC, timing=Timing(scrape_interval=60.0 * STEP / SCRAPES))
SEEN = 1 - 1 / SCRAPES
"""How much of a step's counts lies between its own scrapes."""


def base_of(
    random: np.random.Generator, values: int = 10_000, effect: float = 1.0, of_sums: float = 1.0
) -> FeatureBaseline:
    base = learned(random.normal(size=values), 10)
    return replace(base, design_effect=effect, cumulative_design_effect=of_sums)


def scraped(features: dict[str, tuple[FeatureBaseline, Counts]]) -> Scrapes:
    """Return what is scraped of steps with these counts, shape (steps, bins)."""
    found = Scrapes()
    for feature, (base, steps) in features.items():
        where = f'pipeline="shop",stage="hear",version="1",track="stable",direction="input",feature="{feature}"'
        rises = np.cumsum(np.repeat(np.cumsum(steps, 1) / SCRAPES, SCRAPES, axis=0), axis=0)
        for bound, column in zip((*map(le, base.bounds), "+Inf"), rises.T, strict=True):
            name = f'pipemon_feature_value_bucket{{{where},le="{bound}"}}'
            found.series[name] = " ".join(["0", *(f"{value:.12g}" for value in column)])
        info = f'pipemon_feature_info{{{where},bins="{fingerprint(base.bounds)}"}}'
        found.series[info] = f"1x{SCRAPES * len(steps)}"
    return found


def rules_for(features: dict[str, tuple[FeatureBaseline, Counts]]) -> Shifts:
    watched = tuple(Reference("hear", "input", name, base, "1") for name, (base, _) in features.items())
    return shifts(STEPWISE, dict.fromkeys(KINDS, watched))


def near(name: str, at: int, values: dict[str, float]) -> Test:
    """Expect of series, by their labels, that they have these values within 1e-9."""
    close = " or ".join(f"(abs({name}{{{which}}} - {value:.17g}) < 1e-9)" for which, value in values.items())
    samples = [{"labels": "{}", "value": len(values)}]
    return {"expr": f"count({close})", "eval_time": f"{STEP * at}m", "exp_samples": samples}


@pytest.mark.integration
def test_scores_and_sums_are_numpys(tmp_path: Path) -> None:
    random, steps = np.random.default_rng(4), 24
    features = {}
    for index, shift in enumerate((0.0, 0.15, -0.6, 2.0)):
        base = base_of(random, effect=1 + index / 4, of_sums=1.5)
        live = random.normal(shift, 1 + shift / 4, (steps, 400)) if index else random.normal(size=(steps, 90))
        # What is counted between a step's own scrapes is a part of it, and whole again as rules extrapolate it.
        features[f"f{index}"] = base, counts(live, np.asarray(base.bounds)) * 2
    made = rules_for(features)
    tests: list[Test] = []
    errors, z, sums = {}, {}, {}
    for feature, (base, rows) in features.items():
        each: dict[Of, ShiftSums] = {of: ShiftSums(base, 1) for of in KINDS}
        for step, row in enumerate(rows, 1):
            for of in KINDS:
                off, error = standard_scores(base, of, row[None] * SEEN)
                each[of].add(off, error)
                if step in (1, 9, steps):
                    errors[step, f'feature="{feature}"'] = float(error[0])
                    z[step, f'feature="{feature}",of="{of}"'] = float(off[0])
                    for i, size in enumerate(("small", "large")):
                        for j, side in enumerate(("high", "low")):
                            which = f'feature="{feature}",of="{of}",size="{size}",side="{side}"'
                            sums[step, which] = float(each[of].sums[i, j, 0])
    for step in (1, 9, steps):
        for name, found in ((made.error.name, errors), (made.scores[0].name, z), (made.sums[0].name, sums)):
            tests.append(near(name, step, {which: value for (at, which), value in found.items() if at == step}))
    # Some have come to where they stop, others are on their way, and others have moved nowhere.
    last = [value for (at, _), value in sums.items() if at == steps]
    assert {0.0, MOST} < set(last)
    assert promtool(tmp_path, made.sums, scraped(features), tests, f"{STEP}m", f"{STEP // SCRAPES}m") == ""


@pytest.mark.integration
def test_a_feature_whose_spread_is_watched_counts_by_the_design_effect_of_its_spread(tmp_path: Path) -> None:
    entry = {"mean": 0.0, "sd": 1.0, "count": 9000, "bounds": [-1.0, 0.0, 1.0], "shares": [0.2, 0.3, 0.3, 0.2]}
    effects = {"cumulative_design_effect": 4.0, "spread_design_effect": 30.0}
    features = {f"till.input.{name}": entry | effects for name in ("price", "size")}
    (tmp_path / "shop.json").write_text(json.dumps({"pipeline": "shop", "from": 0, "to": 1, "features": features}))
    (tmp_path / "shop.yaml").write_text(
        "{pipeline: shop, owner: team, baseline: shop.json,\n"
        "stages: {till: {features: {input.price: count, input.size: count}}}, failure_modes: {\n"
        "wild: {what: x, stage: till, signal: {shift: spread of input.price}},\n"
        "dearer: {what: x, stage: till, signal: {shift: input.price}},\n"
        "larger: {what: x, stage: till, signal: {shift: input.size}}}}\n"
    )
    said = {
        dict(each.static)["feature"]: each.expr
        for each in rules(load(tmp_path / "shop.yaml")).recordings
        if each.name.endswith(":shift_design_effect")
    }
    assert said == {"price": Call("vector", (30.0,)), "size": Call("vector", (4.0,))}


def test_a_sum_is_held_over_steps_with_too_few_values(tmp_path: Path) -> None:
    base = base_of(np.random.default_rng(5))
    live = counts(np.full((4, 100), 2.0), np.asarray(base.bounds)) * 2
    few = counts(np.zeros((4, ENOUGH - 1)), np.asarray(base.bounds)) * 2
    features = {"f": (base, np.concatenate([live, few]))}
    made = rules_for(features)
    value = [{"labels": "{}", "value": MOST}]
    name = f'max({made.sums[0].name}{{of="level",side="high"}})'
    tests: list[Test] = [
        {"expr": name, "eval_time": f"{STEP * 8}m", "exp_samples": value},
        {"expr": made.scores[0].name, "eval_time": f"{STEP * 8}m", "exp_samples": []},
    ]
    assert promtool(tmp_path, made.sums, scraped(features), tests, f"{STEP}m", f"{STEP // SCRAPES}m") == ""


@pytest.mark.parametrize("draw", [stats.norm, stats.lognorm(1), stats.poisson(2)], ids=["normal", "lognormal", "ties"])
def test_scores_are_those_of_the_normal_distribution_however_values_are_distributed(draw: stats.rv_continuous) -> None:
    values = draw.rvs(size=20_000, random_state=3).astype(float)
    base = learned(values, 10)
    p = np.array(base.shares)
    level, spread = np.array(scores(base, "level")), np.array(scores(base, "spread"))
    assert [p @ level, p @ level**2, p @ spread] == pytest.approx([0, 1, 1], abs=1e-9)
    assert np.sqrt(p @ (spread - 1) ** 2) == pytest.approx(spread_deviation(base))
    # The mean of x, and of x^2, between the quantiles: of half a value more in each bin, which is nearly nothing here.
    smoothed = (p * 20_000 + 0.5) / (20_000 + 0.5 * len(p))
    cuts = stats.norm.ppf(np.concatenate([[0.0], np.cumsum(smoothed)[:-1], [1.0]]))
    for power, found in ((1, level), (2, spread)):
        whole = [
            stats.norm.expect(lambda x, power=power: x**power, lb=low, ub=high, conditional=True)
            for low, high in pairwise(cuts)
        ]
        moved = np.polyfit(whole, found, 1)
        assert found == pytest.approx(np.polyval(moved, whole), abs=1e-6)
        assert moved == pytest.approx([1, 0], abs=0.06)


@pytest.mark.parametrize("of", KINDS)
@pytest.mark.parametrize("draw", [stats.norm, stats.lognorm(1), stats.poisson(2)], ids=["normal", "lognormal", "ties"])
def test_chance_is_no_more_frequent_than_alerts_say_however_values_are_distributed(
    draw: stats.rv_continuous, of: Of
) -> None:
    random, limit, steps, streams = np.random.default_rng(2), 6.0, 250, 60
    fired = seen = 0.0
    for _ in range(8):
        base = learned(draw.rvs(size=10_000, random_state=random).astype(float), 10)
        p = np.diff(draw.cdf(np.array(base.bounds)), prepend=0, append=1)
        found = until_shifted(base, of, random.multinomial(ENOUGH, p, (steps, streams)).astype(float), limit)
        fired += np.isfinite(found).sum()
        seen += np.minimum(found, steps).sum()
    assert fired > 20
    assert seen / fired > 0.8 * run_length(limit)


def test_a_spread_is_seen_by_its_own_sums_only_and_a_small_shift_of_the_level_too() -> None:
    random, steps, streams = np.random.default_rng(7), 250, 20
    base = base_of(random)

    def seen(of: Of, mean: float, sd: float) -> float:
        p = np.diff(stats.norm(mean, sd).cdf(np.array(base.bounds)), prepend=0, append=1)
        return float(np.median(until_shifted(base, of, random.multinomial(30, p, (steps, streams)).astype(float))))

    assert seen("spread", 0, 1.2) < 30
    assert seen("spread", 0, 0.8) < 30
    assert seen("level", 0, 1.2) == np.inf
    assert seen("level", 0.1, 1) < 150
    assert seen("level", 1, 1) <= 2
    assert seen("spread", 0.1, 1) == np.inf


def test_what_is_off_of_the_baseline_itself_does_not_add_up() -> None:
    random, steps, streams = np.random.default_rng(9), 2500, 20
    fired = 0
    for _ in range(6):
        base = base_of(random, 1000)
        p = np.diff(stats.norm.cdf(np.array(base.bounds)), prepend=0, append=1)
        found = until_shifted(base, "level", random.multinomial(100, p, (steps, streams)).astype(float))
        fired += int(np.isfinite(found).sum())
    assert fired <= 6 * streams * steps / run_length(LIMIT)

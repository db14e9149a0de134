"""What a stream's dependence makes of its number of values, and that drift's false alarms then are as many as said."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2, f

from benchmarks.drift.emulation import learned, standard_scores
from pipemon.baseline import design_effect
from pipemon.baseline.bins import cut, shares

Array = NDArray[np.float64]


def autoregressive(draw: np.random.Generator, rho: float, shape: tuple[int, int]) -> Array:
    """Streams of standard normal values, each correlated by rho with the one before: shape (streams, values)."""
    found = draw.normal(size=shape)
    for step in range(1, shape[1]):
        found[:, step] = rho * found[:, step - 1] + math.sqrt(1 - rho**2) * found[:, step]
    return found


def placed(values: Array, bounds: tuple[float, ...]) -> NDArray[np.intp]:
    return np.searchsorted(np.array(bounds), values)


def psi(live: Array, reference: Array, n: int, m: int) -> Array:
    """Half an observation is added to each bin, as in the rules."""
    bins = len(reference)
    q, p = (live * n + 0.5) / (n + 0.5 * bins), (reference * m + 0.5) / (m + 0.5 * bins)
    found: Array = ((q - p) * np.log(q / p)).sum(axis=-1)
    return found


def false_alarms(rho: float, calibrated: bool) -> float:
    """The share of 1000-value windows without any drift whose PSI, of 10 bins and tails, passes the 99% quantile."""
    draw, n, m, alarms = np.random.default_rng(19), 1000, 5000, []
    for _ in range(20):
        reference = autoregressive(draw, rho, (1, m))[0]
        bounds = cut(reference)
        known = np.array(shares(reference, bounds))
        effect = design_effect.of_values(placed(reference, bounds), len(known)) if calibrated else 1.0
        bins = placed(autoregressive(draw, rho, (100, n)), bounds)
        live = np.stack([(bins == number).mean(axis=1) for number in range(len(known))], axis=1)
        scaled = psi(live, known, n, m) / (effect * (1 / n + 1 / m))
        alarms.append((scaled > chi2.ppf(0.99, len(known) - 1)).mean())
    return float(np.mean(alarms))


def test_an_autocorrelated_stream_alarms_falsely_as_seldom_as_a_steady_one() -> None:
    assert false_alarms(0.9, calibrated=False) > 0.5
    assert false_alarms(0.9, calibrated=True) <= 0.02


def test_means_of_windows_spread_as_the_effect_on_sums_says_and_further_than_that_on_shares() -> None:
    draw, n, m = np.random.default_rng(3), 1000, 10_000
    spread: dict[str, list[float]] = {"shares": [], "sums": []}
    for _ in range(10):
        reference = autoregressive(draw, 0.9, (1, m))[0]
        bounds = cut(reference)
        bins, size = placed(reference, bounds), len(bounds) + 1
        off = autoregressive(draw, 0.9, (50, n)).mean(axis=1) - reference.mean()
        for name, effect in (
            ("shares", design_effect.of_values(bins, size)),
            ("sums", design_effect.of_values(bins, size, design_effect.of_cumulative)),
        ):
            spread[name].append(float(np.mean(off**2) / (effect * reference.var() * (1 / n + 1 / m))))
    assert 0.6 < np.mean(spread["sums"]) < 1.3
    assert np.mean(spread["shares"]) > 2


def test_where_calm_and_wild_stretches_alternate_steps_spread_as_far_as_their_own_effect_says() -> None:
    draw, n, steps = np.random.default_rng(5), 600, 30

    def prices(streams: int, length: int) -> Array:
        found: Array = draw.normal(size=(streams, length)) * np.exp(0.5 * autoregressive(draw, 0.98, (streams, length)))
        return found

    (reference,) = prices(1, 20_000)
    base = learned(reference, 10, effect=True)
    bins, size = placed(reference, base.bounds), len(base.bounds) + 1
    of_spread = design_effect.of_values(bins, size, design_effect.of_spread)
    assert of_spread > 2 * base.effect_on_sums
    live = placed(prices(8, n * steps), base.bounds).reshape(8, steps, n)
    counts = np.stack([(live == number).sum(axis=2) for number in range(size)], axis=-1)
    blind, calibrated = (
        standard_scores(replace(base, cumulative_design_effect=effect), "spread", counts.astype(float))[0]
        for effect in (base.effect_on_sums, of_spread)
    )
    assert np.mean(blind**2) > 2
    assert 0.4 < np.mean(calibrated**2) < 1.2


def test_independent_values_keep_their_number() -> None:
    draw = np.random.default_rng(2)
    effects = [design_effect.of_values(draw.integers(0, 12, 5000), 12) for _ in range(20)]
    assert 1 <= np.mean(effects) < 1.12
    sums = [design_effect.of_values(draw.integers(0, 12, 5000), 12, design_effect.of_cumulative) for _ in range(20)]
    assert 1 <= np.mean(sums) < 1.15
    spreads = [design_effect.of_values(draw.integers(0, 12, 5000), 12, design_effect.of_spread) for _ in range(20)]
    assert 1 <= np.mean(spreads) < 1.15
    assert np.mean(np.array([effects, sums]) == 1) > 0.6


@pytest.mark.parametrize(("rho", "values"), [(0.3, 300), (0.2, 1000), (0.1, 10_000)])
def test_a_slight_dependence_is_seen_mostly(rho: float, values: int) -> None:
    effects = []
    for stream in autoregressive(np.random.default_rng(6), rho, (20, values)):
        bounds = cut(stream)
        bins = placed(stream, bounds)
        effects.append(design_effect.of_values(bins, len(bounds) + 1, design_effect.of_cumulative))
    assert np.mean(np.array(effects) > 1) >= 0.8
    assert np.median(effects) == pytest.approx((1 + rho) / (1 - rho), rel=0.25)


def test_values_that_come_in_runs_of_five_are_worth_a_fifth() -> None:
    draw = np.random.default_rng(4)
    effects = [design_effect.of_values(np.repeat(draw.integers(0, 10, 2000), 5), 10) for _ in range(10)]
    assert np.mean(effects) == pytest.approx(5, rel=0.15)


def test_counts_of_periods_tell_the_same_as_values_in_blocks() -> None:
    draw = np.random.default_rng(4)
    values = np.repeat(draw.integers(0, 10, 4000), 5)
    counts = np.array([np.bincount(block, minlength=10) for block in values.reshape(100, 200)], dtype=float)
    assert design_effect.of_counts(counts) == pytest.approx(design_effect.of_values(values, 10), rel=0.2)


def test_periods_may_hold_different_numbers_of_values_or_none() -> None:
    draw = np.random.default_rng(8)
    counts = np.array([draw.multinomial(size, [0.1] * 10) for size in draw.integers(0, 400, 100)], dtype=float)
    counts[::10] = 0
    assert 1 <= design_effect.of_counts(counts) < 1.25


@pytest.mark.parametrize("values", [[], [0], [0, 1] * 100, [3] * 5000])
def test_where_nothing_can_be_told_it_is_one(values: list[int]) -> None:
    assert design_effect.of_values(np.array(values, dtype=np.intp), 5) == 1.0


@pytest.mark.parametrize("freedom", [2, 4, 9, 11])
@pytest.mark.parametrize("blocks", [24, 100])
def test_quantiles_are_those_of_the_distributions(freedom: int, blocks: int) -> None:
    assert design_effect.chi_squared_quantile(freedom) == pytest.approx(chi2.ppf(0.99, freedom), rel=0.004)
    second = (blocks - 1) * freedom
    assert design_effect._f_quantile(freedom, second) == pytest.approx(f.ppf(0.99, freedom, second), rel=0.004)

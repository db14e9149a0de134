"""Drift statistics by promtool against numpy and scipy on the same bins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drifting import (
    SPEC,
    WINDOW,
    Counts,
    Scrapes,
    baseline,
    by_scipy,
    equal,
    of_categories,
    promtool,
    reference,
    smoothed,
)
from scipy import stats

from pipemon.generate.drift.constants import Reference
from pipemon.generate.drift.distribution import Distribution, distribution
from pipemon.generate.drift.statistics import SUMS, drift
from pipemon.spec.signals import STATISTICS

pytestmark = pytest.mark.integration

BOUNDS = (-30.0, -12.5, -3.0, 0.0, 4.0, 20.0)
SD = 7.0


def cases() -> dict[str, tuple[Counts, Counts]]:
    """Counts of the baseline and live, by feature: of every size, with empty bins on either side and on both."""
    random = np.random.default_rng(5)
    found = {}
    for index in range(24):
        before = random.multinomial(random.integers(400, 90_000), random.dirichlet(np.ones(7))).astype(float)
        live = random.multinomial(random.integers(3_000, 40_000), random.dirichlet(np.ones(7))).astype(float)
        if index % 4 == 1:
            live[random.integers(7)] = 0
        if index % 4 == 2:
            before[random.integers(7)] = 0
        if index % 4 == 3:
            live = np.round(before / before.sum() * 5000)
        found[f"f{index}"] = before, live
    return found


def by_numpy(statistic: str, before: Counts, live: Counts) -> float:
    if statistic != "wasserstein":
        return by_scipy(statistic, before, live)
    # Each bin's values are taken to be at its middle, what lies beyond the first and the last bound at that.
    at = [BOUNDS[0], *np.convolve(BOUNDS, [0.5, 0.5], "valid"), BOUNDS[-1]]
    return float(stats.wasserstein_distance(at, at, before, live) / SD)


def numbers(found: dict[str, tuple[Counts, Counts]]) -> tuple[tuple[Reference, ...], Distribution, Scrapes]:
    references = tuple(reference(name, baseline(BOUNDS, before, sd=SD)) for name, (before, _) in found.items())
    scrapes = Scrapes()
    for name, (_, live) in found.items():
        # Two replicas: only their sum is right.
        part = np.floor(live / 3)
        scrapes.histogram(name, BOUNDS, part, instance="a")
        scrapes.histogram(name, BOUNDS, live - part, instance="b")
    return references, distribution(SPEC, WINDOW, references), scrapes


def test_statistics_of_numbers_equal_scipys(tmp_path: Path) -> None:
    found = cases()
    references, live, scrapes = numbers(found)
    made = {name: drift(live, references, name) for name in STATISTICS}
    tests = [
        equal(each.value, {feature: by_numpy(name, *counts) for feature, counts in found.items()})
        for name, each in made.items()
    ]
    assert promtool(tmp_path, [each.value for each in made.values()], scrapes, tests) == ""


def test_statistics_of_categories_equal_scipys(tmp_path: Path) -> None:
    # Of the last but one the live version counts nothing, of the last the baseline knows nothing.
    names = ("en", 'de "at"', "fr\n\\be$1", "other", "la", "tlh")
    found = {}
    for feature, (before, live) in cases().items():
        found[feature] = np.concatenate([before[:5], [0.0]]), np.concatenate([live[:4], [0.0], live[4:5]])
    references = tuple(
        reference(feature, of_categories(dict(zip(names[:-1], before, strict=False))))
        for feature, (before, _) in found.items()
    )
    scrapes = Scrapes()
    for feature, (_, now) in found.items():
        scrapes.categories(feature, {name: n for name, n in zip(names, now, strict=True) if name != "la"})
    rules = distribution(SPEC, WINDOW, references)
    made = {name: drift(rules, references, name) for name in SUMS}
    expected: dict[str, dict[str, float]] = {}
    for name in SUMS:
        expected[name] = {}
        for feature, (before, now) in found.items():
            # The baseline does not know how many it does not know: its own five have half an observation more.
            p = (before + 0.5) / (before.sum() + 2.5)
            q = smoothed(now)
            expected[name][feature] = {
                "psi": np.sum((q - p) * np.log(q / p)),
                "js": np.sqrt(np.sum(q * np.log2(2 * q / (q + p)) + p * np.log2(2 * p / (q + p))) / 2),
                "hellinger": np.linalg.norm(np.sqrt(p) - np.sqrt(q)) / np.sqrt(2),
                "chi2": np.sum((q - p) ** 2 / p),
            }[name]
    tests = [equal(made[name].value, expected[name]) for name in SUMS]
    assert promtool(tmp_path, [each.value for each in made.values()], scrapes, tests) == ""

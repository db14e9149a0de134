"""Drift from the recent past, by promtool: a change, a fault that lasts, recovery, and the numbers beside scipy's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from drifting import by_scipy
from rule_tests import Expect, check, fired, rules_of
from scipy import stats

from benchmarks.drift import emulation
from pipemon.units import fingerprint

pytestmark = pytest.mark.integration

HEAD = """\
pipeline: shop
owner: team
scrape_interval: 60s
baseline: shop.baseline.json
stages:
  hear:
    features:
      input.length: words
      input.language: [en, de, fr, la]
failure_modes:
"""
BASELINE = """\
{"pipeline": "shop", "from": 0, "to": 1, "features": {"hear.input.length": {
  "mean": 3.0, "sd": 2.0, "count": 900, "bounds": [1.0, 2.0, 4.0, 8.0, 9.0], "shares": [0.2, 0.2, 0.2, 0.2, 0.1, 0.1]}}}
"""
BOUNDS = ("1.0", "2.0", "4.0", "8.0", "9.0", "+Inf")
CATEGORIES = ("en", "de", "fr", "tlh")
WHERE = 'pipeline="shop",stage="hear",track="stable",direction="input"'
Phases = tuple[tuple[int, tuple[float, ...]], ...]
"""So many minutes with so many values of each bin a minute."""


def spec(folder: Path, modes: Mapping[str, str]) -> Path:
    path = folder / "shop.yaml"
    entries = (f"  {name}: {{what: x, stage: hear, pace: sudden, signal: {rest}}}\n" for name, rest in modes.items())
    path.write_text(HEAD + "".join(entries))
    (folder / "shop.baseline.json").write_text(BASELINE)
    return path


def counter(phases: list[tuple[int, float]]) -> str:
    """A counter that rises by so much a minute, for so many minutes each."""
    parts, level = ["0"], 0.0
    for minutes, rise in phases:
        parts.append(f"{level + rise:.10f}+{rise:.10f}x{minutes - 1}")
        level += minutes * rise
    return " ".join(parts)


def categories(phases: Phases, version: str = "1") -> dict[str, str]:
    return {
        f'pipemon_feature_category_total{{{WHERE},version="{version}",feature="language",category="{name}"}}': counter(
            [(minutes, rises[index]) for minutes, rises in phases]
        )
        for index, name in enumerate(CATEGORIES)
    } | {info("language", "", version): f"1x{sum(minutes for minutes, _ in phases)}"}


def info(feature: str, bins: str, version: str = "1") -> str:
    return (
        f'pipemon_feature_info{{pipeline="shop",stage="hear",version="{version}",direction="input",'
        f'feature="{feature}",unit="",bins="{bins}"}}'
    )


def numbers(phases: Phases) -> dict[str, str]:
    found = {
        f'pipemon_feature_value_bucket{{{WHERE},version="1",feature="length",le="{bound}"}}': counter(
            [(minutes, sum(rises[: index + 1])) for minutes, rises in phases]
        )
        for index, bound in enumerate(BOUNDS)
    }
    bins = fingerprint([1.0, 2.0, 4.0, 8.0, 9.0])
    return found | {info("length", bins): f"1x{sum(minutes for minutes, _ in phases)}"}


USUAL, OTHER = (30.0, 20.0, 10.0, 0.0), (10.0, 10.0, 10.0, 30.0)


def test_a_lasting_fault_stays_firing_and_recovery_fires_nothing(tmp_path: Path) -> None:
    modes = {
        "shift": "{drift: input.language}",
        "accepted": "{drift: input.language}, hold: 90m",
    }
    # The change is at 80 and lasts for three hours; twenty minutes after it is over there is another.
    series = categories(((80, USUAL), (180, OTHER), (20, USUAL), (30, OTHER), (120, USUAL)))

    def firing(at: int, over: int, alert: str, *, fires: bool) -> Expect:
        expr = f'count(ALERTS{{alertstate="firing",alertname="{alert}"}}) or vector(0)'
        return Expect(f"{at}m", f"max_over_time(({expr})[{over}m:1m])", {"{}": int(fires)})

    expected = [
        firing(80, 80, "ShopShift", fires=False),
        firing(100, 1, "ShopShift", fires=True),
        firing(250, 1, "ShopShift", fires=True),
        firing(279, 8, "ShopShift", fires=False),
        firing(300, 1, "ShopShift", fires=True),
        firing(430, 100, "ShopShift", fires=False),
        # The other takes it for normal after an hour and a half, so that its end is a change.
        firing(100, 1, "ShopAccepted", fires=True),
        firing(250, 60, "ShopAccepted", fires=False),
        firing(275, 1, "ShopAccepted", fires=True),
    ]
    check(rules_of(spec(tmp_path, modes)), series, expected, tmp_path, "60s", "2m")


def test_what_was_a_fault_a_week_ago_is_nothing_to_compare_with(tmp_path: Path) -> None:
    path = spec(tmp_path, {"unlike": "{drift: input.language}, against: same hour last week"})
    path.write_text(path.read_text().replace("pace: sudden", "window: 12h, for: 1h"))
    day = 24 * 30
    series = categories(((8 * day, USUAL), (day, OTHER), (8 * day, USUAL)))
    lately = 'max_over_time((count(ALERTS{alertstate="firing"}) or vector(0))[%s:2h])'
    expected = [
        Expect("8d", lately % "8d", {"{}": 0}),
        Expect("9d", lately % "2h", {"{}": 1}),
        # A week after the fault all is well, and unlike the fault.
        Expect("17d", lately % "7d", {"{}": 0}),
    ]
    check(rules_of(path), series, expected, tmp_path, "2m", "2h")


def test_few_or_stale_values_and_other_bins_are_unknown(tmp_path: Path) -> None:
    made = rules_of(spec(tmp_path, {"shift": "{drift: input.language}"}))
    significant = 'count({__name__=~".*psi_significant.*",failure_mode="shift"}) or vector(0)'

    def seen(series: dict[str, str], at: str, *alerts: str, known: bool) -> None:
        expected = [Expect(at, significant, {"{}": 2 if known else 0}), fired(at, at, *alerts)]
        check(made, series, expected, tmp_path, "60s", "2m")

    few = tuple(value / 4 for value in USUAL), tuple(value / 4 for value in OTHER)
    seen(categories(((80, USUAL), (20, OTHER))), "98m", "ShopShift", known=True)
    seen(categories(((80, few[0]), (20, few[1]))), "98m", known=False)
    # A service that has just begun has no hour before.
    seen(categories(((8, OTHER),)), "7m", known=False)
    # Gone, nothing is known of it.
    seen(categories(((80, USUAL),)), "95m", known=False)
    beside = {info("language", "other", "2"): "1x100"}
    seen(categories(((80, USUAL), (20, OTHER))) | beside, "98m", known=False)


def test_a_deploy_between_versions_of_the_same_values_is_no_change(tmp_path: Path) -> None:
    nothing = (0.0,) * 4
    series = categories(((80, USUAL), (40, nothing))) | categories(((80, nothing), (40, USUAL)), "2")
    check(
        rules_of(spec(tmp_path, {"shift": "{drift: input.language}"})), series, [fired("118m", "118m")], tmp_path, "60s"
    )


@pytest.mark.parametrize("feature", ["length", "language"])
def test_the_numbers_are_scipys(tmp_path: Path, feature: str) -> None:
    # The rarest bin is too rare for chi-squared, and is counted by itself.
    then: tuple[float, ...] = (20.0, 30.0, 25.0, 15.0, 9.0, 0.1)
    now: tuple[float, ...] = (18.0, 33.0, 21.0, 17.0, 14.0, 0.3)
    names = ["psi", "js", "hellinger", "chi2", "ks"]
    if feature == "language":
        then, now, names = then[2:], now[2:], names[:-1]
    series = (numbers if feature == "length" else categories)(((80, then), (6, now)))
    made = rules_of(spec(tmp_path, {name: f"{{drift: {name} of input.{feature}}}" for name in names}))
    before, after = 60 * np.array(then), 5 * np.array(now)
    wanted = {name: by_scipy(name, before.astype(float), after.astype(float)) for name in names}
    # Of four bins the last is rare here, of six too.
    core = np.array([after[:-1], before[:-1]])
    chi2 = stats.chi2_contingency(core, correction=False)

    def near(recorded: str, mode: str, value: float, within: float) -> Expect:
        series = f'sum({{__name__=~"pipeline_stage_track_direction_feature:.*_{recorded}:.*",failure_mode="{mode}"}})'
        return Expect("85m", f"abs({series} / {float(value)!r} - 1) < bool {within}", {"{}": 1.0})

    expected = [near(name, name, value, 1e-9) for name, value in wanted.items()]
    if feature == "length":
        size, evidence = emulation.recent(after[None, :].astype(float), before[None, :].astype(float), 0.01 / 72)
        expected += [near("psi", "psi", size[0], 1e-9), near("evidence", "psi", evidence[0], 1e-9)]
    expected += [near("chi_squared", "psi", chi2.statistic, 1e-9), near("degrees", "psi", chi2.dof, 1e-9)]
    # What is more than chance: the core's at four fifths of this feature's, of one that is watched: 1% in six hours,
    # which 72 windows of five minutes share.
    alpha = 0.01 / 72
    quantile = stats.chi2.isf(0.8 * alpha, chi2.dof)
    tail = stats.binom.sf(after[-1] - 1, after[-1] + before[-1], after.sum() / (after.sum() + before.sum()))
    rare = stats.norm.isf(tail) / stats.norm.isf(0.2 * alpha)
    expected.append(near("evidence", "psi", max(chi2.statistic / quantile, rare), 0.05))
    check(made, series, expected, tmp_path, "60s", "5m")

"""What a person reads of a baseline, and of two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import pipemon

from pipemon.baseline.comparison import compared
from pipemon.baseline.display import coarse, differences, histogram, shown
from pipemon.baseline.seen import Seen
from pipemon.baseline.summary import feature_baseline
from pipemon.spec.baseline import Baseline, FeatureBaseline, dump
from pipemon.topology import FeatureShape

LEVEL = FeatureShape("input", "level", "level", "dBFS")
LANGUAGE = FeatureBaseline(0, 0, 1000, categories={"de": 0.75, "en": 0.25, "other": 0.0})


def level(mean: float, sd: float = 6.0, size: int = 5000, seed: int = 5) -> FeatureBaseline:
    values = np.random.default_rng(seed).normal(mean, sd, size)
    return feature_baseline(LEVEL, Seen(values, 0, values))


GOOD = Baseline(
    "speech",
    1767225600,
    1767312000,
    {"vad.input.level": level(-28), "asr.output.language": LANGUAGE},
    version="1.4.0",
    source="train.parquet",
    rows=5000,
    data_hash="0123456789abcdef",
    stage_versions={"asr": "7"},
)


def test_a_feature_whose_values_are_in_one_bin_is_said_to_tell_little() -> None:
    wide = FeatureBaseline(5.3, 2.1, 1000, bounds=(0.0, 1.0, 10.0, 100.0), shares=(0.0, 0.0, 0.93, 0.07, 0.0))
    zeros = replace(wide, shares=(0.93, 0.0, 0.0, 0.07, 0.0))
    always = replace(wide, mean=10.0, shares=(0.0, 0.0, 1.0, 0.0, 0.0))
    odd = {"asr.output.words": wide, "asr.output.gaps": zeros, "asr.output.has_capitals": always}
    found = list(coarse(replace(GOOD, features={**GOOD.features, **odd})))
    assert [line.partition(", so")[0] for line in found] == ["  asr.output.words: one bin has 93% of the values"]


def test_it_is_shown_with_where_it_comes_from_and_a_histogram_of_each_feature() -> None:
    lines = list(shown(GOOD))
    feature = GOOD.features["vad.input.level"]
    assert lines[:6] == [
        "speech, version 1.4.0: 2 features",
        "  versions of their own: asr 7",
        "  source: train.parquet",
        "  rows: 5,000",
        "  period: 2026-01-01 00:00 UTC to 2026-01-02 00:00 UTC",
        "  data hash: 0123456789abcdef",
    ]
    assert "asr.output.language: 1,000 values" in lines
    assert f"  de     {'75.00%':>7} {'█' * 22}" in lines
    assert lines[-1].startswith(f"  {feature.bounds[0]:.4g} ")
    assert lines[-1].endswith(f"12 bins {feature.bins}")


def test_what_is_far_from_0_beside_its_spread_is_shown_to_a_part_of_the_spread() -> None:
    old, new = level(1_013_250.0, 20.0), level(1_013_280.0, 20.0)
    lines = [
        *shown(replace(GOOD, features={"a": old})),
        *differences(*(replace(GOOD, features={"a": f}) for f in (old, new))),
    ]
    assert any(line.startswith("a (dBFS): mean 101325") for line in lines)
    low, high = (float(lines[-2 - moved].split()[place]) for moved, place in ((0, 0), (0, 2)))
    assert high - low > 80
    assert "mean 101325" in lines[-1].partition(" to 101328")[0]


def test_what_it_is_worth_is_shown_of_any_windows_and_between_the_same_hours() -> None:
    effects = {"daily": 6.54, "daily_cumulative": 18.2, "weekly": 6.1}
    known = replace(LANGUAGE, design_effect=124.4, seasonal_design_effects=effects)
    assert list(shown(replace(GOOD, features={"asr.output.language": known})))[7] == (
        "asr.output.language: 1,000 values, design effect 124, between the same hours of days 6.54 (of sums 18.2), of "
        "weeks 6.1"
    )


def test_a_histogram_shows_where_values_are_dense_whatever_the_bins() -> None:
    drawn = histogram(level(0, 1, 50_000))
    assert drawn.index("█") in range(15, 26)
    assert drawn[0] <= drawn[10] < drawn[15]
    assert drawn[-1] <= drawn[-10] < drawn[-15]


def test_one_without_shares_says_how_to_get_them() -> None:
    old = Baseline("speech", 0, 0, {"vad.input.level": FeatureBaseline(1, 2, 3, bounds=(1.0, 2.0))})
    assert "without their shares" in list(shown(old))[-1]


def test_what_moved_beyond_chance_is_said_the_farthest_first() -> None:
    moved = replace(LANGUAGE, categories={"de": 0.5, "en": 0.25, "other": 0.25}, missing=0.1)
    new = replace(GOOD, features={"vad.input.level": level(-26), "asr.output.language": moved})
    lines = list(differences(GOOD, new))
    assert [line.partition(":")[0] for line in lines] == ["asr.output.language", "vad.input.level"]
    assert lines[0].endswith("other 0.0% to 25.0%; missing 0.00% to 10.00%") or "de 75.0% to 50.0%" in lines[0]
    assert f"mean {GOOD.features['vad.input.level'].mean:.4g} to " in lines[1]


@pytest.mark.parametrize(("missing", "told"), [(0.0199, []), (0.05, ["missing 2.00% to 5.00%"])])
def test_more_missing_than_by_chance_is_a_change_by_itself(missing: float, told: list[str]) -> None:
    old, new = (replace(GOOD, features={"a": replace(LANGUAGE, missing=each)}) for each in (0.02, missing))
    assert [line.rpartition("; ")[2] for line in differences(old, new) if line.startswith("a:")] == told


def test_what_chance_explains_is_counted_only() -> None:
    new = replace(GOOD, features={"vad.input.level": level(-28, seed=6), "asr.output.language": LANGUAGE})
    assert list(differences(GOOD, new)) == ["2 of 2 features moved no farther than chance does one time in a hundred"]


def test_dependent_values_may_move_farther_by_chance() -> None:
    old = GOOD.features["vad.input.level"]
    values = np.random.default_rng(6).normal(-26.9, 6, 5000)
    new = feature_baseline(LEVEL._replace(bounds=old.bounds, own_bounds=True), Seen(values, 0, values))
    for effect, beyond in ((20.0, False), (1.0, True)):
        dependent = Baseline("speech", 0, 0, {"vad.input.level": replace(new, design_effect=effect)})
        (moved,) = compared(GOOD, dependent)
        assert moved.beyond_chance == beyond


def test_psi_is_that_of_the_shares_where_bins_are_alike() -> None:
    old = FeatureBaseline(0, 1, 1e12, bounds=(0.0, 1.0), shares=(0.2, 0.3, 0.5))
    new = replace(old, shares=(0.1, 0.3, 0.6))
    (moved,) = compared(Baseline("a", 0, 0, {"f": old}), Baseline("a", 0, 0, {"f": new}))
    expected = (0.1 - 0.2) * np.log(0.1 / 0.2) + (0.6 - 0.5) * np.log(0.6 / 0.5)
    assert moved.psi == pytest.approx(expected, rel=1e-6)
    assert not moved.rebinned


def test_other_bins_are_brought_in_line_and_said_to_be() -> None:
    one, other = level(-28, size=50_000), level(-28, size=40_000, seed=6)
    assert one.bounds != other.bounds
    (moved,) = compared(Baseline("a", 0, 0, {"f": one}), Baseline("a", 0, 0, {"f": other}))
    assert moved.rebinned
    assert moved.psi < 0.005


def test_features_that_came_went_or_changed_their_unit_are_named() -> None:
    new = replace(
        GOOD, features={"vad.input.level": replace(GOOD.features["vad.input.level"], unit="dB"), "new": LANGUAGE}
    )
    lines = list(differences(GOOD, new))
    assert "new: new" in lines
    assert "asr.output.language: gone" in lines
    assert "vad.input.level: the unit was dBFS, now dB" in lines


def test_both_are_commands(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(dump(GOOD))
    assert pipemon("baseline", "show", "a.json", cwd=tmp_path).out.startswith("speech, version 1.4.0: 2 features\n")
    assert pipemon("baseline", "diff", "a.json", "a.json", cwd=tmp_path).out.startswith(
        "2 of 2 features moved no farther"
    )
    (tmp_path / "b.json").write_text("{}")
    assert "'shwo' is no file and no command; did you mean 'show'?" in pipemon("baseline", "shwo", cwd=tmp_path).err
    refused = pipemon("baseline", "show", "b.json", cwd=tmp_path)
    assert (refused.code, refused.out) == (2, "")
    assert "not a baseline" in refused.err

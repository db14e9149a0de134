"""What `check` says of drift that too little traffic, or too few scrapes, will never tell."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from pipemon.generate.coverage import summary
from pipemon.generate.inhibition import plan
from pipemon.spec.baseline import Baseline, FeatureBaseline
from pipemon.spec.baseline import dump as dumped
from pipemon.spec.load import load

SPEC = """\
pipeline: flights
baseline: flights.baseline.json
stages: {depart: {features: {input.late: null, input.carrier: [a, b]}}}
failure_modes:
  late: {what: x, stage: depart, signal: {drift: input.late}}
  late-all-week: {what: x, stage: depart, signal: {drift: input.late}, window: 7d}
  late-suddenly: {what: x, stage: depart, signal: {drift: input.carrier}, pace: sudden}
  carrier: {what: x, stage: depart, signal: {drift: input.carrier}, window: 1d}
"""


def said(
    folder: Path, days: float, effect: float, seasonal: Mapping[str, float] | None = None, spec: str = SPEC
) -> list[str]:
    """What is said where 1,000 values came each day of the baseline."""
    (folder / "flights.yaml").write_text(spec)
    late = FeatureBaseline(
        0,
        1,
        1000 * days,
        bounds=(0.0, 1.0),
        shares=(0.3, 0.3, 0.4),
        design_effect=effect,
        seasonal_design_effects=seasonal or {},
    )
    carrier = FeatureBaseline(0, 0, 1000 * days, categories={"a": 0.5, "b": 0.5, "other": 0.0})
    end = 1e9 + days * 86400 if days else 1e9
    features = {"depart.input.late": late, "depart.input.carrier": carrier}
    (folder / "flights.baseline.json").write_text(dumped(Baseline("flights", 1e9, end, features)))
    return [line.strip() for line in summary(plan(load(folder / "flights.yaml"))) if "unknown under" in line]


def test_a_window_of_too_few_independent_values_is_told_with_one_that_has_enough(tmp_path: Path) -> None:
    assert said(tmp_path, 60, 23) == [
        "late: 6h has about 250 values of input.late, as often as they came in the baseline: drift is unknown under "
        "1,150, since 23 of them tell as much as one independent value; a window of 1d4h has as many",
        "late-suddenly: 5m has about 3 values of input.carrier, as often as they came in the baseline: drift is "
        "unknown under 100; a window of 3h has as many",
    ]


LAST_WEEK = SPEC.partition("  late-all-week")[0].replace("late}}", "late}, against: same hour last week}")


@pytest.mark.parametrize(
    ("seasonal", "told"),
    [
        (
            {},
            "under 2,300, since 23 of them tell as much as one independent value; learned from two weeks with times, ",
        ),
        (
            {"daily": 9},
            "under 900, since 9 of them tell as much as one independent value; learned from two weeks with ",
        ),
        (
            {"daily": 9, "weekly": 4},
            "under 400, since 4 of them tell as much as one independent value; a window of 10h ",
        ),
        ({"daily": 9, "weekly": 2}, ""),
    ],
)
def test_the_same_hours_need_as_many_as_they_are_alike(tmp_path: Path, seasonal: dict[str, float], told: str) -> None:
    found = said(tmp_path, 60, 23, seasonal, LAST_WEEK)
    assert len(found) == bool(told)
    assert told in "".join(found)


def test_of_enough_traffic_or_of_a_baseline_without_times_nothing_is_said(tmp_path: Path) -> None:
    assert [words.partition(":")[0] for words in said(tmp_path, 60, 1)] == ["late-suddenly"]
    (tmp_path / "flights.baseline.json").write_text(
        (tmp_path / "flights.baseline.json").read_text().replace('"from": 1000000000.0', '"from": 0.0')
    )
    assert not [line for line in summary(plan(load(tmp_path / "flights.yaml"))) if "unknown under" in line]


def test_a_step_of_too_few_independent_values_for_a_shift_is_told(tmp_path: Path) -> None:
    said(tmp_path, 60, 1)  # three values in four minutes
    watched = (
        "  late: {what: x, stage: depart, signal: {shift: input.late}}\n"
        "  wild: {what: x, stage: depart, signal: {shift: spread of input.late}}\n"
    )
    (tmp_path / "flights.yaml").write_text(SPEC.partition("  late:")[0] + watched)
    words = "4m has about 3 values of input.late, as often as they came in the baseline: a shift is unknown under "
    fewer = "32; use drift, which has a longer window"
    lines = [line.strip() for line in summary(plan(load(tmp_path / "flights.yaml"))) if "unknown under" in line]
    assert lines == [f"late: {words}{fewer}", f"wild: {words}{fewer}"]
    file = tmp_path / "flights.baseline.json"
    file.write_text(file.read_text().replace('"count": 60000', '"count": 600000000'))
    assert not [line for line in summary(plan(load(tmp_path / "flights.yaml"))) if "unknown under" in line]


@pytest.mark.parametrize(("apart", "told"), [("5m", True), ("2m", False)])
def test_that_nobody_is_told_what_moved_first_is_told(tmp_path: Path, apart: str, told: bool) -> None:
    folder = Path(__file__).parent
    shutil.copy(folder / "drifting.baseline.json", tmp_path)
    document = yaml.safe_load((folder / "drifting.yaml").read_text())
    modes = {name: mode for name, mode in document["failure_modes"].items() if "shift" not in str(mode["signal"])}
    document |= {"scrape_interval": apart, "failure_modes": modes}
    (tmp_path / "kitchen.yaml").write_text(yaml.safe_dump(document))
    words = "  which stage moved first is not told: that takes scrapes 2m apart at most"
    assert (words in summary(plan(load(tmp_path / "kitchen.yaml")))) == told

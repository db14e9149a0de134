"""`above: auto`: the threshold that is chosen, by hand, and how it gets into the file."""

from __future__ import annotations

import pytest

from pipemon.backtest.history import Labels, Points
from pipemon.backtest.tuning import amount, budget, smallest
from pipemon.errors import SpecError
from pipemon.spec.rewriting import with_thresholds

A: Labels = (("stage", "a"),)
B: Labels = (("stage", "b"),)


def series(*values: float) -> list[tuple[float, float]]:
    return [(10.0 * index, value) for index, value in enumerate(values)]


def bumps(heights: list[float], length: int = 3) -> list[float]:
    """1000 evaluations at 0, with a bump of each height."""
    values = [0.0] * 1000
    for index, height in enumerate(heights):
        start = 20 + index * 50
        values[start : start + length] = [height] * length
    return values


def test_the_next_smaller_threshold_would_have_fired_too_often() -> None:
    points: Points = {A: series(*bumps([10, 6, 4, 2]))}
    assert smallest(points, "above", 10, 0, 0, allowed=2) == (4.0, 2)
    assert smallest(points, "above", 10, 0, 0, allowed=1) == (6.0, 1)
    assert smallest(points, "above", 10, 0, 0, allowed=0.5) == (10.0, 0)


def test_what_is_over_before_it_has_lasted_is_no_alert() -> None:
    # The bumps hold for 20 s after they began, but for the last, which holds for 40 s.
    values = bumps([10, 6, 4])
    values[400:405] = [3.0] * 5
    assert smallest({A: series(*values)}, "above", 10, for_=30, keep_firing_for=0, allowed=0) == (3.0, 0)


def test_firings_that_run_into_one_another_are_one() -> None:
    values = [0.0] * 1000
    values[20:22] = values[24:26] = [5.0, 5.0]
    assert smallest({A: series(*values)}, "above", 10, 0, keep_firing_for=0, allowed=1) == (5.0, 0)
    assert smallest({A: series(*values)}, "above", 10, 0, keep_firing_for=20, allowed=1) == (0.0, 1)


def test_below_is_the_same_from_the_other_side() -> None:
    points: Points = {A: series(*(-value for value in bumps([10, 6, 4, 2])))}
    assert smallest(points, "below", 10, 0, 0, allowed=2) == (-4.0, 2)


def test_a_threshold_of_drift_is_over_0_which_is_what_chance_explains() -> None:
    drifted: Points = {A: series(*bumps([0.4, 0.2]))}
    assert smallest(drifted, "above", 10, 0, 0, allowed=2, over=0.0) == (0.001, 2)
    assert smallest({A: series(*[0.0] * 100)}, "above", 10, 0, 0, allowed=1, over=0.0) == (0.01, 0)


def test_the_alerts_of_all_places_count() -> None:
    points: Points = {A: series(*bumps([10, 4])), B: series(*bumps([8, 3]))}
    assert smallest(points, "above", 10, 0, 0, allowed=2) == (4.0, 2)


def test_an_alert_that_fires_most_of_the_time_is_within_no_budget() -> None:
    points: Points = {A: series(*[1.0] * 500, *[5.0] * 500)}
    threshold, count = smallest(points, "above", 10, 0, 0, allowed=3)
    assert (threshold, count) == (5.0, 0)


def test_a_value_that_never_moved_is_not_beyond_its_threshold() -> None:
    assert smallest({A: series(*[0.25] * 100)}, "above", 10, 0, 0, allowed=1) == (0.25, 0)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1/week", 604800), ("2 a day", 43200), ("1 per month", 2592000), ("0.5/day", 172800)]
)
def test_a_budget_is_alerts_in_a_time(text: str, seconds: float) -> None:
    assert budget(text) == pytest.approx(1 / seconds)


@pytest.mark.parametrize("text", ["", "week", "0/week", "1/year", "-1/day", "1"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write it as 1/week"):
        budget(text)


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [(0.125, "ratio", "12.5%"), (0.3, "seconds", "300ms"), (-42.5, "dBFS", "-42.5"), (2592000, "age", "30d")],
)
def test_a_threshold_is_written_as_a_team_writes_it(value: float, unit: str, written: str) -> None:
    assert amount(value, unit) == written


FILE = """\
# ours
pipeline: speech   # ünïcode first
failure_modes:
  one:
    what: auto is a word
    above: auto    # as the on-call can bear
  two: {what: it, signal: {mean: input.level}, below: "auto", do: say auto}
  three:
    signals: {all: [{signal: null_ratio, above: 'auto'}]}
  four: {what: stays, above: auto}
"""


def test_only_the_threshold_changes_in_the_file() -> None:
    found = with_thresholds(FILE, "f.yaml", {"one": "12%", "two": "-40", "three": "5%"})
    expected = FILE.replace("above: auto    #", "above: 12%    #").replace('below: "auto"', "below: -40")
    assert found == expected.replace("above: 'auto'", "above: 5%")


def test_line_ends_stay_what_they_are() -> None:
    text = FILE.replace("\n", "\r\n")
    assert with_thresholds(text, "f.yaml", {"one": "12%"}) == text.replace("auto    #", "12%    #")


def test_a_threshold_that_two_share_is_refused_with_its_place() -> None:
    shared = "failure_modes:\n  a: &a {what: it, above: auto}\n  b: {<<: *a}\n"
    with pytest.raises(SpecError, match=r"f.yaml:2:27: b: this 'auto' belongs to an anchor; write 5% yourself"):
        with_thresholds(shared, "f.yaml", {"a": "4%", "b": "5%"})
    anchored = "failure_modes:\n  a: {what: it, above: &x auto}\n"
    with pytest.raises(SpecError, match=r"f.yaml:2:24: a: this 'auto' belongs to an anchor"):
        with_thresholds(anchored, "f.yaml", {"a": "4%"})

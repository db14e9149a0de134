"""What a stream is worth beside its own same hours: a rhythm is no dependence, and what else there is stays one."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from benchmarks.drift.same_hours import effects, stream, told
from pipemon.baseline import same_hours
from pipemon.baseline.bins import cut


@cache
def verdicts(shift: float) -> dict[str, float]:
    """Return in what share of comparisons with the week before there is drift, by which effect counts are divided."""
    random, found = np.random.default_rng(11), dict[str, list[float]]()
    for _ in range(8):
        times, values = stream(random, 14, 0.9)
        bounds, (own, usual) = np.array(cut(values)), effects(times, values)
        _, live = stream(random, 28, 0.9)
        for name, effect in (("none", 1.0), ("weekly", own["weekly"]), ("usual", usual)):
            found.setdefault(name, []).append(told(live, bounds, effect, shift))
    return {name: float(np.mean(shares)) for name, shares in found.items()}


def test_between_the_same_hours_a_seasonal_stream_alarms_falsely_as_seldom_as_is_said() -> None:
    assert verdicts(0.0)["none"] > 0.3
    assert verdicts(0.0)["weekly"] <= 0.015


def test_a_shift_is_seen_between_the_same_hours_where_the_rhythm_left_nothing_to_say() -> None:
    assert verdicts(1.0)["weekly"] > 0.9
    assert np.isnan(verdicts(1.0)["usual"])


def test_what_comes_every_day_is_no_dependence_and_what_lasts_for_minutes_is() -> None:
    random = np.random.default_rng(3)
    alike = [effects(*stream(random, 14, 0.9)) for _ in range(4)]
    for rhythm in ("daily", "weekly"):
        assert np.mean([own[rhythm] for own, _ in alike]) == pytest.approx(6.5, rel=0.2)
        assert np.mean([own[f"{rhythm}_cumulative"] for own, _ in alike]) == pytest.approx(18, rel=0.25)
    assert min(usual for _, usual in alike) > 100
    apart = [effects(*stream(random, 14, 0.0))[0] for _ in range(4)]
    assert 1 <= np.mean([list(own.values()) for own in apart]) < 1.15


def test_what_is_other_on_two_days_of_a_week_is_a_dependence_of_days_and_none_of_weeks() -> None:
    own, _ = effects(*stream(np.random.default_rng(4), 14, 0.9, weekend=1.0))
    assert own["daily"] > 50
    assert own["weekly"] == pytest.approx(6.5, rel=0.3)


@pytest.mark.parametrize(("days", "known"), [(5, set()), (7, {"daily"}), (11, {"daily"}), (14, {"daily", "weekly"})])
def test_it_takes_a_week_to_know_days_and_two_to_know_weeks(days: int, known: set[str]) -> None:
    own, _ = effects(*stream(np.random.default_rng(4), days, 0.9))
    assert {name for name in own if "_" not in name} == known


def test_a_service_that_sleeps_at_night_is_known_by_its_days() -> None:
    times, values = stream(np.random.default_rng(4), 7, 0.9)
    awake = times % 86_400 >= 6 * same_hours.HOUR
    own, _ = effects(times[awake], values[awake])
    assert own["daily"] == pytest.approx(6.5, rel=0.3)

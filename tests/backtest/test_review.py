"""What can be pruned: alerts that never fire, and those that only fire together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pipemon.backtest.firing import Firing
from pipemon.backtest.history import Period
from pipemon.backtest.review import Reviewed, review, together
from pipemon.spec.load import load
from pipemon.spec.model import Spec

SPEC = """\
pipeline: chain
stages: {hear: {budget: 300ms}, write: {after: hear, budget: 300ms}}
failure_modes:
  deaf: {what: it hears nothing, stage: hear, signal: null_ratio}
  mute: {what: it writes nothing, stage: write, signal: null_ratio}
  slow: {what: it takes long, stage: write, signal: {latency: p95}}
"""
DAY = 86400.0


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    (tmp_path / "chain.yaml").write_text(SPEC)
    return load(tmp_path / "chain.yaml")


def fired(*times: tuple[float, float | None]) -> tuple[Firing, ...]:
    return tuple(Firing((), start, end) for start, end in times)


@pytest.mark.parametrize(
    ("mute", "expected"),
    [
        ([(12, 25), (45, 60)], [("deaf", "mute")]),
        ([(5, 15), (45, None)], [("deaf", "mute")]),
        # It began when the other was over.
        ([(20, 25), (45, 60)], []),
        # It fired once by itself; or not at all with the second.
        ([(12, 15), (45, 60), (70, 80)], []),
        ([(12, 15), (16, 18)], []),
        # Once may be chance.
        ([(12, 60)], []),
    ],
)
def test_two_alerts_fire_together_if_neither_ever_fires_alone(
    mute: Sequence[tuple[float, float | None]], expected: list[tuple[str, str]]
) -> None:
    assert together({"deaf": fired((10, 20), (40, 50)), "mute": fired(*mute)}) == expected


def test_a_review_names_what_never_fired_what_fired_most_and_what_fired_together(spec: Spec) -> None:
    twice = fired((DAY, DAY + 600), (3 * DAY, 3 * DAY + 1200))
    found = Reviewed(spec, Period(0, 14 * DAY), {"gone": fired((5, 65)), "deaf": twice, "mute": twice})
    assert list(review(found)) == [
        "chain: 14d",
        "  never fired: slow",
        "    could they? `pipemon drill` makes one fire; `pipemon backtest` says what has no series",
        "  fired most:",
        "    deaf: 2 times, 1 a week, 30m in all",
        "    mute: 2 times, 1 a week, 30m in all",
        "    gone: once, 0.5 a week, 1m in all, in the file no more",
        "  always fired together:",
        "    deaf and mute: one of them may do, or `leads_to` says which is the cause",
    ]


def test_without_any_alert_it_says_what_that_may_mean(spec: Spec) -> None:
    (_, told) = review(Reviewed(spec, Period(0, DAY), {}))
    assert told == "  nothing fired; if its rules were loaded in this time, all is quiet, or nothing is seen"

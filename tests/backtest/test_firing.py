"""Pending, firing, kept firing and resolved, counted by hand; and who was held back by whom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipemon.backtest.firing import Firing, firings
from pipemon.backtest.notifying import notified
from pipemon.generate.inhibition import Plan, plan
from pipemon.spec.load import load

SPEC = """\
pipeline: chain
keep: [cluster]
stages: {hear: {budget: 300ms}, write: {after: hear, budget: 300ms}}
failure_modes:
  cause: {what: it hears nothing, stage: hear, signal: null_ratio, severity: page, leads_to: [effect]}
  effect: {what: it writes nothing, stage: write, signal: null_ratio, severity: ticket}
  tried: {what: it raises, stage: hear, signal: error_ratio, mode: observe}
"""


def held(*rows: tuple[int, int]) -> list[float]:
    """The evaluations, each 10 s, from the first to the last of each row."""
    return [float(time) for first, last in rows for time in range(first, last + 1, 10)]


@pytest.mark.parametrize(
    ("times", "for_", "keep", "expected"),
    [
        ([], 0, 0, []),
        (held((10, 30)), 0, 0, [(10, 40)]),
        (held((10, 30)), 20, 0, [(30, 40)]),
        (held((10, 30)), 21, 0, []),
        (held((10, 40)), 21, 0, [(40, 50)]),
        (held((10, 30), (50, 90)), 20, 0, [(30, 40), (70, 100)]),
        # Resolved at the evaluation that is 20 s after the first without it, unless it holds again by then.
        (held((10, 30)), 0, 20, [(10, 60)]),
        (held((10, 30)), 0, 15, [(10, 60)]),
        (held((10, 30), (60, 70)), 20, 20, [(30, 100)]),
        (held((10, 30), (70, 80)), 0, 20, [(10, 60), (70, 110)]),
        # What never fired is not kept firing.
        (held((10, 20), (40, 50)), 20, 60, []),
        (held((180, 200)), 0, 0, [(180, None)]),
        (held((160, 180)), 0, 20, [(160, None)]),
        (held((160, 170)), 0, 20, [(160, 200)]),
    ],
)
def test_an_alert_waits_fires_is_kept_firing_and_resolves(
    times: list[float], for_: float, keep: float, expected: list[tuple[float, float | None]]
) -> None:
    assert list(firings(times, 10, for_, keep, until=200)) == expected


def at(cluster: str, start: float, end: float | None) -> Firing:
    return Firing((("cluster", cluster), ("pipeline", "chain")), start, end)


@pytest.fixture
def made(tmp_path: Path) -> Plan:
    (tmp_path / "chain.yaml").write_text(SPEC)
    found = plan(load(tmp_path / "chain.yaml"))
    assert found.spec.timing.group_wait == 30
    assert found.spec.timing.group_interval == 300
    return found


def told(made: Plan, effect: Firing, *causes: Firing) -> Firing:
    return notified(made, {"cause": causes, "effect": (effect,)}, until=10_000)["effect"][0]


def test_an_effect_is_held_back_while_its_cause_fires(made: Plan) -> None:
    effect = at("a", 1000, 2000)
    assert told(made, effect) == replace(effect, notified=1030)
    assert told(made, effect, at("a", 1030, 3000)) == replace(effect, held_by=("cause",))
    # It is looked at when the group is told again: 1330, 1630.
    assert told(made, effect, at("a", 900, 1331)) == replace(effect, held_by=("cause",), notified=1630)
    assert told(made, effect, at("a", 1031, 3000)) == replace(effect, notified=1030)
    assert told(made, effect, at("a", 900, None)) == replace(effect, held_by=("cause",))


def test_another_cluster_holds_nothing_back(made: Plan) -> None:
    effect = at("a", 1000, 2000)
    assert told(made, effect, at("b", 900, 3000)) == replace(effect, notified=1030)


def test_what_is_over_before_the_group_is_told_is_told_to_nobody(made: Plan) -> None:
    effect = at("a", 1000, 1030)
    assert told(made, effect) == effect


def test_what_is_in_burn_in_is_told_to_nobody(made: Plan) -> None:
    tried = at("a", 1000, 2000)
    assert notified(made, {"tried": (tried,)}, until=10_000) == {"tried": (tried,)}

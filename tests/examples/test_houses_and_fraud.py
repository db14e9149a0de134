"""The valuation of houses and the screening of payments under each change, and the one alert that each sends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import agency
import market
import payments
import pytest
import screening
import shop
import valuation
from phases import Phase, series
from processor_time import by_processor_time
from rule_tests import check, fired

from pipemon.generate.inhibition import Plan, plan
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.load import load
from pipemon.spec.modes import alert_name

pytestmark = pytest.mark.integration

Expected = tuple[str, set[str]]
"""The failure mode whose alert is sent, and its effects, which fire and are held back."""

HOUSES: dict[str, Expected] = {
    # The mean stays, and the valuation is right: only the distribution tells.
    "small_and_large": ("other-houses", set()),
    "larger": ("houses-larger", {"other-houses"}),
    "prices_up": ("prices-wrong", set()),
    "ages_unknown": ("ages-unknown", set()),
}
FRAUD: dict[str, Expected] = {
    "lockdown": ("everybody-buys-otherwise", {"too-many-blocked", "honest-people-blocked"}),
    "hidden": ("fraud-gets-through", set()),
    "wallet": ("unknown-channel", set()),
}


@pytest.fixture(autouse=True)
def _whatever_else_runs_here() -> Iterator[None]:
    with by_processor_time(valuation.value, valuation.offer, screening.score, screening.screen):
        yield


def planned(module: object) -> Plan:
    return plan(load(Path(str(getattr(module, "__file__", ""))).with_name("failure_modes.yaml")))


def expect(made: Plan, expected: Expected) -> list[str]:
    """Return the alerts that fire; the effects must be among what the cause holds back."""
    cause, effects = expected
    assert effects <= set(made.targets.get(cause, ()))
    return [alert_name(made.spec.pipeline, name) for name in (cause, *effects)]


@pytest.mark.parametrize("change", market.CHANGES)
def test_each_change_of_the_market_sends_one_alert(change: str, tmp_path: Path) -> None:
    made, offered = planned(valuation), agency.Agency()
    usual, other = market.Market(), market.CHANGES[change].market
    # Four hours and five, a house every two seconds.
    phases = [Phase(lambda: offered.next_house(usual), 120, 60), Phase(lambda: offered.next_house(other), 150, 60)]
    expected = [fired("4h", "4h"), fired("9h", "5h", *expect(made, HOUSES[change]))]
    check(rule_file(rules(made.spec)), series("houses", phases), expected, tmp_path, interval="2m")


@pytest.mark.parametrize("change", payments.CHANGES)
def test_each_change_of_the_world_sends_one_alert_and_its_effects_are_held_back(change: str, tmp_path: Path) -> None:
    made, till = planned(screening), shop.Shop()
    usual, other = payments.World(), payments.CHANGES[change].world
    phases = [Phase(lambda: till.next_payment(usual), 40, 300), Phase(lambda: till.next_payment(other), 40, 300)]
    expected = [fired("20m", "20m"), fired("40m", "20m", *expect(made, FRAUD[change]))]
    check(rule_file(rules(made.spec)), series("fraud", phases, 1000), expected, tmp_path, interval="30s")

"""Draws houses that are offered, and what each is sold for in the end: the truth that a valuation learns much later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MEAN_SIZE, SPREAD = 120.0, 25.0
"""Of a house's size, in square metres."""

PRICE_OF_METRE, PRICE_OF_ROOM, DISCOUNT_OF_YEAR = 2500.0, 8000.0, 900.0
"""In euros: what size, rooms and age are worth, as the market was when the model was trained."""

_HAGGLING = 0.06
"""Standard deviation of what a buyer pays over or under that."""


@dataclass(frozen=True)
class House:
    """A house that is offered: its size in square metres, its rooms and its age in years."""

    size: float
    rooms: int
    age: float


@dataclass(frozen=True)
class Market:
    """What is built and paid. `apart` is how far sizes lie from their mean, in square metres: with 0 most are near it.

    `bigger` is what houses are larger by, in square metres. `prices` is what is paid, 1 as the model learned it.
    `unknown_age` is the share of houses whose age nobody wrote down.
    """

    apart: float = 0.0
    bigger: float = 0.0
    prices: float = 1.0
    unknown_age: float = 0.0

    def house(self, rng: np.random.Generator) -> House:
        """Draw a house."""
        middle = MEAN_SIZE + self.bigger + (rng.choice((-self.apart, self.apart)) if self.apart else 0.0)
        size = max(30.0, rng.normal(middle, SPREAD / 3 if self.apart else SPREAD))
        age = float("nan") if rng.random() < self.unknown_age else rng.uniform(0, 60)
        return House(float(size), max(1, round(size / 28 + rng.normal(0, 0.6))), float(age))

    def sold_for(self, house: House, rng: np.random.Generator) -> float:
        """Return what a buyer pays, in euros."""
        age = 30.0 if np.isnan(house.age) else house.age
        worth = PRICE_OF_METRE * house.size + PRICE_OF_ROOM * house.rooms - DISCOUNT_OF_YEAR * age
        return float(self.prices * worth * rng.normal(1, _HAGGLING))


@dataclass(frozen=True)
class Change:
    """Something that changes out there."""

    what: str
    market: Market


CHANGES: dict[str, Change] = {
    "small_and_large": Change("only small and large houses are built; their mean stays", Market(apart=45)),
    "larger": Change("families move out of town into larger houses", Market(bigger=30)),
    "prices_up": Change("everything costs a quarter more; the houses are as they were", Market(prices=1.25)),
    "ages_unknown": Change("a new form does not ask for the age", Market(unknown_age=0.6)),
}

"""The valuation: a house that is offered goes in, a price comes out. What it was sold for is told months later.

Importing it trains nothing: `pipemon generate` imports it only for its stages, features and budgets.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from market import House, Market

import pipemon
from pipemon.features import Feature

BASELINE = Path(__file__).with_name("houses.baseline.json")

houses = pipemon.Pipeline("houses", version="1.0.0", budget="200ms", baseline=str(BASELINE))


@cache
def model() -> Any:
    """Return linear regression of 500 sales, always the same."""
    from sklearn.linear_model import LinearRegression  # noqa: PLC0415 - only where houses are valued

    rng, market = np.random.default_rng(7), Market()
    offered = [market.house(rng) for _ in range(500)]
    return LinearRegression().fit([_row(house) for house in offered], [market.sold_for(h, rng) for h in offered])


def _row(house: House) -> list[float]:
    return [house.size, house.rooms, 30.0 if np.isnan(house.age) else house.age]


@houses.stage(
    "value",
    inputs={
        "house": [
            Feature("size", lambda house: house.size, unit="m2"),
            Feature("rooms", lambda house: house.rooms, unit="rooms"),
            Feature("age", lambda house: house.age, unit="years"),
        ]
    },
    output=Feature("price", lambda price: price, unit="EUR"),
    scores=["price_error"],
    labels=True,
    budget="150ms",
)
def value(house: House) -> float:
    """Return what a house is worth, in euros."""
    return float(model().predict([_row(house)])[0])


@houses.run
def offer(house: House) -> tuple[float, str]:
    """Return the price that is asked, and the token by which the sale is told later."""
    price = value(house)
    run = pipemon.current_run()
    return price, run.token if run else ""


def sold(price: float, paid: float, token: str) -> None:
    """Tell what a house was sold for: the score is how far off the asked price was, as a share of what was paid."""
    houses.score("price_error", abs(price - paid) / paid, stage="value", run=token)

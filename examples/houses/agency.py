"""Offer drawn houses at a steady rate, sell them, let the market change on request, and expose the metrics.

python agency.py --port 9464 --change small_and_large --after 60
python agency.py --learn 4000                # writes houses.baseline.json anew
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import valuation
from market import CHANGES, Market

import pipemon
from pipemon.demo.exposing import exposed


class Agency:
    """Houses in a fixed order, each valued and sold. In truth a sale takes months; here it is told at once."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)

    def next_house(self, market: Market) -> None:
        """Value one house of a market, and sell it."""
        house = market.house(self._rng)
        price, token = valuation.offer(house)
        valuation.houses.label_expected("value")
        valuation.sold(price, market.sold_for(house, self._rng), token)


def learn(count: int) -> None:
    """Write the baseline from houses of the market as it was."""
    agency = Agency(seed=1)
    with pipemon.learning(valuation.houses, source="drawn houses") as learned:
        for _ in range(count):
            agency.next_house(Market())
    learned.save(valuation.BASELINE)


def main() -> None:
    """Offer houses until told to stop."""
    parser = argparse.ArgumentParser(description="Value drawn houses and expose the metrics.")
    parser.add_argument("--port", type=int, default=9464, help="where metrics are exposed; 0 takes a free one")
    parser.add_argument("--rate", type=float, default=5.0, help="houses a second")
    parser.add_argument("--change", choices=CHANGES, help="what becomes different")
    parser.add_argument("--after", type=float, default=0.0, help="seconds until it does")
    parser.add_argument("--learn", type=int, metavar="HOUSES", help="write the baseline from so many, and end")
    options = parser.parse_args()
    if options.learn:
        learn(options.learn)
        return
    agency, began = Agency(), time.monotonic()
    with exposed(options.port) as (stop, address):
        print(f"ready: metrics at {address}", flush=True)
        while not stop.wait(1 / options.rate):
            changed = options.change and time.monotonic() - began >= options.after
            agency.next_house(CHANGES[options.change].market if changed else Market())


if __name__ == "__main__":
    main()

"""Screen drawn payments at a steady rate, let the world change on request, and expose the metrics.

    python shop.py --port 9464 --change lockdown --after 60
    python shop.py --learn 4000                  # writes fraud.baseline.json anew

A card's owner tells of fraud that passed, and complains when an honest payment was blocked.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import screening
from payments import CHANGES, World

import pipemon
from pipemon.demo.exposing import exposed


class Shop:
    """Payments in a fixed order, and what their owners say. In truth that takes weeks; here it is told at once."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)

    def next_payment(self, world: World) -> None:
        """Screen one payment of a world, and hear of it."""
        payment = world.payment(self._rng)
        probability, token = screening.screen(payment)
        blocked = probability >= screening.BLOCK
        if payment.fraudulent and not blocked:
            screening.fraud.feedback("chargeback", stage="score", run=token)
        if blocked and not payment.fraudulent:
            screening.fraud.feedback("false_alarm", stage="score", run=token)


def learn(count: int) -> None:
    """Write the baseline from payments of the world as it was."""
    shop = Shop(seed=1)
    with pipemon.learning(screening.fraud, source="drawn payments") as learned:
        for _ in range(count):
            shop.next_payment(World())
    learned.save(screening.BASELINE)


def main() -> None:
    """Sell until told to stop."""
    parser = argparse.ArgumentParser(description="Screen drawn payments and expose the metrics.")
    parser.add_argument("--port", type=int, default=9464, help="where metrics are exposed; 0 takes a free one")
    parser.add_argument("--rate", type=float, default=20.0, help="payments a second")
    parser.add_argument("--change", choices=CHANGES, help="what becomes different")
    parser.add_argument("--after", type=float, default=0.0, help="seconds until it does")
    parser.add_argument("--learn", type=int, metavar="PAYMENTS", help="write the baseline from so many, and end")
    options = parser.parse_args()
    if options.learn:
        learn(options.learn)
        return
    shop, began = Shop(), time.monotonic()
    with exposed(options.port) as (stop, address):
        print(f"ready: metrics at {address}", flush=True)
        while not stop.wait(1 / options.rate):
            changed = options.change and time.monotonic() - began >= options.after
            shop.next_payment(CHANGES[options.change].world if changed else World())


if __name__ == "__main__":
    main()

"""Draws payments, few of them fraudulent: what is bought, how, how late and how far from home. All made up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CHANNELS = ("shop", "online", "phone")

FRAUDULENT = 0.03
"""Share of payments that are not the card's owner's."""


@dataclass(frozen=True)
class Payment:
    """A payment: euros, the channel, the hour of the day, kilometres from home; and whose it is in truth."""

    euros: float
    channel: str
    hour: float
    kilometres: float
    fraudulent: bool


@dataclass(frozen=True)
class World:
    """How people buy, and how fraudsters do.

    `online` is the share that honest people buy online; `baskets` how large their payments are, 1 as ever; `near`
    how far from home they buy, 1 as ever. With `hidden` fraudsters buy as everybody does. `wallet` is the share
    paid by a channel that nobody has trained on.
    """

    online: float = 0.3
    baskets: float = 1.0
    near: float = 1.0
    hidden: bool = False
    wallet: float = 0.0

    def payment(self, rng: np.random.Generator) -> Payment:
        """Draw a payment."""
        fraudulent = bool(rng.random() < FRAUDULENT)
        if fraudulent and not self.hidden:
            channel = "online" if rng.random() < 0.9 else "phone"
            euros, hour, km = rng.lognormal(6.0, 0.6), rng.normal(26, 2) % 24, rng.lognormal(6.0, 0.8)
        else:
            chance = rng.random()
            channel = "online" if chance < self.online else "phone" if chance < self.online + 0.05 else "shop"
            euros, hour = self.baskets * rng.lognormal(3.4, 0.8), rng.normal(15, 3.5) % 24
            km = self.near * rng.lognormal(1.5, 0.9)
        if rng.random() < self.wallet:
            channel = "wallet"
        return Payment(float(euros), channel, float(hour), float(km), fraudulent)


@dataclass(frozen=True)
class Change:
    """Something that changes out there."""

    what: str
    world: World


CHANGES: dict[str, Change] = {
    "lockdown": Change("shops close from one day to the next", World(online=0.9, baskets=6.0, near=0.3)),
    "hidden": Change("fraudsters learn to buy as everybody does", World(hidden=True)),
    "wallet": Change("a new way to pay comes", World(wallet=0.1)),
}

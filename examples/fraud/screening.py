"""The screening of payments: scikit-learn says how likely each is fraudulent, and the likely ones are blocked.

Importing it trains nothing: `pipemon generate` imports it only for its stages, features and budgets.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from payments import CHANNELS, Payment, World

import pipemon
from pipemon.features import Category, Feature

BASELINE = Path(__file__).with_name("fraud.baseline.json")
BLOCK = 0.5
"""Probability from which a payment is blocked."""

fraud = pipemon.Pipeline(
    "fraud", version="1.0.0", budget="100ms", baseline=str(BASELINE), feedback=("chargeback", "false_alarm")
)


@cache
def model() -> Any:
    """Return a classifier of 20,000 payments, always the same."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - only where payments are screened
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    rng, world = np.random.default_rng(7), World()
    seen = [world.payment(rng) for _ in range(20_000)]
    learned = make_pipeline(StandardScaler(), LogisticRegression())
    return learned.fit([_row(payment) for payment in seen], [payment.fraudulent for payment in seen])


def _row(payment: Payment) -> list[float]:
    at_night = math.cos((payment.hour - 3) * math.pi / 12)
    return [math.log(payment.euros), float(payment.channel == "online"), at_night]


@fraud.stage(
    "score",
    inputs={
        "payment": [
            Feature("amount", lambda payment: payment.euros, unit="EUR"),
            Feature("distance", lambda payment: payment.kilometres, unit="km"),
            Feature("time_of_day", lambda payment: payment.hour * 3600, unit="seconds"),
            Category("channel", lambda payment: payment.channel, categories=CHANNELS),
        ]
    },
    output=[
        Feature("probability", lambda probability: probability, unit="ratio"),
        Category("verdict", lambda p: "block" if p >= BLOCK else "pass", categories=("pass", "block")),
    ],
    budget="50ms",
)
def score(payment: Payment) -> float:
    """Return how likely a payment is fraudulent."""
    return float(model().predict_proba([_row(payment)])[0, 1])


@fraud.run
def screen(payment: Payment) -> tuple[float, str]:
    """Return how likely a payment is fraudulent, and the token by which the truth is told later."""
    probability = score(payment)
    run = pipemon.current_run()
    return probability, run.token if run else ""

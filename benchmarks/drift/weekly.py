"""How many false alarms a week there are with the windows, thresholds and times that failure modes have by default."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.random import Generator
from numpy.typing import NDArray

from benchmarks.drift.emulation import Array, enough, evidence, learned, recent, values_of
from benchmarks.drift.tables import Table
from pipemon.generate.drift.constants import ALPHA, LOOK, Reference

SIZES = (100, 200, 300, 500, 1000, 3000)
"""Values in the window."""
WEEK = 7 * 24 * 60
SUDDEN, HOUR, SUDDEN_FOR = 5, 60, 2
"""Minutes of the window of what is sudden, of the past that it is compared with, and of its `for`."""
GRADUAL, GRADUAL_FOR, GRADUAL_STEP = 360, 30, 5
"""The same of what is gradual, and how far apart the looks at it are here."""
THRESHOLD = 0.1
"""That of psi."""


def weekly(random: Generator, weeks: int) -> Table:
    """Return the false alarms a week of `weeks` weeks of each kind, each with a baseline of its own."""
    looks = LOOK * 60 / SUDDEN
    rows = []
    for size in SIZES:
        counts: dict[str, list[float]] = {}
        for _ in range(weeks):
            base = learned(random.normal(size=10_000), 10)
            reference = Reference("hear", "input", "level", base)
            shares = _shares(random, base.bounds)
            psi, beyond = _sudden(random, shares, size, ALPHA / looks)
            each_look = _sudden(random, shares, size, ALPHA)
            counts.setdefault("sudden", []).append(_alarms((psi > THRESHOLD) & (beyond > 1), SUDDEN_FOR))
            counts.setdefault("sudden above 0", []).append(_alarms(beyond > 1, SUDDEN_FOR))
            told = (each_look[0] > THRESHOLD) & (each_look[1] > 1)
            counts.setdefault("each look", []).append(_alarms(told, SUDDEN_FOR))
            lived = _windows(random.poisson(size / GRADUAL * GRADUAL_STEP * shares, _steps(shares)))
            live = lived[lived.sum(1) >= reference.least]
            for name, least in (("gradual", THRESHOLD), ("gradual above 0", 0.0)):
                on = np.zeros(len(lived), dtype=bool)
                if len(live) and enough(reference, live):
                    size_of, proof = values_of(reference, live, "psi"), evidence(reference, live, "psi")
                    on[lived.sum(1) >= reference.least] = (size_of > least) & (proof > 1)
                counts.setdefault(name, []).append(_alarms(on, GRADUAL_FOR // GRADUAL_STEP))
        cells = ("sudden", "sudden above 0", "each look", "gradual", "gradual above 0")
        rows.append([f"{size:,}", *(f"{np.mean(counts[name]):.2f}" for name in cells)])
    about = (
        f"Alerts a week in {weeks} weeks of independent normal values without drift, each with its own baseline of "
        "10,000; in numpy, by the formulas that tests hold to promtool. All features of a stage together raise as many "
        f"above 0. `sudden`: psi above {THRESHOLD} of {SUDDEN} minutes against the hour before, looked at each minute, "
        f"for {SUDDEN_FOR} minutes; above 0 it is significance alone. Its windows of {LOOK} hours share 1%; beside it "
        f"what it was with 1% of each window. `gradual`: psi above {THRESHOLD} of 6 hours against the baseline, looked "
        f"at every {GRADUAL_STEP} minutes, for {GRADUAL_FOR}. The standard error of a "
        "mean m is about sqrt(m / weeks)."
    )
    head = ["values in the window", "sudden", "sudden, above 0", "sudden, 1% a window", "gradual", "gradual, above 0"]
    return Table("False alarms a week", about, head, rows)


def _shares(random: Generator, bounds: tuple[float, ...]) -> Array:
    """Return how much of a normal distribution lies in each bin."""
    draws = np.sort(random.normal(size=2_000_000))
    cumulative = np.searchsorted(draws, np.asarray(bounds)) / len(draws)
    return np.diff(cumulative, prepend=0.0, append=1.0)


def _steps(shares: Array) -> tuple[int, int]:
    return ((WEEK + GRADUAL) // GRADUAL_STEP, len(shares))


def _windows(counts: NDArray[np.int64]) -> Array:
    """Return the counts of each window of what is gradual."""
    return np.asarray(sliding_window_view(counts, GRADUAL // GRADUAL_STEP, axis=0).sum(-1), dtype=float)


def _sudden(random: Generator, shares: Array, size: int, alpha: float) -> tuple[Array, Array]:
    """Return psi and its evidence for each minute of a week."""
    counts = random.poisson(size / SUDDEN * shares, (WEEK + SUDDEN + HOUR, len(shares)))
    total = np.concatenate([np.zeros((1, len(shares))), np.cumsum(counts, axis=0)])
    now = total[HOUR + SUDDEN :] - total[HOUR:-SUDDEN]
    then = total[HOUR:-SUDDEN] - total[: -HOUR - SUDDEN]
    return recent(now, then, alpha)


def _alarms(on: NDArray[np.bool_], lasting: int) -> float:
    """Return how often something held for `lasting` steps more than one."""
    held = np.asarray(sliding_window_view(on, lasting + 1).all(-1))
    return float(np.sum(held[1:] & ~held[:-1]) + held[0])

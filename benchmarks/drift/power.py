"""How often drift is seen where there is some, and how soon a moved mean is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from benchmarks.drift.emulation import Array, counts, evidence, learned, run_lengths
from benchmarks.drift.tables import Table
from pipemon.generate.drift.constants import Reference
from pipemon.spec.signals import STATISTICS

ALTERNATIVES: dict[str, Callable[[Generator, tuple[int, int]], Array]] = {
    "mean +0.1 sd": lambda random, size: random.normal(0.1, 1, size),
    "sd x1.1": lambda random, size: random.normal(0, 1.1, size),
    "sd x1.2": lambda random, size: random.normal(0, 1.2, size),
    "10% at +2 sd": lambda random, size: _mixed(random, size, 0.1, 2.0),
    "2% at +6 sd": lambda random, size: _mixed(random, size, 0.02, 6.0),
}
TABULATED = {4.0: (168, 74.2, 26.6, 8.38, 3.34), 5.0: (465, 139, 38.0, 10.4, 4.01)}
SHIFTS = (0.0, 0.25, 0.5, 1.0, 2.0)


def _mixed(random: Generator, size: tuple[int, int], share: float, at: float) -> Array:
    return np.asarray(random.normal(size=size) + at * (random.random(size) < share))


def power(random: Generator, windows: int) -> Table:
    rows = []
    for bins in (10, 20):
        each = Reference("hear", "input", "level", learned(random.normal(size=50_000), bins))
        for name, draw in ALTERNATIVES.items():
            values = draw(random, (windows, 1000))
            live = counts(values, np.asarray(each.baseline.bounds))
            shares = [float((evidence(each, live, statistic) > 1).mean()) for statistic in STATISTICS]
            rows.append([name, str(bins), *(f"{share:.2f}" for share in shares)])
    about = (
        "Share of windows of n = 1,000 in which it is seen, at a nominal 1% with each statistic's own critical value; "
        f"baseline of N = 50,000 normal values, bins of equal mass and two tails, {windows} windows."
    )
    return Table("Power", about, ["alternative", "bins", *STATISTICS], rows)


def lengths(random: Generator, runs: int) -> Table:
    rows = []
    for limit in (4.0, 5.0, 8.0):
        for index, shift in enumerate(SHIFTS):
            found = run_lengths(random, shift, limit, runs if limit < 8 or shift else max(1, runs // 10), 100_000)
            told = f"{TABULATED[limit][index]:g}" if limit in TABULATED else ""
            rows.append([f"{limit:g}", f"{shift:g}", f"{np.mean(found):.4g}", told])
    about = "Steps until a feature is taken for moved, in the mean, by the shift in standard errors."
    return Table("Run lengths of the cumulative sums", about, ["limit", "shift", "steps", "tabulated"], rows)

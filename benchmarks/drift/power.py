"""How often drift is seen where there is some, and how soon a moved mean is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from benchmarks.drift.emulation import Array, counts, evidence, of_bounds, run_lengths, values_of
from benchmarks.drift.tables import Table
from pipemon.baseline.bins import cut
from pipemon.generate.drift.constants import Reference
from pipemon.spec.signals import STATISTICS

SIZE, LIVE = 50_000, 1000
ALTERNATIVES: dict[str, Callable[[Generator, tuple[int, int]], Array]] = {
    "mean +0.1 sd": lambda random, size: random.normal(0.1, 1, size),
    "sd x1.1": lambda random, size: random.normal(0, 1.1, size),
    "sd x1.2": lambda random, size: random.normal(0, 1.2, size),
    "10% at +2 sd": lambda random, size: _mixed(random, size, 0.1, 2.0),
    "2% at +6 sd": lambda random, size: _mixed(random, size, 0.02, 6.0),
}
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "10 of equal mass": lambda values: np.quantile(values, np.arange(1, 10) / 10),
    "20 of equal mass": lambda values: np.quantile(values, np.arange(1, 20) / 20),
    "10 of equal width, tails": lambda values: np.linspace(-3, 3, 11),
    "10 shipped": lambda values: np.asarray(cut(values, 10)),
    "20 shipped": lambda values: np.asarray(cut(values, 20)),
}
EARLIER = {
    ("mean +0.1 sd", "10 of equal mass"): (0.33, 0.33, 0.33, 0.34, 0.56, 0.74),
    ("mean +0.1 sd", "20 of equal mass"): (0.22, 0.22, 0.22, 0.23, 0.51, 0.66),
    ("sd x1.1", "10 of equal mass"): (0.45, 0.45, 0.45, 0.48, 0.11, 0.21),
    ("sd x1.1", "10 of equal width, tails"): (0.71, 0.53, 0.43, 0.72, 0.12, 0.46),
    ("sd x1.2", "10 of equal mass"): (1.0, 1.0, 1.0, 1.0, 0.81, 0.97),
    ("10% at +2 sd", "10 of equal mass"): (0.99, 0.99, 0.99, 1.0, 0.99, 0.99),
    ("2% at +6 sd", "10 of equal mass"): (0.07, 0.07, 0.07, 0.08, 0.05, 0.09),
    ("2% at +6 sd", "10 of equal width, tails"): (1.0, 0.99, 0.99, 1.0, 0.04, 0.39),
}
"""An earlier simulation: one baseline of N = 50,000, 3,000 windows; in the order psi, js, hellinger, chi2, ks, w1."""
ORDER = ("psi", "js", "hellinger", "chi2", "ks", "wasserstein")
TABULATED = {4.0: (168, 74.2, 26.6, 8.38, 3.34), 5.0: (465, 139, 38.0, 10.4, 4.01)}
SHIFTS = (0.0, 0.25, 0.5, 1.0, 2.0)


def _mixed(random: Generator, size: tuple[int, int], share: float, at: float) -> Array:
    return np.asarray(random.normal(size=size) + at * (random.random(size) < share))


def power(random: Generator, baselines: int, windows: int) -> Table:
    """Return how often each alternative is seen: what is shipped, and the statistics by themselves on several bins."""
    alone: dict[tuple[str, str, str], list[float]] = {}
    shipped: dict[tuple[str, str, str], list[float]] = {}
    for _ in range(baselines):
        values = random.normal(size=SIZE)
        still = random.normal(size=(windows, LIVE))
        drawn = {name: draw(random, (windows, LIVE)) for name, draw in ALTERNATIVES.items()}
        for layout, cuts in LAYOUTS.items():
            bounds = cuts(values)
            each = Reference("hear", "input", "level", of_bounds(values, bounds))
            none = counts(still, bounds)
            limits = {one: float(np.quantile(values_of(each, none, one), 0.99)) for one in STATISTICS}
            for name, live in drawn.items():
                found = counts(live, bounds)
                for statistic in STATISTICS:
                    seen = float((values_of(each, found, statistic) > limits[statistic]).mean())
                    alone.setdefault((name, layout, statistic), []).append(seen)
                    if layout.endswith("shipped"):
                        seen = float((evidence(each, found, statistic) > 1).mean())
                        shipped.setdefault((name, layout, statistic), []).append(seen)
    rows, far, beyond = [], [], []
    for name in ALTERNATIVES:
        for layout in LAYOUTS:
            here = shipped if layout.endswith("shipped") else alone
            cells = [here[name, layout, statistic] for statistic in ORDER]
            if layout.endswith("shipped") or (name, layout) in EARLIER:
                rows.append([name, layout, "", *(f"{np.mean(each):.2f}" for each in cells)])
            if earlier := EARLIER.get((name, layout)):
                rows.append([name, layout, "earlier", *(f"{each:.2f}" for each in earlier)])
                for place, (of, told, shares) in enumerate(zip(ORDER, earlier, cells, strict=True), start=3):
                    # One baseline's chance, and that of 3,000 windows; 0.005 is how the numbers are rounded.
                    chance = np.sqrt(np.var(shares) + told * (1 - told) / 3000 + 0.005**2)
                    far.append((told - float(np.mean(shares))) / chance)
                    if abs(far[-1]) >= 3:
                        beyond.append(f"{of} of {name}, {layout}")
                        rows[-2][place] += ", **no**"
    between = max(float(np.std(each)) for each in alone.values())
    about = (
        f"Share of windows of n = {LIVE:,} in which it is seen, at 1% false alarms. Means over {baselines} baselines "
        f"of N = {SIZE:,} normal values, {windows} windows each. Shipped: the rules' own formulas, with the tails' and "
        "the core's share of the 1%; the rest: the statistic by itself, with a simulated critical value. From one "
        f"baseline to another a power differs by a standard deviation of up to {between:.2f}; the earlier simulation "
        f"had one baseline. Of its {len(far)} numbers {sum(abs(z) < 2 for z in far)} are within 2 standard deviations "
        f"of that and of its windows, {sum(abs(z) < 3 for z in far)} within 3; those that are not, **no**: "
        f"{'; '.join(beyond) or 'none'}. The earlier js and hellinger added nothing to empty bins, which costs "
        "them power where tails are nearly empty; its wasserstein of bins of equal mass hangs on where the outermost "
        "ones end, which it does not tell. The best two-sided test of a mean sees +0.1 sd in 0.71 of windows."
    )
    return Table("Power", about, ["alternative", "bins", "", *ORDER], rows)


def lengths(random: Generator, runs: int) -> Table:
    """Return after how many steps a mean that moved, or did not, is taken for moved."""
    rows = []
    for limit in (4.0, 5.0, 8.0):
        for index, shift in enumerate(SHIFTS):
            found = run_lengths(random, shift, limit, runs if limit < 8 or shift else max(1, runs // 10), 100_000)
            told = f"{TABULATED[limit][index]:g}" if limit in TABULATED else ""
            error = float(np.std(found) / np.sqrt(len(found)))
            rows.append([f"{limit:g}", f"{shift:g}", f"{np.mean(found):.4g} ± {error:.2g}", told])
    about = (
        "Steps until a feature is taken for moved, in the mean with its standard error, by the shift in standard "
        "errors. A limit of 8 is what is shipped."
    )
    return Table("Run lengths of the cumulative sums", about, ["limit", "shift", "steps", "tabulated"], rows)

"""Drift from the same hours a week ago, of streams that are higher by day than by night."""

from __future__ import annotations

import math
from itertools import accumulate

import numpy as np
from numpy.random import Generator

from benchmarks.drift.emulation import Array, counts, recent
from benchmarks.drift.tables import Table, percent
from pipemon.baseline import design_effect, same_hours
from pipemon.baseline.bins import cut
from pipemon.generate.drift.constants import ALPHA
from pipemon.generate.drift.recent import LEAST

RATE, WINDOW = 400, 6
"""Values an hour, and hours that are compared."""
DEPENDENT = (0.0, 0.6, 0.9, 0.95)
DAYS = (7, 14, 28)
SHIFT = 0.5
_WEEK = 7 * 24 // WINDOW


def stream(random: Generator, days: int, rho: float, weekend: float = 0.0) -> tuple[Array, Array]:
    """Return the times and values of days with a rhythm of one standard deviation, up and down.

    Beside it values are normal, each correlated by `rho` with the one before; those of two days of seven are higher by
    `weekend`.
    """
    times: Array = np.arange(days * 24.0 * RATE) * (same_hours.HOUR / RATE)
    drawn = random.normal(size=len(times))
    drawn[1:] *= math.sqrt(1 - rho**2)
    values: Array = np.array(list(accumulate(drawn.tolist(), lambda last, own: rho * last + own)))
    values += np.sin(2 * np.pi * times / 86_400) + weekend * (times // 86_400 % 7 >= 5)
    return times, values


def effects(times: Array, values: Array) -> tuple[dict[str, float], float]:
    """Return the design effects between the same hours, and that of any two windows."""
    bounds = np.array(cut(values))
    bins, size = np.searchsorted(bounds, values), len(bounds) + 1
    return same_hours.of_values(bins, size, times), design_effect.of_values(bins, size)


def told(live: Array, bounds: Array, effect: float, shift: float = 0.0) -> float:
    """Return in what share of comparisons with the week before there is drift, NaN where nothing is said.

    Values of the later week are higher by `shift`.
    """
    if RATE * WINDOW / effect < LEAST:
        return math.nan
    now, then = (counts((live + more).reshape(-1, RATE * WINDOW), bounds) / effect for more in (shift, 0.0))
    _, evidence = recent(now[_WEEK:], then[:-_WEEK], ALPHA)
    return float((evidence > 1).mean())


def rhythms(random: Generator, streams: int) -> Table:
    """Return how often there is drift between the same hours of two weeks, by `streams` streams of each kind."""
    rows = []
    for rho in DEPENDENT:
        for days in DAYS:
            cells: list[list[float]] = []
            for _ in range(streams):
                times, values = stream(random, days, rho)
                own, usual = effects(times, values)
                effect = own.get("weekly", own["daily"])
                bounds, (_, live) = np.array(cut(values)), stream(random, 28, rho)
                verdicts = [told(live, bounds, each) for each in (usual, 1.0, effect)]
                cells.append([usual, effect, *verdicts, told(live, bounds, effect, SHIFT)])
            usual, effect, *shares = np.array(cells).T
            said = [percent(float(np.nanmean(each))) if not np.isnan(each).all() else "unknown" for each in shares]
            unknown = percent(float(np.isnan(shares[2]).mean()))
            rows.append([f"{rho:g}", f"{days}", f"{usual.mean():.0f}", f"{effect.mean():.1f}", *said, unknown])
    about = (
        f"A rhythm of a day, of one standard deviation of what lies beside it, which is autocorrelated; {RATE} values "
        f"an hour, {WINDOW} hours against the same ones a week ago, in {streams} streams of four weeks for each row, "
        "each with a baseline of its own of so many days. The design effect of any two windows, and that between the "
        "same hours (of days where the baseline has one week, else of weeks); how often chance is taken for drift, at "
        f"a nominal 1%, by the one, by none and by the other; how often a mean higher by {SHIFT} is seen then; and of "
        f"how many streams nothing is said then, since there are under {LEAST} independent values. In numpy, by the "
        "formulas that tests hold to promtool."
    )
    head = [
        "autocorrelation", "days", "design effect", "between the same hours", "chance, by the design effect",
        "chance, by none", "chance, between the same hours", f"mean +{SHIFT}", "unknown",
    ]  # fmt: skip
    return Table("The same hours a week ago", about, head, rows)

"""The generated drift rules in numpy, for thousands of windows at once; a test holds them to promtool's results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import log

import numpy as np
from numpy.typing import NDArray

from pipemon.baseline.bins import cut
from pipemon.baseline.design_effect import of_cumulative, of_values
from pipemon.generate.drift.constants import CORES, LEAST, Reference, quantile_of_core
from pipemon.generate.drift.onset import SLACK
from pipemon.generate.drift.quantiles import bridge_area, kolmogorov, normal
from pipemon.generate.drift.recent import EXPECTED
from pipemon.spec.baseline import FeatureBaseline
from pipemon.spec.distribution import widths
from pipemon.spec.shift import LIMIT, MOST, SLACKS, TRIFLE, Of, allowance, scores, spread_deviation

Array = NDArray[np.float64]
SUMS = ("psi", "js", "hellinger", "chi2")


def learned(values: Array, bins: int, *, effect: bool = False) -> FeatureBaseline:
    """Return the baseline of values, shape (n,), as `pipemon baseline` cuts it, with its design effects if asked."""
    bounds = np.asarray(cut(values, bins))
    base, which = of_bounds(values, bounds), np.searchsorted(bounds, values)
    if not effect:
        return base
    size = len(bounds) + 1
    effects = of_values(which, size), of_values(which, size, of_cumulative)
    return replace(base, design_effect=effects[0], cumulative_design_effect=effects[1])


def of_bounds(values: Array, bounds: Array) -> FeatureBaseline:
    """Return the baseline of values, shape (n,), in given bins."""
    return FeatureBaseline(
        float(values.mean()),
        float(values.std()),
        float(len(values)),
        bounds=tuple(bounds.tolist()),
        shares=tuple((counts(values[None, :], bounds)[0] / len(values)).tolist()),
    )


def counts(values: Array, bounds: Array) -> Array:
    """Return how many of each row's values are in each bin, shape (rows, len(bounds) + 1)."""
    rows, bins = len(values), len(bounds) + 1
    which = np.searchsorted(bounds, values, side="left") + bins * np.arange(rows)[:, None]
    return np.bincount(which.ravel(), minlength=rows * bins).reshape(rows, bins).astype(float)


def values_of(reference: Reference, live: Array, statistic: str) -> Array:
    """Return a statistic of each row of counts."""
    q, p = _smoothed(reference, live)
    if statistic in SUMS:
        total = np.asarray(_terms(statistic, q, p).sum(1))
        return np.sqrt(total) if statistic in ("js", "hellinger") else total
    apart = _apart(reference, live)
    if statistic == "ks":
        return np.asarray(apart.max(1))
    return np.asarray(apart @ np.array(widths(reference.baseline)))


def evidence(reference: Reference, live: Array, statistic: str) -> Array:
    """Return, for each row of counts, what is above 1 where chance does not explain it."""
    base = reference.baseline
    chance = 1 / live.sum(1) + 1 / base.count
    if statistic not in SUMS:
        if statistic == "ks":
            quantile = kolmogorov(reference.alpha)
        else:
            quantile = bridge_area(reference.alpha, np.minimum(1.0, np.cumsum(base.shares)[:-1]).tolist(), widths(base))
        return np.asarray(values_of(reference, live, statistic) / np.sqrt(chance * base.effect_on_sums) / quantile)
    parts = np.array(reference.parts)
    core = parts == "core"
    q, p = _smoothed(reference, live)
    found = []
    if (of_core := quantile_of_core(reference)) is not None:
        times = {"psi": 1.0, "chi2": 1.0, "js": 8 * log(2), "hellinger": 8.0}[statistic]
        critical = chance * base.design_effect * of_core
        found.append(_terms(statistic, q, p)[:, core].sum(1) * times / critical)
    for part in reference.guards:
        if part != "core":
            k = live[:, parts == part].sum(1) / base.design_effect
            a = np.asarray(reference.shares)[parts == part].sum() * base.count / base.design_effect + 1
            found.append(rare(k, a, live.sum(1) / base.count) / normal(reference.allowed(part)))
    return np.asarray(np.max(found, axis=0))


def stepped_up(references: Sequence[Reference], live: Sequence[Array], statistic: str) -> NDArray[np.bool_]:
    """Return which features of a stage have moved, shape (features, rows), where they share by their ranks.

    `live` are each feature's rows of counts.
    """
    found = np.zeros((len(references), len(live[0])), bool)
    for rank in references[0].ranks:
        beyond = np.array(
            [
                evidence(replace(each, alpha=rank * each.alpha), rows, statistic) > 1
                for each, rows in zip(references, live, strict=True)
            ]
        )
        found = np.where(beyond.sum(0) >= rank, beyond, found)
    return found


def rare(k: Array, a: float | Array, scale: Array) -> Array:
    """Return how many standard deviations counts are above what is expected."""
    e, some = a * scale, np.maximum(k, 1e-300)
    z = 3 * (np.cbrt(some) * (1 - 1 / (9 * some)) - np.cbrt(e) * (1 - 1 / (9 * a)))
    z /= np.sqrt(1 / np.cbrt(some) + np.cbrt(e) ** 2 / a)
    return np.where(k > 0, z, -np.inf)


def recent(now: Array, then: Array, alpha: float) -> tuple[Array, Array]:
    """Return psi of independent values from the recent past, and what is above 1 where chance does not explain it.

    The counts of each bin have the shape (..., bins); all but the last are kept.
    """
    n, before = now.sum(-1, keepdims=True), then.sum(-1, keepdims=True)
    q, p = ((each + 0.5) / (each.sum(-1, keepdims=True) + 0.5 * each.shape[-1]) for each in (now, then))
    both = now + then
    core = both * n / (n + before) >= EXPECTED
    x, y = np.where(core, now, 0.0), np.where(core, then, 0.0)
    k = y.sum(-1, keepdims=True) / x.sum(-1, keepdims=True)
    squares = ((k * x - y) ** 2 / (k * np.where(core, both, 1.0))).sum(-1)
    ninth = 2 / 9 / np.maximum(core.sum(-1) - 1, 1)
    quantile = 2 / 9 / ninth * (1 - ninth + normal(alpha * CORES) * np.sqrt(ninth)) ** 3
    others = np.where(core, 0.0, then).sum(-1) + 1
    of_rest = rare(np.where(core, 0.0, now).sum(-1), others, (n / before)[..., 0]) / normal(alpha * (1 - CORES))
    return np.asarray(_terms("psi", q, p).sum(-1)), np.asarray(np.maximum(squares / quantile, of_rest))


def enough(reference: Reference, live: Array) -> bool:
    """Tell whether there are enough values for a verdict."""
    return bool(live.sum(1).min() >= reference.least) and reference.baseline.count >= LEAST


def _smoothed(reference: Reference, live: Array) -> tuple[Array, Array]:
    p = np.array([reference.smoothed(share) for share in reference.shares])
    return (live + 0.5) / (live.sum(1, keepdims=True) + 0.5 * live.shape[1]), p


def _terms(statistic: str, q: Array, p: Array) -> Array:
    match statistic:
        case "psi":
            found = (q - p) * np.log(q / p)
        case "js":
            found = (q * np.log2(2 * q / (p + q)) + p * np.log2(2 * p / (p + q))) / 2
        case "hellinger":
            found = (np.sqrt(q) - np.sqrt(p)) ** 2 / 2
        case _:
            found = (q - p) ** 2 / p
    return np.asarray(found)


def _apart(reference: Reference, live: Array) -> Array:
    share = np.cumsum(live, 1) / live.sum(1, keepdims=True)
    return np.asarray(np.abs(share - np.cumsum(reference.shares))[:, :-1])


def run_lengths(random: np.random.Generator, shift: float, limit: float, runs: int, most: int = 20_000) -> Array:
    """Return after how many steps each of `runs` streams is taken for moved, which moved by `shift` at the start."""
    sums = np.zeros((2, runs))
    lengths = np.full(runs, np.nan)
    for step in range(1, most + 1):
        sums = cumulated(sums, random.normal(shift, size=runs), limit)
        lengths[np.isnan(lengths) & (sums > limit).any(0)] = step
        if not np.isnan(lengths).any():
            break
    return lengths


def cumulated(sums: Array, z: Array, limit: float, allowance: float = 0.0) -> Array:
    """Return the cumulative sums after another step, shape (2, n): upwards and downwards.

    `allowance` is what the baseline's own chance explains of z.
    """
    return np.clip(sums + np.stack([z, -z]) - SLACK - allowance, 0.0, 2 * limit)


def standard_scores(base: FeatureBaseline, of: Of, live: Array) -> tuple[Array, Array]:
    """Return by how many standard errors the scores of counts, shape (..., bins), are off, and these errors."""
    count = live.sum(-1)
    error = np.sqrt(base.effect_on_sums * (1 / count + 1 / base.count))
    mean = live @ np.array(scores(base, of)) / count
    if of == "level":
        return np.asarray(mean / error), error
    u = error * spread_deviation(base)
    return np.asarray(3 * (np.cbrt(np.maximum(mean, 0.0)) - 1) / u + u / 3), error


class ShiftSums:
    """The sums of shifts of many streams, shape (2 sizes, 2 sides, streams)."""

    def __init__(self, base: FeatureBaseline, streams: int) -> None:
        self.base, self.sums = base, np.zeros((len(SLACKS), 2, streams))

    def add(self, z: Array, error: Array) -> Array:
        """Add a step's scores and their standard errors, shape (streams,); return the highest sum of each."""
        allowed = allowance(self.base) / error
        for sums, least in zip(self.sums, SLACKS.values(), strict=True):
            s = np.maximum(TRIFLE / 2 / error, least)
            sums[:] = np.clip(sums + 2 * s * (np.stack([z, -z]) - s - allowed), 0.0, MOST)
        return np.asarray(self.sums.max((0, 1)))


def until_shifted(base: FeatureBaseline, of: Of, steps: Array, limit: float = LIMIT) -> Array:
    """Return after how many steps each stream alerts, inf where never, of counts, shape (steps, streams, bins)."""
    sums, found = ShiftSums(base, steps.shape[1]), np.full(steps.shape[1], np.inf)
    for index, (z, error) in enumerate(zip(*standard_scores(base, of, steps), strict=True), 1):
        highest = sums.add(z, error)
        found[np.isinf(found) & (highest > limit)] = index
    return found

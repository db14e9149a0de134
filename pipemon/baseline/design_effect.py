"""How much more the shares of a stream vary than those of independent values: its design effect.

Frames of one recording and calls of one session resemble each other, so n of them tell less than n independent
values. Shares are compared between blocks of the reference, in its order. A statistic that follows chi-squared
with k degrees of freedom for independent values then follows a weighted sum of k squares of normal variables; the
weights are the eigenvalues of the blocks' covariance over that of independent values (Rao and Scott 1981, JASA 76:
221-230). That is close to a scaled chi-squared with fewer degrees of freedom (Satterthwaite 1946, Biometrics
Bulletin 2: 110-114), which is what is compared here, at the 99% quantile.

What adds up over neighbouring bins, as means and cumulative shares do, is moved further by the slow swings of a stream
than single shares are: it has an effect of its own. So has the spread, where calm and wild stretches alternate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from pipemon.spec.normal_scores import normal_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

Counts: TypeAlias = "NDArray[np.float64]"

_BLOCKS = 24
"""Blocks at least: of fewer nobody can tell how much they vary."""
_SHORTEST = 4
"""Values a block at least: neighbours that resemble each other are seen best in short blocks."""
_MOST_BLOCKS = 2_000
"""Blocks at most: of more nothing is seen any better."""
_RAREST = 0.02
"""A bin with a smaller share is taken together with its neighbour: its counts are too few to vary by."""
_ROUNDING = 1e-12
"""A variance of scores that is only that of rounding: of a constant, or of two values as far from the middle."""
_Z = 2.3263478740408408
"""The normal distribution's 99% quantile."""
_Z_DEPENDENT = 1.6448536269514722
"""Its 95% quantile, beyond which values are taken for dependent."""


def of_values(bins: NDArray[np.intp], size: int, of: Callable[[Counts], float] | None = None) -> float:
    """Return the design effect of a stream's bins, shape (n,), numbered from 0 to size - 1, in their order.

    `of` is `of_counts`, unless it is given. It is the greatest over blocks of several lengths: in short ones, of which
    there are many, a slight dependence is seen, in long ones how far it reaches. 1.0 where there are too few values to
    tell: under 96.
    """
    found = 1.0
    for length in _lengths(len(bins)):
        blocks = len(bins) // length
        block = np.repeat(np.arange(blocks), length)
        counts = np.bincount(block * size + bins[: blocks * length], minlength=blocks * size)
        found = max(found, (of or of_counts)(counts.reshape(blocks, size).astype(np.float64)))
    return found


def of_counts(counts: Counts) -> float:
    """Return the design effect of counts by block and bin, shape (blocks, bins); blocks may differ in length.

    A statistic of n values that has k = bins - 1 degrees of freedom is to be divided by it before it is compared with
    chi-squared's 99% quantile. It is 1 for blocks that differ no more than those of independent values do in 95 of 100
    cases, by the chi-squared test of homogeneity, and never less. Of others, with d the mean of the weights
    and a their coefficient of variation, d (1 + a^2) times the quantile of F with k / (1 + a^2) and
    (blocks - 1) k / (1 + a^2) degrees of freedom over that of chi-squared with k; F, since the blocks are few.
    1.0 where there are fewer than 24 blocks with values, or one bin only.
    """
    counts = _merged(counts[counts.sum(axis=1) > 0])
    blocks, bins = int(counts.shape[0]), int(counts.shape[1])
    if blocks < _BLOCKS or bins < 2:
        return 1.0
    sizes, shares = counts.sum(axis=1), counts.sum(axis=0) / counts.sum()
    far = np.sqrt(sizes)[:, None] * (counts / sizes[:, None] - shares) / np.sqrt(shares)
    return _beyond(far, float(bins - 1), float(bins - 1))


def of_cumulative(counts: Counts) -> float:
    """Return the same for the shares up to each bound, and so for `ks`, `wasserstein` and the mean.

    The sum of the squares of cumulative deviations (Cramer and von Mises) is compared with that of independent values,
    whose covariance is the Brownian bridge's.
    """
    counts = _merged(counts[counts.sum(axis=1) > 0])
    blocks, bins = int(counts.shape[0]), int(counts.shape[1])
    if blocks < _BLOCKS or bins < 2:
        return 1.0
    sizes, below = counts.sum(axis=1), np.cumsum(counts.sum(axis=0) / counts.sum())[:-1]
    far = np.sqrt(sizes)[:, None] * (np.cumsum(counts, axis=1)[:, :-1] / sizes[:, None] - below)
    bridge = np.minimum.outer(below, below) - np.outer(below, below)
    mean = float(np.trace(bridge))
    return _beyond(far, mean, mean**2 / float(np.sum(bridge**2)))


def of_spread(counts: Counts) -> float:
    """Return the same for the spread: for the mean of x^2, of values as the normal scores x of their bins' places.

    Where calm and wild stretches alternate, as in prices, the means of blocks vary as those of independent values do,
    and their spreads vary more.
    """
    counts = counts[counts.sum(axis=1) > 0]
    if len(counts) < _BLOCKS:
        return 1.0
    sizes, shares = counts.sum(axis=1), (counts.sum(axis=0) + 0.5) / (counts.sum() + 0.5 * counts.shape[1])
    scores = np.array(normal_scores(shares.tolist(), 2))
    scores -= counts.sum(axis=0) @ scores / counts.sum()
    usual = float(counts.sum(axis=0) @ scores**2 / counts.sum())
    if usual <= _ROUNDING * counts.sum():
        return 1.0
    return _beyond((counts @ scores / np.sqrt(sizes))[:, None], usual, 1.0)


def _beyond(far: Counts, usual: float, freedom: float) -> float:
    """Return how far beyond that of independent values the 99% quantile is of a sum of squares.

    `far` are the deviations in each block, shape (blocks, k). Of independent values the sum's mean is `usual`, and it
    has so many degrees of `freedom`.
    """
    blocks = len(far)
    covariance = far.T @ far / (blocks - 1)
    mean = float(np.trace(covariance))
    together = freedom * (blocks - 1)
    if mean / usual <= chi_squared_quantile(together, _Z_DEPENDENT) / together:
        return 1.0
    # Unbiased for normal variables: the blocks' chance alone makes some weights greater than others.
    squares = float(np.sum(covariance**2)) - mean**2 / (blocks - 1)
    squares *= (blocks - 1) ** 2 / ((blocks - 2) * (blocks + 1))
    own = min(freedom, mean**2 / squares) if squares > 0 else freedom
    independent = usual * chi_squared_quantile(freedom) / freedom
    return max(1.0, mean * _f_quantile(own, (blocks - 1) * own) / independent)


def _lengths(values: int) -> Iterator[int]:
    blocks = _BLOCKS
    while blocks <= _MOST_BLOCKS and (length := values // blocks) >= _SHORTEST:
        yield length
        blocks *= 2


def _merged(counts: Counts) -> Counts:
    """Return counts with rare bins added to the one before, the first rare ones to the one after."""
    total = counts.sum()
    found: list[NDArray[np.float64]] = []
    for column in counts.T:
        if found and (found[-1].sum() < _RAREST * total or column.sum() < _RAREST * total):
            found[-1] = found[-1] + column
        else:
            found.append(column)
    return np.array(found).T


def chi_squared_quantile(freedom: float, z: float = _Z) -> float:
    """Return the quantile at the normal distribution's `z`, by default 99% (Wilson and Hilferty 1931, PNAS 17)."""
    part = 2 / (9 * freedom)
    root = 1 - part + z * math.sqrt(part)
    return freedom * root * root * root


def _f_quantile(first: float, second: float) -> float:
    """Return the 99% quantile of F (Paulson 1942, Annals of Mathematical Statistics 13: 233-235)."""
    a, b = 2 / (9 * first), 2 / (9 * second)
    # The root x of (1 - b) x - (1 - a) = z sqrt(b x^2 + a), for F = x^3.
    square, linear, constant = (1 - b) ** 2 - _Z**2 * b, (1 - a) * (1 - b), (1 - a) ** 2 - _Z**2 * a
    root = (linear + math.sqrt(max(0.0, linear**2 - square * constant))) / square
    return root * root * root

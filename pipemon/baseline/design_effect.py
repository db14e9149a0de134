"""How much more the shares of a stream vary than those of independent values: its design effect.

Frames of one recording and calls of one session resemble each other, so n of them tell less than n independent
values. Shares are compared between blocks of the reference, in its order. A statistic that follows chi-squared
with k degrees of freedom for independent values then follows a weighted sum of k squares of normal variables; the
weights are the eigenvalues of the blocks' covariance over that of independent values (Rao and Scott 1981, JASA 76:
221-230). That is close to a scaled chi-squared with fewer degrees of freedom (Satterthwaite 1946, Biometrics
Bulletin 2: 110-114), which is what is compared here, at the 99% quantile.

What adds up over neighbouring bins, as means and cumulative shares do, is moved further by the slow swings of a stream
than single shares are: it has an effect of its own. So has the spread, where calm and wild stretches alternate.

Where blocks come in slots, such as the hours of a day, each is compared with the others of its slot only: what comes
again every day is no dependence then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from pipemon.spec.normal_scores import normal_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

Counts: TypeAlias = "NDArray[np.float64]"
Slots: TypeAlias = "NDArray[np.intp]"

_BLOCKS = 24
"""Blocks at least: of fewer nobody can tell how much they vary."""
_OF_SLOTS = 18
"""Where they come in slots, blocks beside the first one of each, at least."""
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


def of_counts(counts: Counts, slots: Slots | None = None) -> float:
    """Return the design effect of counts by block and bin, shape (blocks, bins); blocks may differ in length.

    A statistic of n values that has k = bins - 1 degrees of freedom is to be divided by it before it is compared with
    chi-squared's 99% quantile. It is 1 for blocks that differ no more than those of independent values do in 95 of 100
    cases, by the chi-squared test of homogeneity, and never less. Of others, with d the mean of the weights
    and a their coefficient of variation, d (1 + a^2) times the quantile of F with k / (1 + a^2) and
    m k / (1 + a^2) degrees of freedom over that of chi-squared with k; F, since the blocks are few: m is how many
    there are beside the first one of each slot. `slots`, shape (blocks,), says which slot each is in, from 0; all are
    in one unless it is given. 1.0 where there is one bin only, and where `tells` says no.
    """
    blocks = _blocks(counts, slots)
    if blocks is None:
        return 1.0
    far = np.sqrt(blocks.sizes)[:, None] * blocks.off / np.sqrt(blocks.shares)
    usual = float(np.sum(blocks.usual(blocks.own * (1 - blocks.own)) / blocks.shares))
    return _beyond(far, usual, float(len(blocks.shares) - 1), blocks.beside)


def of_cumulative(counts: Counts, slots: Slots | None = None) -> float:
    """Return the same for the shares up to each bound, and so for `ks`, `wasserstein` and the mean.

    The sum of the squares of cumulative deviations (Cramer and von Mises) is compared with that of independent values,
    whose covariance is the Brownian bridge's.
    """
    blocks = _blocks(counts, slots)
    if blocks is None:
        return 1.0
    below = np.cumsum(blocks.own, axis=1)[:, :-1]
    far = np.sqrt(blocks.sizes)[:, None] * np.cumsum(blocks.off, axis=1)[:, :-1]
    bridge = blocks.usual(np.minimum(below[:, :, None], below[:, None, :]) - below[:, :, None] * below[:, None, :])
    mean, squares = float(np.trace(bridge)), float(np.sum(bridge**2))
    return _beyond(far, mean, mean**2 / squares if squares else 1.0, blocks.beside)


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
    return _beyond((counts @ scores / np.sqrt(sizes))[:, None], usual, 1.0, len(counts) - 1)


class _Blocks(NamedTuple):
    """Blocks with values: `off` is how far the shares of each are from its slot's, shape (blocks, bins).

    `shares` are those of all, `own` those of each slot, shape (slots, bins), `weights` by how many blocks each slot
    tells of dependence; they add up to 1. `beside` is how many blocks there are beside the first one of each slot.
    """

    sizes: Counts
    off: Counts
    shares: Counts
    own: Counts
    weights: Counts
    beside: int

    def usual(self, of_slots: Counts) -> Counts:
        """Return the mean over slots."""
        found: Counts = np.tensordot(self.weights, of_slots, axes=1)
        return found


def tells(counts: Counts, slots: Slots | None = None) -> bool:
    """Tell whether there are blocks enough with values: 24, or, in slots, 18 beside the first one of each."""
    full = counts.sum(axis=1) > 0
    if slots is None:
        return int(full.sum()) >= _BLOCKS
    return int(full.sum()) - len(np.unique(slots[full])) >= _OF_SLOTS


def _blocks(counts: Counts, slots: Slots | None) -> _Blocks | None:
    if not tells(counts, slots):
        return None
    full = counts.sum(axis=1) > 0
    slots = np.zeros(len(counts), dtype=np.intp) if slots is None else slots
    _, slot = np.unique(slots[full], return_inverse=True)
    counts = _merged(counts[full])
    if counts.shape[1] < 2:
        return None
    of_slots = np.zeros((slot.max() + 1, counts.shape[1]))
    np.add.at(of_slots, slot, counts)
    own = of_slots / of_slots.sum(axis=1, keepdims=True)
    sizes, beside = counts.sum(axis=1), np.bincount(slot) - 1.0
    off = counts / sizes[:, None] - own[slot]
    return _Blocks(sizes, off, counts.sum(axis=0) / counts.sum(), own, beside / beside.sum(), int(beside.sum()))


def _beyond(far: Counts, usual: float, freedom: float, beside: int) -> float:
    """Return how far beyond that of independent values the 99% quantile is of a sum of squares.

    `far` are the deviations in each block, shape (blocks, k), of which so many are free (`beside`). Of independent
    values the sum's mean is `usual`, and it has so many degrees of `freedom`.
    """
    covariance = far.T @ far / beside
    mean = float(np.trace(covariance))
    together = freedom * beside
    # Where each slot has one value only, nothing varies, nor could it.
    if usual <= _ROUNDING or mean <= usual * chi_squared_quantile(together, _Z_DEPENDENT) / together:
        return 1.0
    # Unbiased for normal variables: the blocks' chance alone makes some weights greater than others.
    squares = float(np.sum(covariance**2)) - mean**2 / beside
    squares *= beside**2 / ((beside - 1) * (beside + 2))
    own = min(freedom, mean**2 / squares) if squares > 0 else freedom
    independent = usual * chi_squared_quantile(freedom) / freedom
    return max(1.0, mean * _f_quantile(own, beside * own) / independent)


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

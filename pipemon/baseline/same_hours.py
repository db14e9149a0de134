"""By how much fewer independent values a stream is worth where it is compared with its own same hours.

What comes again every day, or every week, is the same on both sides of such a comparison. So a block of hours is
compared with those of the same hours of other days only, or of other weeks, where the times of values are known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipemon.baseline import design_effect
from pipemon.baseline.design_effect import Counts
from pipemon.spec.baseline import CUMULATIVE, RHYTHMS

HOUR = 3600.0
_LENGTHS = (1, 3, 6, 12, 24)
"""Hours of a block: in long ones it is seen how far dependence reaches, in short ones, which are more, a slight one."""
_REACH = 6
"""Hours that must be among them: as long as a window is that nobody has said otherwise of."""


def of_values(bins: NDArray[np.intp], size: int, times: NDArray[np.float64]) -> dict[str, float]:
    """Return the effects of a stream's bins, shape (n,), from 0 to size - 1, with the Unix time of each."""
    hours, which = np.unique((times - times.min()) // HOUR, return_inverse=True)
    counts = np.bincount(which * size + bins, minlength=len(hours) * size).reshape(len(hours), size)
    return of_hours(hours.astype(np.intp), counts.astype(np.float64))


def of_hours(hours: NDArray[np.intp], counts: Counts) -> dict[str, float]:
    """Return the effects of counts by hour and bin, shape (hours, bins), each hour with its number since any.

    By the names of RHYTHMS those of shares, and, with `_cumulative` behind these, those of cumulative shares. Each is
    the greatest over blocks of several lengths, rounded. Without one for which six hours have come too seldom: that
    takes a week, or two.
    """
    found = {}
    for rhythm, seconds in RHYTHMS.items():
        period = round(seconds / HOUR)
        single, sums = [], []
        for length in _LENGTHS:
            block, which = np.unique(hours // length, return_inverse=True)
            added = np.zeros((len(block), counts.shape[1]))
            np.add.at(added, which, counts)
            slots = block % (period // length)
            if not design_effect.tells(added, slots):
                break
            single.append(design_effect.of_counts(added, slots))
            sums.append(design_effect.of_cumulative(added, slots))
        if len(single) > _LENGTHS.index(_REACH):
            found[rhythm] = round(max(single), 3)
            found[f"{rhythm}{CUMULATIVE}"] = round(max(sums), 3)
    return found

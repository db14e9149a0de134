"""Upper bounds of histograms: where they come from when nobody gave them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

from pipemon.catalogue import DURATIONS
from pipemon.errors import DeclarationError

_OF_BUDGET = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)

_COUNTS = (0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0, 50.0, 80.0, 120.0, 200.0, 500.0, 1000.0)
_BY_UNIT = {
    "seconds": (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0),
    "dBFS": (-90.0, -80.0, -70.0, -60.0, -50.0, -45.0, -40.0, -35.0, -30.0, -25.0, -20.0, -15.0, -10.0, -5.0, 0.0),
    "dB": (-60.0, -50.0, -40.0, -30.0, -20.0, -15.0, -10.0, -5.0, 0.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
    "ratio": (0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0),
    "bytes": tuple(float(4**power) for power in range(3, 16)),
    "tokens": tuple(float(2**power) for power in range(18)),
    "pixels": (1e3, 4e3, 1.6e4, 2.5e4, 5e4, 7e4, 1e5, 1.5e5, 2.6e5, 3.1e5, 5e5, 1e6, 2.1e6, 4e6, 8.3e6, 1.25e7, 2.5e7),
    "levels^2": (0.0, 1.0, 3.0, 10.0, 20.0, 50.0, 100.0, 150.0, 200.0, 300.0, 500.0, 1e3, 2e3, 3e3, 5e3, 1e4, 2e4),
    "norm": (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.01, 1.1, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0),
    "": (-1000.0, -100.0, -10.0, -1.0, -0.1, 0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0, 1000.0, 10_000.0),
}  # fmt: skip


def for_unit(unit: str) -> tuple[float, ...]:
    """Return bounds that suit a unit; one that is not known is taken as a count of such things."""
    return _BY_UNIT.get(unit, _COUNTS)


def for_duration(budget: float | None, more: Iterable[float] = ()) -> tuple[float, ...]:
    """Return bounds in seconds: dense around the budget, which is itself one, a spread elsewhere, and `more`."""
    return tuple(sorted({*_around(budget), *more}))


def _around(budget: float | None) -> tuple[float, ...]:
    if budget is None:
        return DURATIONS
    near = {round(budget * share, 12) for share in _OF_BUDGET} | {budget}
    far = {bound for bound in DURATIONS if not min(near) <= bound <= max(near)}
    return (*near, *far)


def checked(bounds: Iterable[float]) -> tuple[float, ...]:
    """Return bounds as floats without a last +Inf.

    Raises DeclarationError unless they are finite numbers, at least one, each above the one before.
    """
    try:
        values = tuple(float(bound) for bound in bounds)
    except (TypeError, ValueError):
        raise DeclarationError(f"bounds must be numbers, not {bounds!r}") from None
    if values and values[-1] == math.inf:
        values = values[:-1]
    if not values or not all(map(math.isfinite, values)):
        raise DeclarationError(f"bounds must be finite numbers, at least one, not {values!r}")
    if any(upper <= lower for lower, upper in pairwise(values)):
        raise DeclarationError(f"bounds must rise, each above the one before: {values!r}")
    return values

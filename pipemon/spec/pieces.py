"""Windows of many hours in pieces: what is recorded of each is added up, so that no rule reads counters of days."""

from __future__ import annotations

from pipemon.spec.model import Condition, Spec

_HOURS = 12.0
"""From how many long windows on, each an hour, a window is added up."""
_PIECES = 24.0
"""Of the shortest window that is added up; longer ones are of pieces of the same length, which so are recorded once."""


def windows_of(condition: Condition) -> tuple[float, ...]:
    """Return the windows of a condition's burn rates, in seconds: each long one, and the short one beside it."""
    return tuple(window for burn in condition.burns for window in (burn.long, burn.short))


def piece(spec: Spec, condition: Condition, window: float) -> float | None:
    """Return the length, in seconds, of the pieces that a window of burn rates is added up of, None for a short one.

    Of a day and of three days, these are hours.
    """
    least = _HOURS * spec.timing.long_window
    long = [each for each in windows_of(condition) if each >= least]
    return min(long) / _PIECES if window >= least else None

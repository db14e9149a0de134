"""What the values of a rule test are: within a threshold, just beyond and just before it, on how many calls."""

from __future__ import annotations

from math import copysign, floor, log10

from pipemon.generate.expressions import counts_as_some, limits
from pipemon.spec.model import Condition, FailureMode, Spec, Threshold
from pipemon.spec.signals import SIGNALS

MARGIN = 0.01
"""How far beyond (or before) a threshold the test values lie, as a share of its distance from what is good."""

_HELD_MARGIN = 0.25
"""The same where the hour before is what is good: it may have a minute of the change in it."""

_LEAST = 20


def compared_with(condition: Condition) -> float:
    """Return what the tests of a condition have its reference be."""
    threshold = condition.threshold
    assert threshold is not None
    if threshold.adds:
        step = threshold.high or 1.0
        return float(f"{min(4 * step, 0.5) if _is_share(condition) else 4 * step:.3g}")
    if SIGNALS[condition.signal].of_run is not None:
        # Of a last run it is a count, and what it rests on.
        return 1.5 * condition.min_count
    if SIGNALS[condition.signal].unit in ("ratio", "score"):
        return 0.2 if threshold.high is None else float(f"{min(0.05, 0.4 / threshold.high):.2g}")
    return 0.3 if SIGNALS[condition.signal].unit == "seconds" else 10.0


def _is_share(condition: Condition) -> bool:
    signal = SIGNALS[condition.signal]
    # Users can ask again more than once, so feedback per call has no upper end.
    return signal.unit == "ratio" and signal.argument != "feedback"


def alike(mode: FailureMode, index: int) -> list[int]:
    """Return which conditions are of the same as one, on the same side of it, such as `3x last week` and `1%`."""

    def same(condition: Condition) -> tuple[object, ...]:
        threshold = condition.threshold or Threshold(None, None, "")
        sides = (threshold.low is None, threshold.high is None)
        return condition.signal, condition.argument, condition.feature, condition.labels, condition.slice, sides

    wanted = same(mode.conditions[index])
    return [at for at, condition in enumerate(mode.conditions) if same(condition) == wanted]


def tested_limits(spec: Spec, mode: FailureMode, condition: Condition) -> Threshold:
    """Return the threshold as a number, also where it is a multiple of what the tests have it be."""
    threshold = limits(spec, mode, condition)
    if threshold.reference is None:
        return threshold
    then = compared_with(condition)
    low, high = (
        None if end is None else then + end if threshold.adds else end * then for end in (threshold.low, threshold.high)
    )
    return Threshold(low, high, threshold.words)


def least_compared_with(condition: Condition) -> float:
    """Return on how many calls what a condition is compared with must rest to be believed as it is."""
    least = float(condition.min_count)
    return max(least, condition.min_events / compared_with(condition)) if counts_as_some(condition) else least


def good_value(spec: Spec, mode: FailureMode, condition: Condition) -> float:
    """Return a value that is well within the threshold."""
    if condition.against is not None:
        return 0.0
    if condition.reference is not None and condition.reference.hold:
        return compared_with(condition)
    threshold = tested_limits(spec, mode, condition)
    low, high = threshold.low, threshold.high
    if low is not None and high is not None:
        return (low + high) / 2
    if high is not None:
        return high - (abs(high) / 2 or 1.0)
    assert low is not None
    step = abs(low) / 2 or 1.0
    return low + (min(step, (1 - low) / 2) if _is_share(condition) else step)


def needed_calls(spec: Spec, mode: FailureMode, condition: Condition) -> float:
    """Return how many calls a window must hold for a condition just beyond its threshold to be believed."""
    least = float(condition.min_count)
    if condition.min_events:
        share = tested_limits(spec, mode, condition).high
        assert share is not None
        least = max(least, condition.min_events / share)
    return least or _LEAST


def margin(condition: Condition) -> float:
    """Return how far beyond (or before) a threshold the test values of a condition lie."""
    past = condition.reference or condition.against
    return _HELD_MARGIN if past is not None and past.hold else MARGIN


def edge_values(spec: Spec, mode: FailureMode, condition: Condition) -> list[tuple[float, float]]:
    """Return, for each side of the threshold, a value just beyond it and one just before it."""
    threshold = tested_limits(spec, mode, condition)
    good = good_value(spec, mode, condition)
    found = []
    for edge in (threshold.low, threshold.high):
        if edge is not None:
            step = margin(condition) * (edge - good)
            if edge:
                # Of a wide range, its middle is far from the lower end.
                step = copysign(min(abs(step), abs(edge) / 2), step)
            # To few digits, so that nobody who prints a value has to round a tie.
            digits = -floor(log10(abs(step)))
            found.append((round(edge + step, digits), round(edge - step, digits)))
    return found

"""What the values of a rule test are: within a threshold, just beyond and just before it, on how many calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import copysign, floor, log10

from pipemon import catalogue as c
from pipemon.generate.annotations import unit
from pipemon.generate.expressions import counts_as_some, limits
from pipemon.spec import reads as r
from pipemon.spec.model import ALL, Condition, FailureMode, Spec, Threshold
from pipemon.spec.signals import SIGNALS
from pipemon.spec.subject import quantity, reads_of, subject

MARGIN = 0.01
"""How far beyond (or before) a threshold the test values lie, as a share of its distance from what is good."""

_HELD_MARGIN = 0.25
"""The same where the hour before is what is good: it may have a minute of the change in it."""

_LEAST = 20
_LABELS = 60
"""Labels in a bin of confidence: enough in the version that has a fifth of them."""
_APART, _NEAR = 8.0, 0.7
"""How far apart the thresholds of two quantiles are where one is a multiple, and how near those of one value."""


@dataclass(frozen=True)
class Values:
    """What a condition's value can be: well within its threshold, and for each side beyond, before and far beyond."""

    good: float
    beyond: tuple[float, ...]
    before: tuple[float, ...]
    worst: tuple[float, ...]

    def holds(self, value: float) -> bool:
        """Tell whether the condition holds with this value, and is seen to."""
        return any((value - beyond) * (beyond - before) >= 0 for beyond, before in self._sides)

    def is_calm(self, value: float) -> bool:
        """Tell whether the condition does not hold with this value, and is seen not to."""
        return all((value - before) * (beyond - before) <= 0 for beyond, before in self._sides)

    @property
    def every(self) -> tuple[float, ...]:
        """All that it can be."""
        return (self.good, *self.beyond, *self.before, *self.worst)

    @property
    def _sides(self) -> Iterator[tuple[float, float]]:
        return zip(self.beyond, self.before, strict=True)


def compared_with(mode: FailureMode, condition: Condition) -> float:
    """Return what the tests of a condition have its reference be, so that it fits to others of its distribution."""
    alone, threshold = _compared_with(condition), condition.threshold
    assert threshold is not None
    mates = [each for each in mode.conditions if subject(each) == subject(condition)]
    edge = next((_edge(each) for each in mates if each.threshold is not None and each.reference is None), 0.0)
    by_rank = isinstance(reads_of(condition), r.Quantile)
    if len(mates) == 1 or threshold.adds or edge < 0:
        return alone
    if not edge:
        # The higher quantile is the higher one, by more than it is multiplied by.
        return float(f"{alone * _APART ** _rank(condition, mates):.3g}") if by_rank else alone
    anchor = next(each for each in mates if each.threshold is not None and each.reference is None)
    apart = _rank(condition, mates) - _rank(anchor, mates) if by_rank else 0
    held = condition.reference is not None and condition.reference.hold
    if not apart and not (held and quantity(anchor) == quantity(condition)):
        return alone
    # Of the same, what is as it was is within the other threshold, too.
    near = _NEAR if threshold.low is None else 1 / _NEAR
    then = edge * (_APART**apart if apart else near) / _edge(condition)
    return float(f"{min(then, (1 + edge) / 2) if _is_share(condition) else then:.3g}")


def mean_of_all(mode: FailureMode, condition: Condition) -> int | None:
    """Return which other condition tells the mean over all slices that this one's is compared with, if one does."""
    if condition.reference != ALL or not isinstance(reads_of(condition), r.Mean):
        return None
    same = (
        index
        for index, each in enumerate(mode.conditions)
        if (each.signal, each.argument, each.slice) == (condition.signal, condition.argument, "")
    )
    return next(same, None)


def _edge(condition: Condition) -> float:
    assert condition.threshold is not None
    return condition.threshold.high or condition.threshold.low or 0.0


def _rank(condition: Condition, among: Iterable[Condition]) -> int:
    """Return how many lower quantiles there are."""
    return len({each.argument for each in among if float(each.argument[1:]) < float(condition.argument[1:])})


def _compared_with(condition: Condition) -> float:
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


def tested_limits(spec: Spec, mode: FailureMode, condition: Condition) -> Threshold:
    """Return the threshold as a number, also where it is a multiple of what the tests have it be."""
    threshold = limits(spec, mode, condition)
    if threshold.reference is None:
        return threshold
    then = compared_with(mode, condition)
    low, high = (
        None if end is None else then + end if threshold.adds else end * then for end in (threshold.low, threshold.high)
    )
    return Threshold(low, high, threshold.words)


def least_compared_with(mode: FailureMode, condition: Condition) -> float:
    """Return on how many calls what a condition is compared with must rest to be believed as it is."""
    least = float(condition.min_count)
    return max(least, condition.min_events / compared_with(mode, condition)) if counts_as_some(condition) else least


def good_value(spec: Spec, mode: FailureMode, condition: Condition) -> float:
    """Return a value that is well within the threshold."""
    if condition.against is not None:
        return 0.0
    if condition.reference is not None and condition.reference.hold:
        return compared_with(mode, condition)
    threshold = tested_limits(spec, mode, condition)
    low, high = threshold.low, threshold.high
    if low is not None and high is not None:
        return (low + high) / 2
    if high is not None:
        step = abs(high) / 2 or 1.0
        return round(high - step, _digits(step))
    assert low is not None
    step = abs(low) / 2 or 1.0
    step = min(step, (1 - low) / 2) if _is_share(condition) else step
    return round(low + step, _digits(step))


def _digits(step: float) -> int:
    """Return the decimals of what is so far from a threshold, of which three tell: nobody rounds a tie."""
    return 2 - floor(log10(step))


def needed_calls(spec: Spec, mode: FailureMode, condition: Condition) -> float:
    """Return how many calls a window must hold for a condition just beyond its threshold to be believed."""
    least = float(condition.min_count)
    if condition.min_events:
        share = tested_limits(spec, mode, condition).high
        assert share is not None
        least = max(least, condition.min_events / share)
    return least or _LEAST


def is_estimated(mode: FailureMode) -> bool:
    """Tell whether a condition is told by what confidences are worth, which labels say."""
    return any(isinstance(reads_of(each), r.Estimated) for each in mode.conditions)


def tells_labels(mode: FailureMode) -> bool:
    """Tell whether a condition is about the labels themselves: how many are wrong, or far off."""
    return any(_of_labels(condition) for condition in mode.conditions)


def _of_labels(condition: Condition) -> bool:
    reads = reads_of(condition)
    return isinstance(reads, r.Calibration) or (isinstance(reads, r.Share) and reads.events is c.CALIBRATION)


def labels_needed(spec: Spec, mode: FailureMode) -> float:
    """Return on how many labels what confidences are worth is known, of which a few are in the bin of wrong ones."""
    if not (is_estimated(mode) and tells_labels(mode)):
        return 0.0
    shares = [
        value
        for condition in mode.conditions
        if isinstance(reads_of(condition), r.Share) and _of_labels(condition)
        for value in tested_values(spec, mode, condition).every
    ]
    return _LABELS / min((0.5, *filter(None, shares)))


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


def tested_values(spec: Spec, mode: FailureMode, condition: Condition) -> Values:
    """Return what the tests of a condition have its value be."""
    if condition.signal == "no_calls":
        return Values(1.0, (0.0,), (1.0,), (1.0,))
    if condition.signal == "promql":
        return Values(0.0, (0.0,), (0.0,), (0.0,))
    threshold = tested_limits(spec, mode, condition)
    good = good_value(spec, mode, condition)
    edges = edge_values(spec, mode, condition)
    worst = []
    for edge in (threshold.low, threshold.high):
        if edge is not None:
            far = edge + 4 * (edge - good)
            if SIGNALS[condition.signal].unit != "feature":
                far = max(far, 0.0)
                most = 1.0 if _is_share(condition) else max(1.0, edge * 2)
                far = min(far, edge * 10 if unit(spec, mode, condition) == "seconds" else most)
            worst.append(far)
    return Values(good, tuple(b for b, _ in edges), tuple(b for _, b in edges), tuple(worst))

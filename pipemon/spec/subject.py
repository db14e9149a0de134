"""What conditions are about: the same value, or one distribution, whose values are not free of each other."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from pipemon.catalogue import CALIBRATION
from pipemon.spec import reads as r
from pipemon.spec.model import Condition
from pipemon.spec.signals import SIGNALS


def reads_of(condition: Condition) -> r.Reads:
    """Return what a condition reads, of a slice where it is about one."""
    signal = SIGNALS[condition.signal]
    return signal.in_slice if condition.slice and signal.in_slice is not None else signal.reads


def quantity(condition: Condition) -> Hashable:
    """Return what a condition compares, whatever with: two of the same have one value."""
    return condition.signal, condition.argument, condition.feature, condition.labels, condition.slice


def subject(condition: Condition) -> Hashable:
    """Return the distribution that a condition's value is of: two quantiles of a feature, or two of its categories.

    How many outputs are wrong, and how far their confidences are off, is told by the same outputs.

    What is no part of a distribution is by itself.
    """
    match reads_of(condition):
        case r.Quantile() as reads:
            return reads.histogram.name, condition.labels
        case r.Share() as reads if reads.events_labels and reads.of is reads.events:
            of_whole = tuple(each for each in condition.labels if each[0] not in reads.events_labels)
            return reads.events.name, of_whole
        case r.Share() as reads if reads.events is CALIBRATION:
            return reads.events.name
        case r.Calibration() as reads:
            return reads.outcomes.name
    return quantity(condition)


def by_subject(conditions: Iterable[Condition]) -> tuple[tuple[int, ...], ...]:
    """Return the places of those conditions that are of one subject, in the order of the first of each."""
    found: dict[Hashable, list[int]] = {}
    for index, condition in enumerate(conditions):
        found.setdefault(subject(condition), []).append(index)
    return tuple(map(tuple, found.values()))

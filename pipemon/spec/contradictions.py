"""Conditions that can't hold at once, or of which one always holds: their alert would never fire, or always."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from math import inf

from pipemon.spec import reads as r
from pipemon.spec.model import Condition
from pipemon.spec.subject import by_subject, quantity, reads_of

_Range = tuple[float, float]
"""Between which two values a condition holds, both excluded."""


def contradiction(conditions: Sequence[Condition], combine: str) -> str:
    """Return why an alert on these conditions never fires, or always; "" where it may do both."""
    fixed = [each for each in conditions if each.reference is None and _ranges(each)]
    for group in by_subject(fixed):
        together = [fixed[index] for index in group]
        if len(together) > 1 and combine == "all" and not any(map(_possible, product(*_choices(together)))):
            return f"{_told(together, 'and')} can't hold at once; it would never fire"
    if combine == "any":
        for one, other in combinations(fixed, 2):
            if quantity(one) == quantity(other) and _covered((*_ranges(one), *_ranges(other))):
                return f"{_told((one, other), 'or')} always holds; it would always fire"
    return ""


def _choices(conditions: Sequence[Condition]) -> list[list[tuple[Condition, _Range]]]:
    return [[(condition, each) for each in _ranges(condition)] for condition in conditions]


def _ranges(condition: Condition) -> list[_Range]:
    threshold = condition.threshold
    if threshold is None:
        return []
    low = [] if threshold.low is None else [(-inf, threshold.low)]
    return low if threshold.high is None else [*low, (threshold.high, inf)]


def _possible(chosen: Sequence[tuple[Condition, _Range]]) -> bool:
    """Tell whether values of one distribution can lie in such ranges."""
    reads = reads_of(chosen[0][0])
    of_each: dict[object, _Range] = {}
    for condition, (low, high) in chosen:
        least, most = of_each.get(quantity(condition), (-inf, inf))
        of_each[quantity(condition)] = max(low, least), min(high, most)
    if any(low >= high for low, high in of_each.values()):
        return False
    if isinstance(reads, r.Quantile):
        by_rank = sorted((float(condition.argument[1:]), each) for condition, each in chosen)
        # A higher quantile is no lower.
        return all(low < high for (_, (low, _)), (_, (_, high)) in combinations(by_rank, 2))
    if isinstance(reads, r.Share) and reads.events_labels:
        # Shares of one whole are no more than all.
        return len(of_each) == 1 or sum(max(low, 0.0) for low, _ in of_each.values()) < 1
    return True


def _covered(ranges: Sequence[_Range]) -> bool:
    """Tell whether any value lies in one of some ranges, but for a single one."""
    lows = [high for low, high in ranges if low == -inf]
    highs = [low for low, high in ranges if high == inf]
    return bool(lows and highs) and max(lows) >= min(highs)


def _told(conditions: Sequence[Condition], word: str) -> str:
    words = [
        " ".join(filter(None, (each.signal, _of(each), each.threshold.words if each.threshold else "")))
        for each in conditions
    ]
    return f" {word} ".join(words)


def _of(condition: Condition) -> str:
    feature = f"{condition.feature.direction}.{condition.feature.name}" if condition.feature else ""
    if not isinstance(reads_of(condition), r.Share):
        return " of ".join(filter(None, (condition.argument, feature)))
    return "=".join(filter(None, (feature, condition.argument)))

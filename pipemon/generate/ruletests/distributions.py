"""One distribution on which several conditions have their values at once: two quantiles, or two categories."""

from __future__ import annotations

from bisect import bisect, bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from pipemon.generate.ruletests.values import tested_values
from pipemon.spec import reads as r
from pipemon.spec.latency import bound_share
from pipemon.spec.model import Condition, FailureMode, Spec
from pipemon.spec.subject import quantity, reads_of

CUT = 1 + 2e-8
"""A trifle more, since times are printed cut off to whole seconds."""
_NEARLY = 1e-9


class Point(NamedTuple):
    """A share `below` of all values is under `bound`; `is_share` where that share is what is compared."""

    bound: float
    below: float
    is_share: bool


def point(spec: Spec, mode: FailureMode, condition: Condition, value: float) -> Point:
    """Return where the distribution must pass for a condition to have this value."""
    if (share := bound_share(spec, mode.stage, condition)) is not None:
        return Point(share.bound, 1 - value, is_share=True)
    return Point(value * CUT, quantile_of(condition), is_share=False)


def has_quantiles(condition: Condition) -> bool:
    """Tell whether a condition is of a histogram, in whose buckets its values must lie."""
    return isinstance(reads_of(condition), r.Quantile)


def quantile_of(condition: Condition) -> float:
    """Return the share that a quantile is of: 0.95 of `p95`."""
    return float(condition.argument[1:]) / 100


def possible(spec: Spec, mode: FailureMode, told: Sequence[tuple[Condition, float]]) -> bool:
    """Tell whether conditions of one subject can have these values at once."""
    values: dict[object, float] = {}
    if any(values.setdefault(quantity(condition), value) != value for condition, value in told):
        return False
    match reads_of(told[0][0]):
        case r.Quantile():
            points = sorted({point(spec, mode, condition, value) for condition, value in told})
            own = read_bounds(spec, mode.stage) if has_quantiles(told[0][0]) and told[0][0].feature is None else ()
            if own and shares_at(points, own) is None:
                return False
            return all(_rises(first, second) for first, second in pairwise(points))
        case r.Share() as reads if reads.events_labels and reads.of is reads.events:
            return len(values) == 1 or sum(values.values()) <= 1
    return True


def _rises(first: Point, second: Point) -> bool:
    """Tell whether a distribution goes from one point to the next."""
    if first.is_share and second.is_share:
        return first.bound < second.bound and first.below <= second.below
    return first.bound < second.bound and first.below < second.below


def beside_share(spec: Spec, mode: FailureMode, condition: Condition) -> tuple[float, ...]:
    """Return what quantiles may be beside a condition that is a share over a bound: well below that, and above."""
    share = bound_share(spec, mode.stage, condition)
    return () if share is None else (share.bound / 2, share.bound * 2)


def bounds_of(spec: Spec, mode: FailureMode, conditions: Sequence[Condition]) -> list[float]:
    """Return the bounds of the buckets in which conditions of one histogram have any value that tests give them."""
    found: set[float] = set()
    for condition in conditions:
        values = tested_values(spec, mode, condition)
        if (share := bound_share(spec, mode.stage, condition)) is None:
            found |= {value * CUT for value in values.every}
        else:
            found |= {share.bound, *(value * CUT for value in beside_share(spec, mode, condition))}
    first, last = min(found), max(found)
    return [first - (abs(first) / 2 or 1.0), *sorted(found), last + (abs(last) or 1.0)]


def shares_below(points: Sequence[Point], bounds: Sequence[float]) -> list[float]:
    """Return the share of the values under each bound: in a straight line from point to point, from none to all."""
    through = [(bounds[0], 0.0), *((each.bound, each.below) for each in sorted(points)), (bounds[-1], 1.0)]
    places = [bound for bound, _ in through]
    found = []
    for bound in bounds:
        index = min(bisect(places, bound), len(through) - 1)
        (start, low), (end, high) = through[index - 1], through[index]
        found.append(low + (high - low) * (bound - start) / (end - start))
    return found


def read_bounds(spec: Spec, stage: str | None) -> tuple[float, ...]:
    """Return the bounds that rules read of a service's histogram that is not in seconds; none where they read all."""
    shape = None if stage is None else spec.stage(stage)
    if shape is None or all(own.unit == 1 for own in shape.series if own.key == "duration"):
        return ()
    return shape.duration_bounds


def shares_at(points: Sequence[Point], bounds: Sequence[float]) -> list[float] | None:
    """Return the share of the values under each of some bounds with which a distribution passes through the points.

    Between two bounds it is a straight line, as quantiles are interpolated: None where none passes through them.
    """
    shares: dict[int, float] = {}
    """What must be under a bound, by its place; -1 is that of nothing."""
    within: dict[int, list[Point]] = {}
    for each in sorted(points):
        place = min(bisect_left(bounds, each.bound), len(bounds) - 1)
        if each.is_share or each.bound >= bounds[place]:
            shares[place] = each.below
        else:
            within.setdefault(place, []).append(each)
    shares[-1] = 0.0
    edges = [0.0, *bounds]
    for place, inside in sorted(within.items()):
        start, end = edges[place], edges[place + 1]
        known = [(edges[at + 1], shares[at]) for at in (place - 1, place) if at in shares]
        known += [(each.bound, each.below) for each in inside]
        if len(known) == 1:
            # Where nothing else is said, half of the rest is there.
            (bound, below), earlier = known[0], max((share for at, share in shares.items() if at < place), default=0.0)
            later = min((each.below for other in within if other > place for each in within[other]), default=1.0)
            later = min(later, *(share for at, share in shares.items() if at > place), 1.0)
            part = (bound - start) / (end - start)
            most = min((below + later) / 2, (below - (1 - part) * earlier) / part)
            known.append((end, most))
        (first, low), *_, (last, high) = sorted(known)
        if last <= first:
            return None
        slope = (high - low) / (last - first)
        if any(abs(low + slope * (bound - first) - below) > _NEARLY for bound, below in known):
            return None
        shares[place - 1], shares[place] = low + slope * (start - first), low + slope * (end - first)
    found, least = [], 0.0
    if shares[-1] > _NEARLY or shares[-1] < -_NEARLY:
        return None
    for place in range(len(bounds)):
        share = shares.get(place, least)
        if not least - _NEARLY <= share <= 1 + _NEARLY:
            return None
        least = min(max(share, least), 1.0)
        found.append(least)
    return found

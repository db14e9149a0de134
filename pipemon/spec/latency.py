"""A latency threshold as a share of calls over a bucket bound, which is exact where a quantile is interpolated."""

from __future__ import annotations

from dataclasses import dataclass
from math import isclose

from pipemon.spec.model import Condition, Spec, Threshold
from pipemon.spec.pieces import piece, windows_of


@dataclass(frozen=True)
class BoundShare:
    """`p95 above 300ms` as "more than `allowed` = 0.05 of the calls take longer than `bound` = 0.3 seconds"."""

    bound: float
    allowed: float


def bound_share(spec: Spec, stage: str | None, condition: Condition) -> BoundShare | None:
    """Return the exact form of a latency condition, or None if its threshold lies on no known bucket bound.

    The code says what its bounds are; where it reads the generated bounds file, each threshold is one.
    Without code, only the budget is sure to be one.
    """
    threshold = condition.threshold
    if condition.signal != "latency" or threshold is None or threshold.high is None or threshold.low is not None:
        return None
    if threshold.reference is not None:
        return None
    budget = spec.budget if stage is None else spec.stage(stage).budget
    bounds = spec.duration_bounds if stage is None else spec.stage(stage).duration_bounds
    allowed = round(1 - float(condition.argument.removeprefix("p")) / 100, 9)
    if stage is not None and spec.stage(stage).series:
        # Its bounds are its own: known where the file says them.
        budget = None
    elif spec.reads_bounds:
        bounds = (*bounds, threshold.high)
    for bound in bounds or ((budget,) if budget else ()):
        if isclose(bound, threshold.high):
            return BoundShare(bound, allowed)
    return None


def shared_bounds(spec: Spec, stage: str | None, window: float) -> tuple[float, ...]:
    """Return the bounds that any failure mode reads: of all stages, or of the pipeline, over the same window."""
    return spec.derived("latency bounds", _all_bounds).get((stage is None, window), ())


def burned_condition(spec: Spec, stage: str | None, condition: Condition) -> Condition:
    """Return the condition whose bad events burn a budget: of latency, the calls that take longer than may be."""
    if condition.argument != "latency":
        return Condition(condition.argument)
    budget = spec.budget if stage is None else spec.stage(stage).budget
    return Condition("latency", "p99", threshold=Threshold(None, budget, "above budget"))


def _all_bounds(spec: Spec) -> dict[tuple[bool, float], tuple[float, ...]]:
    found: dict[tuple[bool, float], set[float]] = {}
    for mode in spec.measurable:
        for condition in mode.conditions:
            windows = windows_of(condition) or (mode.window,)
            read = burned_condition(spec, mode.stage, condition) if condition.burns else condition
            share = bound_share(spec, mode.stage, read)
            if share is not None:
                pieces = [piece(spec, condition, window) for window in windows if condition.burns]
                for window in (*windows, *filter(None, pieces)):
                    found.setdefault((mode.stage is None, window), set()).add(share.bound)
    return {level: tuple(sorted(bounds)) for level, bounds in found.items()}

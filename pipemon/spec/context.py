"""What a threshold may refer to: the place where a condition stands."""

from __future__ import annotations

from dataclasses import dataclass

from pipemon.spec.baseline import FeatureBaseline
from pipemon.spec.model import LAST_HOUR, Reference
from pipemon.spec.signals import Signal


@dataclass(frozen=True)
class Context:
    """What a threshold may refer to: the unit of its signal, the budget in seconds, the feature's baseline.

    `complete` is False where the stages could not be read, so that no budget is no fault of the threshold.
    `signed` tells that values may be negative, `at_stage` that it is not of the pipeline as a whole, `in_slice`
    that it is of one slice. `sudden` is a change that the team calls so, which is told by `last_hour`.
    """

    signal: Signal
    unit: str
    budget: float | None
    baseline: FeatureBaseline | None
    complete: bool = True
    signed: bool = False
    at_stage: bool = True
    in_slice: bool = False
    sudden: bool = False
    last_hour: Reference = LAST_HOUR


class WaitsForBaselineError(Exception):
    """The threshold needs a baseline that has not been learned yet."""

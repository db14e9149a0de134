"""Announced changes in generated files: a series that is 1 meanwhile, which holds a stage's drift alerts."""

from __future__ import annotations

from pipemon.generate.promql import Binary, Call, Expr, Recorded
from pipemon.generate.recordings import Recording, here
from pipemon.spec.model import FailureMode, Spec

NAME = "pipemon:expected:change"
_AT = ("pipeline", "stage")
_OF_DRIFT = frozenset({"drift", "shift", "features_moved", "new_category", "share", "quantile"})
"""Signals that an announced change moves as a matter of course, whatever they are compared with."""


def recordings(spec: Spec) -> tuple[Recording, ...]:
    """Return, for each change that is not the new normal yet, the rule of a series that is there, and 1, meanwhile."""
    now = Call("vector", (Call("time", ()),))
    return tuple(
        Recording(
            NAME,
            Binary("and", Call("vector", (1.0,)), Binary("<", Binary(">=", now, change.start), change.end)),
            (*_AT, "change"),
            static=(("pipeline", spec.pipeline), ("stage", change.stage), ("change", change.what), *spec.select),
        )
        for change in spec.expected
        if not change.accepted
    )


def is_held(spec: Spec, mode: FailureMode) -> bool:
    """Tell whether an announced change holds a failure mode's alert: it tells of its stage's values, by the past."""
    announced = {change.stage for change in spec.expected if not change.accepted}
    return mode.stage in announced and all(
        condition.signal in _OF_DRIFT
        or (
            condition.feature is not None
            and condition.threshold is not None
            and (condition.threshold.learned or bool(condition.reference and condition.reference.offset))
        )
        for condition in mode.conditions
    )


def held(spec: Spec, mode: FailureMode, expr: Expr) -> Expr:
    """Return an alert's expression, which holds nowhere that a change was announced for, while it was."""
    if mode.stage is None or not is_held(spec, mode):
        return expr
    which = here(spec, mode.stage)
    return Binary("unless", expr, Recorded(NAME, (*_AT, "change"), which), on=_AT)
